"""Metadata of weights, stored as JSON beside them: all that their shapes do not show."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from keras_resnet.facts.network_spec import NetworkSpec

KEY = "keras_resnet"
"""Name of the data set in a `.weights.h5`, and of the entry in a `.safetensors`, that holds the JSON."""


@dataclass(frozen=True)
class WeightsMetadata:
    """All that must be known of weights beside their names and shapes.

    Args:
        spec: Specification of the network that they belong to.
        preprocessing: Convention of the images, a key of `preprocessing.PREPROCESSING`, or None.
        class_names: One for each class, or None.
    """

    spec: NetworkSpec
    preprocessing: str | None = None
    class_names: tuple[str, ...] | None = None


def dumps(metadata: WeightsMetadata) -> str:
    """The JSON that files hold. Its keys stay those of 0.1, which every version reads: the specification is "form"."""
    values = {
        "form": asdict(metadata.spec),
        "preprocessing": metadata.preprocessing,
        "class_names": metadata.class_names,
    }
    return json.dumps(values)  # in ASCII, so that a name which is no valid Unicode is kept as it is


def loads(text: str | bytes) -> WeightsMetadata:
    """The metadata of a JSON text.

    Raises:
        ValueError, TypeError, KeyError: if it is another text.
    """
    values = json.loads(text)
    names = values["class_names"]
    return WeightsMetadata(
        NetworkSpec(**values["form"]), values["preprocessing"], None if names is None else tuple(names)
    )


def write(path: str | os.PathLike, metadata: WeightsMetadata) -> None:
    """Adds the metadata to a `.weights.h5` that Keras has written; Keras reads the file as before."""
    import h5py

    with h5py.File(path, "a") as file:
        file[KEY] = dumps(metadata)


def read(path: str | os.PathLike) -> WeightsMetadata | None:
    """The metadata in a `.weights.h5`; None if another program wrote it, or if it is no HDF5 file.

    Raises:
        ValueError: if a newer version of this package wrote something else there.
    """
    import h5py

    try:
        with h5py.File(path) as file:
            text = file[KEY][()] if isinstance(file.get(KEY), h5py.Dataset) else None
    except OSError:
        return None
    return None if text is None else loaded(text, path)


def loaded(text: str | bytes, path: str | os.PathLike) -> WeightsMetadata:
    """The metadata that a file holds as a JSON text.

    Raises:
        ValueError: naming the file, if a newer version of this package wrote something else there.
    """
    try:
        return loads(text)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{os.fspath(path)} has metadata that this version cannot read ({error})") from error


def write_beside_shards(path: str | os.PathLike, metadata: WeightsMetadata) -> None:
    """Adds the metadata to a `.weights.json` that Keras has written, which lists the files of the weights."""
    path = Path(path)
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {KEY: dumps(metadata)}, indent=4), "utf-8")


def read_beside_shards(path: str | os.PathLike) -> WeightsMetadata | None:
    """The metadata in a `.weights.json`; None if another program wrote it.

    Raises:
        ValueError: if it is no JSON, or if a newer version of this package wrote something else there.
    """
    text = json.loads(Path(path).read_text("utf-8")).get(KEY)
    try:
        return None if text is None else loads(text)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{os.fspath(path)} has metadata that this version cannot read ({error})") from error
