"""Compares two runs on the test images that both have predicted, for a person and for the gate before a model."""
