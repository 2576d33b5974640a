"""Optional: unfreezes the top of the base and trains on."""
