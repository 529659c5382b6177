"""Weights that were trained elsewhere, and ours for elsewhere: a map of names and two verbs per source."""

from keras_resnet.conversion.layouts import LAYOUTS, Layout, detect
from keras_resnet.conversion.models import assign, export_weights, import_weights, state_of
from keras_resnet.conversion.recognition import check_form, identify
from keras_resnet.conversion.state import READERS, read_state
from keras_resnet.conversion.translation import from_ours, to_ours

__all__ = [
    "LAYOUTS",
    "READERS",
    "Layout",
    "assign",
    "check_form",
    "detect",
    "export_weights",
    "from_ours",
    "identify",
    "import_weights",
    "read_state",
    "state_of",
    "to_ours",
]
