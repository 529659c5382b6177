"""Formats of export: the files of each, and the packages that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class Format:
    """A format for another program.

    Args:
        suffix: End of the file's name; empty where it is a folder.
        packages: Packages that write the file and run it, beside TensorFlow.
        beside: Suffixes of the files that belong to it.
    """

    suffix: str
    packages: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        """The packages that are not installed."""
        return [package for package in self.packages if not find_spec(package)]

    def files(self, path: Path) -> list[Path]:
        """All files of an export; the one that it is called by comes last."""
        return [*(path.with_suffix(suffix) for suffix in self.beside), path]


FORMATS: dict[str, Format] = {
    "saved-model": Format(""),
    "onnx": Format(".onnx", ("onnx", "tf2onnx", "onnxruntime")),
    "litert": Format(".tflite"),
    "openvino": Format(".xml", ("openvino",), beside=(".bin",)),
    "torch": Format(".pt2", ("torch",)),
}
"""Formats by name."""
