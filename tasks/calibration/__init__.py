"""Calibration of probabilities: the temperature, the log loss that it lowers, and the calibration error."""
