"""Image files in every encoding that is read, of noise, so that no difference between two decoders is smoothed away."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples of a pixel, by the color type of a PNG: gray, color, palette, gray and color with transparency."""
PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
ADOBE = b"\xff\xee\x00\x0eAdobe\x00d\x00\x00\x00\x00"
"""The segment by which a JPEG of four colors says how they are stored, but for its last byte."""


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise_image(noise: np.random.Generator, height: int, width: int, mode: str = "RGB") -> Image.Image:
    shape = (height, width, len(mode)) if len(mode) > 1 else (height, width)
    return Image.frombytes(mode, (width, height), noise.integers(0, 256, shape, np.uint8).tobytes())


def png(noise: np.random.Generator, color_type: int, depth: int, *, transparent: bool = False) -> bytes:
    """A PNG of 13x17 pixels in any of the encodings that the format has."""
    height, width = 13, 17
    row = -(-PNG_CHANNELS[color_type] * depth * width // 8)
    pixels = b"".join(b"\0" + noise.bytes(row) for _ in range(height))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0))]
    if color_type == 3:
        chunks.append((b"PLTE", noise.bytes(3 * 2**depth)))
    if transparent:
        chunks.append((b"tRNS", noise.bytes(2**depth) if color_type == 3 else bytes(2 * PNG_CHANNELS[color_type])))
    return png_of([*chunks, (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")])


def png_of(chunks: list[tuple[bytes, bytes]]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def print_jpeg(noise: np.random.Generator, transform: int | None) -> bytes:
    """A JPEG of cyan, magenta, yellow and black: as Adobe stores them (0), as brightness and colors (2), or plain."""
    content = encoded(noise_image(noise, 31, 45, "CMYK"), "JPEG", quality=95)
    assert ADOBE in content
    return content.replace(ADOBE + b"\0", b"" if transform is None else ADOBE + bytes([transform]))
