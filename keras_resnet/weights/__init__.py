"""Weights as names and arrays: files, other packages' layouts, and what must be known of them. NumPy alone."""
