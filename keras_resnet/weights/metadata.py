"""What weights carry along in a `.weights.h5` file, because no shape of theirs would tell."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from keras_resnet.facts.network_spec import NetworkSpec

KEY = "keras_resnet"
"""The data set in the file that holds it."""


@dataclass(frozen=True)
class WeightsMetadata:
    """What must be known of weights.

    Args:
        form: Of the network that they belong to.
        preprocessing: What images must be turned into, as a key of `preprocessing.PREPROCESSING`, or None.
        class_names: One for each class, or None.
    """

    form: NetworkSpec
    preprocessing: str | None = None
    class_names: tuple[str, ...] | None = None


def write(path: str | os.PathLike, carried: WeightsMetadata) -> None:
    """Adds it to a file that Keras has written; Keras reads the file as before."""
    import h5py

    with h5py.File(path, "a") as file:
        file[KEY] = json.dumps(asdict(carried), ensure_ascii=False)


def read(path: str | os.PathLike) -> WeightsMetadata | None:
    """What a file carries; None if it is of another program, or is no HDF5 file.

    Raises:
        ValueError: if a newer version of this package wrote something else there.
    """
    import h5py

    try:
        with h5py.File(path) as file:
            text = file[KEY][()] if isinstance(file.get(KEY), h5py.Dataset) else None
    except OSError:
        return None
    if text is None:
        return None
    try:
        values = json.loads(text)
        names = values["class_names"]
        return WeightsMetadata(
            NetworkSpec(**values["form"]), values["preprocessing"], None if names is None else tuple(names)
        )
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{os.fspath(path)} says of its weights what this version cannot read ({error})") from error
