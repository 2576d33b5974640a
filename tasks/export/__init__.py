"""Joins preprocessing, base, head and novelty score into one ONNX file, and makes its variants."""
