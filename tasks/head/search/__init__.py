"""Compares candidates for the head on folds of the images, and fits the choice.

`search` calls the parts in this order: `folds` divides the images, `space` reduces standardised features to their rank,
`depth` ranks taps and says which to join, `fitting` fits `discriminant`, `ridge` and `logistic` (stacks of `linear`
classifiers) on all folds, `scores` judges their predictions, `stacking` averages them and `choice` chooses.
`hidden_candidates` adds networks with hidden layers, which `parallel_networks` trains side by side with TensorFlow.
"""
