"""Residual networks as Keras models, and all that is done to them."""

# First of all: importing Keras registers our classes, for which none of the modules here may be half imported.
import keras  # noqa: F401
