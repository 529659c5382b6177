"""The weights of other packages as ours, and ours as theirs: a map of names and two verbs for each."""

from keras_resnet.weights.conversion.layouts import LAYOUTS, Layout, detect
from keras_resnet.weights.conversion.recognition import check_form, identify
from keras_resnet.weights.conversion.translation import from_ours, to_ours

__all__ = ["LAYOUTS", "Layout", "check_form", "detect", "from_ours", "identify", "to_ours"]
