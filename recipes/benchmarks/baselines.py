"""Baselines of the input: a `DataLoader` with PIL, and decoders alone.

Each reads photographs from files, and is left out where its library is not installed.
"""

from __future__ import annotations

import importlib.util
import io
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.interleaved import Task, in_own_process

AREA, ASPECT_RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
"""Of a random crop, as torchvision's RandomResizedCrop has them by default."""


def baselines(paths: Sequence[str], *, size: int, batch: int, images: int, cores: int) -> dict[str, Task]:
    """The baselines that can be measured here, by their names.

    Args:
        paths: JPEG or PNG files.
        size: Side of the square views, in pixels.
        batch: Images in a batch.
        images: Images in a measurement.
        cores: Processes or threads.
    """
    found = {}
    if importlib.util.find_spec("torch") and importlib.util.find_spec("PIL"):
        # In a process of its own: the DataLoader forks, and TensorFlow's threads do not survive that.
        found["PIL DataLoader"] = in_own_process(data_loader, paths, size, batch, images, cores)
    jpegs = [path for path in paths if Path(path).read_bytes().startswith(b"\xff\xd8")]
    for library, (name, decoder) in DECODERS.items():
        if jpegs and importlib.util.find_spec(library):
            found[f"{name}, decoding alone"] = decoding_alone(decoder(), jpegs, images, cores)
    return found


def data_loader(paths: Sequence[str], size: int, batch: int, images: int, workers: int) -> Task:
    """torch's DataLoader over files that PIL decodes, crops at random, resizes and mirrors, to batches of uint8."""
    from torch.utils.data import DataLoader, RandomSampler

    pictures = Pictures(paths, size)
    loader = DataLoader(
        pictures,
        batch,
        sampler=RandomSampler(pictures, replacement=True, num_samples=images),
        num_workers=workers,
        persistent_workers=True,
    )
    return lambda: sum(len(batch) for batch in loader)


class Pictures:
    """What torch calls a map-style data set: uint8 [3, size, size] of each file, as torchvision's usual transforms."""

    def __init__(self, paths: Sequence[str], size: int) -> None:
        self.paths, self.size = paths, size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int):
        import numpy as np
        import torch
        from PIL import Image

        with Image.open(self.paths[index]) as file:
            image = file.convert("RGB")
        image = image.resize((self.size, self.size), Image.Resampling.BILINEAR, box=self.window(image.size))
        if torch.rand(1) < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()

    @staticmethod
    def window(shape: tuple[int, int]) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of a random crop of an image of a width and a height."""
        import torch

        (width, height), draws = shape, torch.rand(4).tolist()
        area = width * height * (AREA[0] + (AREA[1] - AREA[0]) * draws[0])
        narrowest, widest = map(math.log, ASPECT_RATIO)
        ratio = math.exp(narrowest + (widest - narrowest) * draws[1])
        across, down = min(width, round(math.sqrt(area * ratio))), min(height, round(math.sqrt(area / ratio)))
        left, top = int(draws[2] * (width - across + 1)), int(draws[3] * (height - down + 1))
        return left, top, left + max(1, across), top + max(1, down)


def decoding_alone(decode: Callable[[bytes], object], jpegs: Sequence[str], images: int, threads: int) -> Task:
    """A decoder of JPEGs: whole images are decoded, and nothing else is done with them."""
    pool = ThreadPoolExecutor(threads)

    def read(number: int) -> None:
        decode(Path(jpegs[number % len(jpegs)]).read_bytes())

    return lambda: len(list(pool.map(read, range(images), chunksize=8)))


def libjpeg_turbo() -> Callable[[bytes], object]:
    """libjpeg-turbo, through simplejpeg."""
    from simplejpeg import decode_jpeg

    return decode_jpeg


def pillow() -> Callable[[bytes], object]:
    """libjpeg-turbo, through Pillow."""
    import numpy as np
    from PIL import Image

    def decode(content: bytes) -> object:
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image.convert("RGB"))

    return decode


def opencv() -> Callable[[bytes], object]:
    """libjpeg-turbo, through OpenCV."""
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    return lambda content: cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)


DECODERS = {"simplejpeg": ("libjpeg-turbo", libjpeg_turbo), "PIL": ("Pillow", pillow), "cv2": ("OpenCV", opencv)}
"""By the module that has to be installed: the decoder's name, and what makes a function of a file's content."""
