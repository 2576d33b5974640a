"""Probabilities and shares: the temperature, the calibration error, intervals, and differences with intervals."""
