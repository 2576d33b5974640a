"""Chooses and trains the dense classifier on the features.

`rows` collects training and validation rows, `class_weights` resolves the weights of classes, `search` compares
candidates and fits the choice, `classifier` is the Keras network that it is written into, with the `scaling` of the
features, `outcome` is all that the stage knows of it, and `tables` are the artifacts for people.
"""
