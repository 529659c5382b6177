"""Formats of export: the files of each, and the packages that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from keras_resnet import validation


@dataclass(frozen=True)
class Format:
    """A format for another program.

    Args:
        suffix: End of the file's name; empty where it is a folder.
        packages: Packages that write the file and run it, beside TensorFlow.
        beside: Suffixes of the files that belong to it.
        also: What the format is called elsewhere.
        lacking: Why a backend of Keras cannot write it, by the name of the backend.
        folds: Whether the batch normalization is folded in any case, since the writer would make several operations of
            each.
    """

    suffix: str
    packages: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    lacking: Mapping[str, str] = field(default_factory=dict)
    folds: bool = False

    @property
    def missing(self) -> list[str]:
        """The packages that are not installed."""
        return [package for package in self.packages if not find_spec(package)]

    def files(self, path: Path) -> list[Path]:
        """All files of an export; the one that it is called by comes last."""
        return [*(path.with_suffix(suffix) for suffix in self.beside), path]


FORMATS: dict[str, Format] = {
    "saved-model": Format(
        "",
        also=("savedmodel", "saved_model", "tf_saved_model", "tf", "tensorflow", "pb"),
        lacking={"torch": "its exporter makes no TensorFlow of a network of torch"},
    ),
    "onnx": Format(
        ".onnx",
        ("onnx", "tf2onnx", "onnxruntime"),
        also=("onnxruntime", "ort"),
        lacking={"jax": "Keras needs jax2onnx for it"},
    ),
    "litert": Format(
        ".tflite",
        also=("tflite", "tf-lite", "tf_lite", "tensorflow-lite", "lite"),
        lacking={"jax": "Keras writes it with TensorFlow", "torch": "Keras needs litert-torch for it"},
    ),
    "openvino": Format(
        ".xml",
        ("openvino",),
        beside=(".bin",),
        also=("open-vino", "ov", "ir", "xml", "bin"),
        lacking={"jax": "OpenVINO does not read what Keras makes of a network of JAX"},
    ),
    "torch": Format(
        ".pt2",
        ("torch",),
        also=("pytorch", "pt", "pt2", "pth", "torchscript", "torch-export"),
        folds=True,
    ),
}
"""Formats by name."""


def check(name: str) -> None:
    """Refuses what is the name of no format.

    Raises:
        ValueError: with the format that is called so elsewhere, or else is spelled like it.
    """
    if name not in FORMATS:
        word = name.lower().lstrip(".")
        meant = next((known for known, row in FORMATS.items() if word in (known, *row.also)), None)
        hint = f"Did you mean {meant!r}?" if meant else validation.nearest(word, FORMATS)
        validation.refuse("format", f"one of {', '.join(map(repr, FORMATS))}", name, hint)
