"""Damage of image files, found by decoding each of them once: of no framework, and the same for all."""

from __future__ import annotations

import importlib.util
import io
import re
import stat
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from keras_resnet.data.picture_files import exif
from keras_resnet.data.picture_files.finding import KINDS
from keras_resnet.data.picture_files.formats import JPEG_START, PNG_START, critical_chunks, decode_with_pillow
from keras_resnet.data.splits import PARALLEL_CALLS
from keras_resnet.host.files import special_file

ENDS = {JPEG_START: b"\xff\xd9", PNG_START: b"IEND\xaeB`\x82"}
"""The last bytes of whole files, by their first ones."""
OTHERS = {b"II*\x00": "TIFF", b"MM\x00*": "TIFF", b"\x00\x00\x00": "HEIF or AVIF", b"<": "HTML, XML or SVG"}
"""The first bytes of files that are sometimes named like pictures of the kinds that are read."""

COMPLAINT = re.compile(
    "Corrupt JPEG|Premature end of JPEG|Inconsistent progression|Invalid SOS|Warning: unknown JFIF|Unknown Adobe|"
    "Application transferred"
)
"""How the remarks begin that libjpeg makes on an image which it decodes all the same."""
HARMLESS = re.compile("Warning: unknown JFIF|Unknown Adobe")
"""Of those, the ones about whole images."""
SMALLEST = 8
"""The largest factor by which a JPEG is decoded smaller."""
TOGETHER = 512
"""Files that are given to the threads at a time."""
NAMED = 100
"""Unusable files that an error lists by name."""


class Examined(NamedTuple):
    """What there is to say of an image file.

    Attributes:
        unusable: Why it cannot be decoded, if it cannot.
        complaint: What libjpeg says of an image that it decodes, if anything.
        orientation: How the image is to be turned, 1 to 8 as in EXIF.
    """

    unusable: str | None = None
    complaint: str | None = None
    orientation: int = exif.UPRIGHT

    @property
    def fault(self) -> str | None:
        """Why it cannot be used, or not all of it can have been decoded."""
        if self.unusable or not self.complaint or HARMLESS.match(self.complaint):
            return self.unusable
        return f"damaged ({self.complaint.removeprefix('Corrupt JPEG data: ')})"


def examine(paths: Sequence[str], progress: Callable[[int], None] = lambda done: None) -> list[Examined]:
    """Decodes every file, in parallel.

    Args:
        paths: Of any files.
        progress: Called with the number of files that are done.
    """
    found: list[Examined] = []
    with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
        for start in range(0, len(paths), TOGETHER):
            found += pool.map(examine_file, paths[start : start + TOGETHER])
            progress(len(found))
    return found


def examine_file(path: str) -> Examined:
    """Decodes one file, at the least cost at which damage shows."""
    try:
        mode = Path(path).stat().st_mode
        if not stat.S_ISREG(mode):
            return Examined(f"{special_file(mode)}, not a file")
        content = Path(path).read_bytes()
    except OSError as error:
        return Examined(f"unreadable ({error.strerror})")
    return examine_content(content)


def examine_content(content: bytes) -> Examined:
    """Decodes the content of one file."""
    if not content:
        return Examined("empty")
    start = next((start for start in FORMATS if content.startswith(start)), None)
    if start is None:
        kind = next((kind for begin, kind in OTHERS.items() if content.startswith(begin)), None)
        return Examined(f"no {KINDS}" + (f", but {kind}" if kind else ""))
    name, module, package, decode = FORMATS[start]
    if not importlib.util.find_spec(module):
        return Examined(f"{name}, which needs {package} (pip install {package.lower()})")
    orientation = exif.orientation(content)
    try:
        return Examined(complaint=decode(content), orientation=orientation)
    except ValueError:
        # Some cameras append data of their own to a complete image: only decoding tells those from truncated ones.
        whole = start not in ENDS or content.endswith(ENDS[start])
        return Examined("damaged" if whole else "truncated", orientation=orientation)


def _decode_jpeg(content: bytes) -> str | None:
    """What libjpeg remarks on a JPEG, if anything.

    Raises:
        ValueError: if it cannot be decoded to its end.
    """
    import simplejpeg

    try:
        # A smaller image takes as much reading, and shows the same damage.
        simplejpeg.decode_jpeg(content, min_height=1, min_width=1, min_factor=SMALLEST, fastupsample=True, strict=True)
        return None
    except ValueError as error:
        complaint = COMPLAINT.match(str(error))
        if not complaint and not importlib.util.find_spec("PIL"):
            raise
    # libjpeg tells its first remark alone, after which an image may be cut, or whole: Pillow makes the difference.
    if importlib.util.find_spec("PIL"):
        _decode_jpeg_with_pillow(content)
    return complaint.string if complaint else None


def _decode_jpeg_with_pillow(content: bytes) -> None:
    from PIL.JpegImagePlugin import JpegImageFile

    try:
        with JpegImageFile(io.BytesIO(content)) as image:  # as large as it may be, which `Image.open` would refuse
            image.draft(None, (image.width // SMALLEST, image.height // SMALLEST))
            image.load()
    except Exception as error:  # of whatever kind
        raise ValueError(f"Pillow cannot decode the image: {error}") from error


def _decode_png(content: bytes) -> None:
    """Looks at the checksums, and unpacks the pixels."""
    try:
        unpacking = zlib.decompressobj()
        for kind, data in critical_chunks(content):
            if kind == b"IDAT":
                unpacking.decompress(data)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not unpacking.eof:
        raise ValueError("pixels are missing")


def _decode_other(content: bytes) -> None:
    decode_with_pillow(content)


FORMATS: dict[bytes, tuple[str, str, str, Callable[[bytes], str | None]]] = {
    JPEG_START: ("JPEG", "simplejpeg", "simplejpeg", _decode_jpeg),
    PNG_START: ("PNG", "zlib", "Python", _decode_png),
    b"RIFF": ("WebP", "PIL", "Pillow", _decode_other),
    b"BM": ("BMP", "PIL", "Pillow", _decode_other),
    b"GIF8": ("GIF", "PIL", "Pillow", _decode_other),
}
"""By the first bytes of a file: its format, the module that decodes it, its package, and a function of the content that
gives libjpeg's remark, if there is one, or raises a `ValueError` at damage."""


def describe(faults: Sequence[str], images: int) -> str:
    """The message about unusable files."""
    shown = [*faults[:NAMED], *[f"… and {len(faults) - NAMED:,} more"] * (len(faults) > NAMED)]
    return "\n  ".join([f"{len(faults):,} of {images:,} images cannot be used; repair or remove them:", *shown])
