"""The novelty score `known`: how much a picture resembles the training images, as a graph of its features."""
