"""Pictures in any files, without labels: found, and turned into what evaluation shows a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from keras_resnet.data import roads
from keras_resnet.data.encoded_splits import DamagedImageError
from keras_resnet.data.picture_files import damage, finding
from keras_resnet.data.picture_files.damage import Examined
from keras_resnet.data.splits import PARALLEL_CALLS
from keras_resnet.facts.datasets import DATASETS

if TYPE_CHECKING:
    from keras_resnet.inference.trained_network import TrainedNetwork


def find(path: Path, tell: Callable[[str], None] = lambda line: None) -> list[Path]:
    """The file itself, whatever its name; of a folder, the files named like pictures at any depth, sorted.

    Args:
        path: Of a file or folder.
        tell: Takes a line about other files, which are passed over; hidden ones are so without a word.

    Raises:
        FileNotFoundError: if there is no such file or folder.
        ValueError: if a folder holds no pictures.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder {path}")
    if not path.is_dir():
        return [path]
    found, others = finding.find(path)
    if not found:
        suffixes = ", ".join(sorted(finding.SUFFIXES))
        raise ValueError(f"{path} must hold {finding.KINDS} images ({suffixes}). It holds none")
    if others:
        tell(finding.left_out([f"{path / name}" for name in others]))
    return sorted(path / name for name in found)


class See(Protocol):
    """Reads a picture as evaluation does."""

    def __call__(self, path: Path, orientation: int | None = None) -> np.ndarray:
        """The picture.

        Args:
            path: Of its file.
            orientation: How it is to be turned, 1 to 8 as in EXIF, where the file was examined. `None`: not yet.

        Returns:
            uint8 [height, width, channels].

        Raises:
            ValueError: naming the file, if it cannot be used.
        """


def viewer(image_shape: tuple[int | None, ...], *, whole: bool) -> See:
    """A function that reads a picture as evaluation does, turned as its file says.

    Args:
        image_shape: (height, width, channels) of the network: square, of 1 or 3 channels.
        whole: Whether evaluation shows the network whole images (CIFAR, digits): then it is the largest square in the
            middle. Otherwise, for photographs, it is `center_crop`.

    Raises:
        ValueError: if there is no such image.
    """
    size, width, channels = image_shape
    if size is None or size != width or channels not in (1, 3):
        raise ValueError(
            "`image_shape` must be (size, size, 1) or (size, size, 3), to show pictures to a network. "
            f"Received: image_shape={tuple(image_shape)}"
        )
    view = roads.current("single_images").viewer(size, channels, whole=whole)

    def see(path: Path, orientation: int | None = None) -> np.ndarray:
        examined = damage.examine_file(str(path)) if orientation is None else Examined(orientation=orientation)
        fault = examined.fault
        if fault is None:
            try:
                found: np.ndarray = view(path.read_bytes(), examined.orientation)
                return found
            except (DamagedImageError, OSError):
                fault = "damaged"
        raise ValueError(f"{path}: {fault}")

    return see


def viewer_of(trained: TrainedNetwork) -> See:
    """A function that reads a picture as evaluation shows it to a trained network.

    A network of any size is shown the size that its architecture is for.

    Raises:
        ValueError: if it does not take such images.
    """
    height, width, channels = trained.network.image_shape
    size = trained.network.spec.architecture.image_size
    return viewer((height or size, width or size, channels), whole=takes_whole_images(trained))


def takes_whole_images(trained: TrainedNetwork) -> bool:
    """Whether evaluation shows a network whole images: those of one size, as CIFAR's, and not crops of photographs."""
    if trained.recipe is not None:
        return DATASETS[trained.recipe.data.dataset].image_shape is not None
    return trained.network.spec.family == "cifar"


def batches(paths: Sequence[Path], see: See, batch_size: int) -> Iterator[tuple[list[Path], np.ndarray, list[str]]]:
    """Pictures in their order, examined and read in parallel; one that cannot be used is left out of its batch.

    Args:
        paths: Of the pictures.
        see: What `viewer` made.
        batch_size: The most pictures at a time.

    Yields:
        (paths, images uint8 [paths, height, width, channels], errors that name the pictures left out). A batch may be
        empty.
    """

    def attempt(path: Path, examined: Examined) -> np.ndarray | ValueError:
        try:
            return ValueError(f"{path}: {examined.fault}") if examined.fault else see(path, examined.orientation)
        except ValueError as error:
            return error

    with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
        for start in range(0, len(paths), batch_size):
            part = paths[start : start + batch_size]
            tried = list(zip(part, pool.map(attempt, part, damage.examine(list(map(str, part)))), strict=True))
            usable = [(path, image) for path, image in tried if not isinstance(image, ValueError)]
            faults = [str(error) for _, error in tried if isinstance(error, ValueError)]
            yield [path for path, _ in usable], np.array([image for _, image in usable], np.uint8), faults
