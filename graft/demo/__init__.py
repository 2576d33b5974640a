"""The command `graft demo`: a page that runs an exported model in the browser."""
