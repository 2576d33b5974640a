"""Optional: trains the top of the base together with the head, and keeps what is better than the head alone."""
