"""Starter weights: a small MobileNet pretrained on images that this package generates itself."""
