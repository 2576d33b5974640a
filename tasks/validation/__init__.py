"""Judges the manifest with Great Expectations, quarantines what cannot be used."""
