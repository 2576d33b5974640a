"""Decoding and augmentation of images, and inference over many images."""
