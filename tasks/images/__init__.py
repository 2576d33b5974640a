"""Image files: decoding, augmented views, and running a network over many of them."""
