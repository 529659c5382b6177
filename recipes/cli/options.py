"""Options of programs: frozen dataclasses whose fields are the flags, and whose docstrings are the help.

A group that several programs have is a class here, so that its flags have one spelling and one help.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from tyro.conf import Positional, arg

from keras_resnet import validation
from keras_resnet.config.checked import Checked, types_of
from keras_resnet.config.recipe import DatasetName

Preprocessing = Literal["torch", "caffe", "tf"]
Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, kw_only=True)
class Options(Checked):
    """Options that refuse what their types do not allow, in the words of the library."""

    def __post_init__(self) -> None:
        for name, hint in types_of(type(self)).items():
            object.__setattr__(self, name, fitting(name, getattr(self, name), hint))
            if getattr(self, name) == () and not hasattr(type(self), name):  # tyro lets a list that has no default pass
                raise ValueError(f"`{name}` must name at least one")
        self._check()

    def _at_least(self, minimum: int, *names: str) -> None:
        """Refuses smaller numbers; None is let through."""
        for name in names:
            if (value := getattr(self, name)) is not None:
                validation.at_least(name, value, minimum)


def fitting(name: str, value: Any, hint: Any) -> Any:
    """The value as its type wants it, where it is one that the library's guards know: numbers, words, True, None.

    Raises:
        ValueError: if the value is of another type.
    """
    if get_origin(hint) is tuple and (words := validation.choices(get_args(hint)[0])) is not None:
        for word in value:
            validation.one_of(name, word, words)
    elif hint in validation.KINDS or (get_origin(hint) is not tuple and validation.choices(hint) is not None):
        return validation.fitting(name, value, hint)
    return value


@dataclass(frozen=True, kw_only=True)
class OfNetwork(Options):
    """A trained network."""

    network: Annotated[Positional[str], arg(metavar="NETWORK")]
    """The directory of a finished run, a .keras file, or weights."""
    preprocessing: Preprocessing | None = None
    """How images are normalized for weights whose file does not say so."""


@dataclass(frozen=True, kw_only=True)
class OfPictures(OfNetwork):
    """A trained network, and pictures for it."""

    pictures: Annotated[Positional[tuple[Path, ...]], arg(metavar="PICTURE …", help_behavior_hint="(one or more)")]
    """JPEG, PNG, WebP, BMP or GIF files, or folders that are searched for them."""
    class_names: Path | None = None
    """A text file with the name of a class per line. None: the names that the network has."""


@dataclass(frozen=True, kw_only=True)
class OfData(Options):
    """A data set."""

    dataset: DatasetName | None = None
    """The images. None: those of the run."""
    data_directory: str | None = None
    """Where they are. None: where the run found them."""


@dataclass(frozen=True, kw_only=True)
class OfSplit(OfData):
    """A part of a data set."""

    holdout: int | None = None
    """Training images that are the validation images. None: as many as in the run, or 0."""
    split: Split = "validation"
    """The part of the data set."""


@dataclass(frozen=True, kw_only=True)
class OfOverwriting(Options):
    """Whether files may be replaced."""

    overwrite: bool = False
    """Replace files that are there already."""
