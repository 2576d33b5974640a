"""The runtimes, a module each: how it is found, how it loads a file, and how it predicts."""
