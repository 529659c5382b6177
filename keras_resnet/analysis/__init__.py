"""Measurements of trained networks, each beside its figure."""
