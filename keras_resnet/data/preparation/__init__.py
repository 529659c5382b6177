"""Labelled images, from archives or folders, as the shards of a tensorflow-datasets directory."""

from keras_resnet.data.preparation.descriptions import read_manifest
from keras_resnet.data.preparation.destination import check_destination, check_space, directory_in
from keras_resnet.data.preparation.layouts import read_source
from keras_resnet.data.preparation.plan import FULL, FULL_CLASSES, VERSION, Entry, Plan
from keras_resnet.data.preparation.preparing import check_vacant, prepare
from keras_resnet.data.preparation.verification import verify

__all__ = [
    "FULL",
    "FULL_CLASSES",
    "VERSION",
    "Entry",
    "Plan",
    "check_destination",
    "check_space",
    "check_vacant",
    "directory_in",
    "prepare",
    "read_manifest",
    "read_source",
    "verify",
]
