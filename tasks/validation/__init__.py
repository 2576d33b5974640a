"""Checks the manifest with Great Expectations and sets aside the files that cannot be used."""
