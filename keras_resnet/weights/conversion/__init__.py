"""Weights of other packages as ours, and ours as theirs: a map of names and two verbs for each package."""

from keras_resnet.weights.conversion.layouts import LAYOUTS, Layout, detect
from keras_resnet.weights.conversion.recognition import identify
from keras_resnet.weights.conversion.translation import converted, from_ours, to_ours

__all__ = ["LAYOUTS", "Layout", "converted", "detect", "from_ours", "identify", "to_ours"]
