"""The YAML in front of a page, read by a library for it."""

from __future__ import annotations

import pytest
import yaml

from keras_resnet.reporting import yaml_header

TEXTS = (
    "apache-2.0", "image-classification", "uoft-cs/cifar10", "center crop", "", " ", "yes", "No", "null", "y", "~",
    "10", "1e3", "0x1f", "2026-01-02", "a: b", "a #b", "a\nb", "- a", "'", '"', "\\", "[", "{", "&a", "*a", "!a", "%",
    "@", "Gr\u00fc\u00dfe \U0001f600", "\x7f\x85\u2028\ufeff", "\x00\t", "a ", ".5", "true.", "=", "<<",
)  # fmt: skip


def test_every_value_is_read_as_it_was():
    values = {
        "texts": list(TEXTS),
        **{f"{text} as a key": text for text in TEXTS},
        "nested": [{"a": 1, "b": [{"c": [1, 2]}, [3, [4]]]}, {"d": {"e": {}, "f": []}}],
        "numbers": [0, -3, 0.125, 1e-5, 91.25, 100.0, 64_000],
        "others": [True, False, None],
    }
    written = yaml_header.header(values)
    assert written.startswith("---\n") and written.endswith("\n---")
    assert yaml.safe_load(written.removeprefix("---\n").removesuffix("\n---")) == values


def test_a_simple_text_has_no_quotes():
    assert yaml_header.header({"library_name": "keras", "tags": ["resnet"]}) == (
        "---\nlibrary_name: keras\ntags:\n  - resnet\n---"
    )


def test_what_yaml_has_several_words_for_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        yaml_header.header({"loss": float("nan")})
