"""The novelty score `known`: how much a picture resembles the training images, as a graph of its features.

`distance` fits a Mahalanobis distance to the training images, `score` turns it into a number in [0, 1] with the
distances of validation images, and `graph` writes both as ONNX.
"""
