"""Parameters, errors, command lines, files, progress and threads, shared by all stages."""
