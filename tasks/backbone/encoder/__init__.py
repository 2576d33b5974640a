"""Image encoders that were exported to ONNX elsewhere, as backbones. No module here imports TensorFlow."""
