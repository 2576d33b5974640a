"""ONNX graphs, sessions of ONNX Runtime, and quantization to int8."""
