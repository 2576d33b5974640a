"""Scans the images: decodes each once, hashes, splits."""
