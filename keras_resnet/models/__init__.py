"""Residual networks as Keras models, and all that is done to them."""
