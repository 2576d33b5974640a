"""The stages, one package each: plain commands that any build tool could call."""
