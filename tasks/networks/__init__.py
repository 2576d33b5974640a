"""Keras networks: cuts, weight files, training, conversion to ONNX."""
