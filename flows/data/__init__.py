"""`graft data`: adding, checking and reviewing datasets."""
