"""Trained networks and the pictures that they are shown."""
