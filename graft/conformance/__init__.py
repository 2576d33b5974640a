"""The command `graft conformance`: which runtimes give the answers of ONNX Runtime for a model, and which do not."""
