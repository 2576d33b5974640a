"""Gets the pretrained convolutional base, checks it, turns it into ONNX."""
