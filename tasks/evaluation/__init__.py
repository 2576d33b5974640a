"""Runs the exported file itself over the test split."""
