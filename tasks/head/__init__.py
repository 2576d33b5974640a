"""Trains the dense classifier on the features."""
