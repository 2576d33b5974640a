"""The tables that stages hand to each other; each module owns one, with its schema, reader and writer."""
