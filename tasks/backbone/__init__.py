"""Stage `backbone`: gets the pretrained convolutional base, checks it, and converts it to ONNX."""
