"""The command `graft serve`: predictions over HTTP."""
