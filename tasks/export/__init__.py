"""Joins preprocessing, base and head into one ONNX file."""
