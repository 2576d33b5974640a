"""The command `graft backbones`."""
