"""Self-contained pages for people: templates, their style, and thumbnails of images."""
