"""ONNX graphs, ONNX Runtime sessions and quantization to int8."""
