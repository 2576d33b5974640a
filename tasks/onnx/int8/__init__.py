"""Post-training quantization of a backbone to int8."""
