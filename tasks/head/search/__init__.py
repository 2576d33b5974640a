"""Compares candidates for the head on folds of the images, and fits the best of them.

`search.find_head` calls the parts in this order: `rows` prepares the data, `folds` divides the images, `reduction`
standardises the features and rotates them, `discriminant`, `ridge` and `logistic` fit linear candidates and `parallel`
those with hidden layers, `scores` and `calibration` judge their predictions, `depth` compares taps, `choice` chooses.
"""
