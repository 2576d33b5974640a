"""Conversion of Keras networks to ONNX graphs."""
