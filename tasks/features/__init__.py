"""Runs the frozen base once over every image."""
