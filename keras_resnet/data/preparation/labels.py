"""The labels of validation images that lie together, from the development kit or from Kaggle's table."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_resnet.host import texts

DEVKIT, SOLUTION = "ILSVRC2012_devkit_t12.tar.gz", "LOC_val_solution.csv"
META, TRUTH = "meta.mat", "ILSVRC2012_validation_ground_truth.txt"


def read_labels(source: Path, reason: str) -> dict[str, str]:
    """The class of every validation image, by its name without the suffix.

    Raises:
        ValueError: beginning with the reason if there are no labels; naming the file if it is damaged.
    """
    if (source / SOLUTION).is_file():
        return read_solution(source / SOLUTION)
    if not (source / DEVKIT).is_file():
        raise ValueError(f"{reason}: add {DEVKIT} (image-net.org) or {SOLUTION} (Kaggle) to {source}")
    if importlib.util.find_spec("scipy") is None:
        raise ValueError(f"Reading {DEVKIT} needs SciPy: pip install scipy, or add {SOLUTION}")
    return read_devkit(source / DEVKIT)


def read_solution(file: Path) -> dict[str, str]:
    """The labels from Kaggle's table.

    Raises:
        ValueError: if it is no such table.
    """
    rows = csv.DictReader(io.StringIO(texts.read(file, ", Kaggle's table"), newline=""))
    try:
        return {row["ImageId"]: row["PredictionString"].split()[0] for row in rows}
    except (KeyError, AttributeError, IndexError, csv.Error) as error:
        raise ValueError(
            f"{file} must have the columns ImageId,PredictionString, filled in every row; get it again"
        ) from error


def read_devkit(file: Path) -> dict[str, str]:
    """The labels from the development kit.

    Raises:
        ValueError: if it is damaged, or another one.
    """
    with naming_archive(file):
        content = file.read_bytes()
        # Whole, and not by `tarfile`, which would leave the checksum at its end unread. Some browsers unpack it.
        content = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
        with tarfile.open(fileobj=io.BytesIO(content)) as kit:
            found = {Path(member.name).name: member for member in kit if member.isfile()}
            parts = {name: kit.extractfile(found[name]).read() for name in (META, TRUTH) if name in found}
    if missing := [name for name in (META, TRUTH) if name not in parts]:
        raise ValueError(f"{file} is not the development kit of ILSVRC2012: it lacks {' and '.join(missing)}")
    names = read_synsets(file, parts[META])
    labels = {}
    for number, line in enumerate(parts[TRUTH].decode(errors="replace").split(), 1):
        if line not in names:
            raise ValueError(
                f"{file} is not the development kit of ILSVRC2012: line {number} of {TRUTH} is {line!r}, which is no "
                f"class of {META}"
            )
        labels[f"ILSVRC2012_val_{number:08d}"] = names[line]
    return labels


def read_synsets(file: Path, content: bytes) -> dict[str, str]:
    """The name of every class by its number, in decimal.

    Raises:
        ValueError: if the content is not that of `meta.mat`; its archive is named.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        synsets = loadmat(io.BytesIO(content), squeeze_me=True)["synsets"]
        return {str(int(synset["ILSVRC2012_ID"])): str(synset["WNID"]) for synset in synsets.ravel()}
    except (MatReadError, KeyError, IndexError, TypeError, ValueError, AttributeError, OSError, zlib.error) as error:
        raise ValueError(f"{file} is not the development kit of ILSVRC2012: {META} cannot be read ({error})") from error


@contextmanager
def naming_archive(file: Path) -> Iterator[None]:
    """Makes the errors of a damaged archive say which one it is.

    Raises:
        ValueError: in their place.
    """
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        reason = str(error).partition("\n")[0].rstrip(":")  # a line for each compression follows
        raise ValueError(f"{file} is damaged or was not fully downloaded ({reason}). Download it again") from error
