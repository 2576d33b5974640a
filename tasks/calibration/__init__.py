"""Calibration of probabilities: the temperature, and the calibration error before and after it."""
