"""The variants of the exported file: a module each, with what it is, how it is made and how it is checked."""
