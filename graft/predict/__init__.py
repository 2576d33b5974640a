"""The command `graft predict`: images in, a table of predictions out."""
