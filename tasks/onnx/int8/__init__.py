"""Post-training quantization of a base to int8."""
