"""Ranks images by their feature vectors: wrong labels, odd images and near-duplicates. Functions of arrays alone."""
