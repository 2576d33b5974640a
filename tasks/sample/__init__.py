"""The bundled sample dataset: real handwritten digits."""
