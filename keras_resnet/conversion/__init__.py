"""Weights that were trained elsewhere, and ours for elsewhere: a map of names and two verbs per source."""

from keras_resnet.conversion.layouts import LAYOUTS, Layout, detect
from keras_resnet.conversion.state import read_state
from keras_resnet.conversion.torch_weights import export_weights, import_weights

__all__ = ["LAYOUTS", "Layout", "detect", "export_weights", "import_weights", "read_state"]
