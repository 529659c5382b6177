"""Images that stay in memory once they were read, one copy for all processes that make batches of them."""

from __future__ import annotations

import struct
import weakref
from dataclasses import dataclass, field

import numpy as np

from keras_resnet.data.encoded_splits import EncodedSplit
from keras_resnet.data.grain.encoded_images import DecodedImage, EncodedImage, Image, has_full_resolution
from keras_resnet.host.memory_file import MemoryFile

HEAD = struct.Struct("<qii")
"""Before what is kept of an image: its bytes, and height and width of its pixels, or zeros for a file."""
APART = 1 << 32
"""Bytes from the place of an image to that of the next, more than any image has; nothing is there between them."""

_memories: weakref.WeakKeyDictionary[EncodedSplit, ImageMemory] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class ImageMemory:
    """Files or pixels of images, by index. Two processes may keep the same image at once: they write the same."""

    file: MemoryFile = field(default_factory=MemoryFile)

    def keep(self, index: int, content: bytes | np.ndarray) -> None:
        """Keeps a file, or pixels uint8 [height, width, 3]."""
        shape = (0, 0) if isinstance(content, bytes) else content.shape[:2]
        data = content if isinstance(content, bytes) else memoryview(np.ascontiguousarray(content)).cast("B")
        self.file.write(index * APART + HEAD.size, [data])
        # Last: whoever finds the head finds all.
        self.file.write(index * APART, [HEAD.pack(len(data), *shape)])

    def get(self, index: int) -> bytes | np.ndarray | None:
        """What is kept of an image, if anything."""
        head = bytearray(HEAD.size)
        self.file.read(index * APART, head)
        size, height, width = HEAD.unpack(head)
        if not size:
            return None
        data = np.empty(size, np.uint8)
        self.file.read(index * APART + HEAD.size, memoryview(data))
        return data.reshape(height, width, 3) if height else data.tobytes()


def of(split: EncodedSplit) -> ImageMemory | None:
    """The memory of a split, which all iterators over it share; `None` where nothing is to be kept."""
    if split.cache and split not in _memories:
        _memories[split] = ImageMemory()
    return _memories.get(split)


def image(split: EncodedSplit, memory: ImageMemory | None, index: int) -> Image:
    """An image of a split; the pixels are the same, whatever the memory holds of it.

    Raises:
        ValueError, OSError: if it cannot be read; in some cases, if it cannot be decoded.
    """
    kept = memory.get(index) if memory else None
    if kept is None:
        kept = split.read(index)
        if memory:
            kept = _worth_keeping(split, kept, index)
            memory.keep(index, kept)
    return EncodedImage(kept, split.orientation(index)) if isinstance(kept, bytes) else DecodedImage(kept)


def _worth_keeping(split: EncodedSplit, content: bytes, index: int) -> bytes | np.ndarray:
    """What the split's cache holds of a file."""
    if split.cache == "decoded":
        decoded = EncodedImage(content, split.orientation(index))
        if has_full_resolution(decoded.shape, split.image_size):
            return np.ascontiguousarray(decoded.whole())
    return content
