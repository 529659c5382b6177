"""Damaged files are judged as TensorFlow judges them, though it takes no part."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, PngImagePlugin

from keras_resnet.data.picture_files import damage
from keras_resnet.data.picture_files.shapes import UnknownShapeError, shape
from keras_resnet.data.preparation.complaints import listening
from pictures import smooth


def written(image: Image.Image, kind: str, **options) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


PICTURE = Image.fromarray(smooth(60, 90))
NOTE = PngImagePlugin.PngInfo()
NOTE.add_text("note", "of a camera" * 20)
FILES = {
    "jpeg": written(PICTURE, "JPEG"),
    "progressive": written(PICTURE, "JPEG", progressive=True, quality=95),
    "restarted": written(PICTURE, "JPEG", restart_marker_blocks=2),
    "gray": written(PICTURE.convert("L"), "JPEG"),
    "cmyk": written(PICTURE.convert("CMYK"), "JPEG"),
    "png": written(PICTURE, "PNG", pnginfo=NOTE),
    "palette": written(PICTURE.convert("P"), "PNG"),
    "transparent": written(PICTURE.convert("RGBA"), "PNG"),
    "png of 16 bits": tf.io.encode_png(smooth(60, 90).astype("uint16") * 200).numpy(),
}


def spoiled(content: bytes, noise: np.random.Generator) -> list[bytes]:
    """The file whole, with more behind it, cut, closed too early, and with some of it missing or changed."""
    size = len(content)
    found = [content, content + b"more of a camera"]
    found += [content[: max(9, int(size * share))] for share in (0, 0.1, 0.3, 0.7, 0.95)]
    found += [content[:-count] for count in (1, 2, 5, 13)]
    found += [content[: int(size * share)] + damage.ENDS[start(content)] for share in (0.5, 0.8)]
    for place in noise.integers(size // 2, size - 60, 6).tolist():
        found.append(content[:place] + content[place + 50 :])
        found.append(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        found.append(content[:place] + bytes(40) + content[place + 40 :])
    return found


def start(content: bytes) -> bytes:
    return next(start for start in damage.ENDS if content.startswith(start))


def judged_by_tensorflow(content: bytes) -> tuple[str | None, str | None]:
    with listening() as complaints:
        try:
            if content.startswith(damage.JPEG_START):
                tf.io.decode_jpeg(content, channels=3)
            else:
                tf.io.decode_png(content, channels=3)
        except tf.errors.OpError:
            return "damaged" if content.endswith(damage.ENDS[start(content)]) else "truncated", None
    return None, next(iter(complaints), None)


@pytest.mark.parametrize("name", FILES)
def test_the_verdict_is_that_of_tensorflow(name, noise, capfd):
    contents = spoiled(FILES[name], noise)
    expected = [judged_by_tensorflow(content) for content in contents]
    capfd.readouterr()
    examined = [damage.examine_content(content) for content in contents]
    assert [(one.unusable, one.complaint) for one in examined] == expected
    assert len(set(expected)) >= 3 and expected[:2] == [(None, None)] * 2
    assert capfd.readouterr() == ("", ""), "libjpeg says nothing by itself"


def test_a_remark_of_libjpeg_before_the_end_of_a_cut_file_does_not_hide_the_cut():
    content = FILES["jpeg"]
    scan = content.index(b"\xff\xda") + 20
    cut = content[:scan] + b"\xff\x31" + content[scan + 2 : -30]
    assert damage.examine_content(cut).unusable == "truncated"


@pytest.mark.parametrize("name", FILES)
def test_the_shape_stands_at_the_beginning(name):
    assert shape(FILES[name][:2000]) == (60, 90)
    with pytest.raises(UnknownShapeError):
        shape(FILES[name][:10])


@pytest.mark.parametrize("kind", ["WEBP", "BMP", "GIF"])
def test_the_shape_of_what_pillow_reads(kind):
    content = written(PICTURE, kind)
    assert shape(content) == (60, 90)
    with pytest.raises(UnknownShapeError):
        shape(content[:8])
