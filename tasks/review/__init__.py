"""Finds likely wrong labels and odd images in the cached features, for a person to review."""
