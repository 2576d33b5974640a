"""Runs a frozen base over images and views, on this machine or on a cluster, and keeps its vectors in the store."""
