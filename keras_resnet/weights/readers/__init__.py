"""The files that weights come in."""
