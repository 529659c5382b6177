"""Signatures, docstrings and errors of the builders that are named after their depth."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any

from keras_resnet.validation import nearest

ELSEWHERE = {
    **dict.fromkeys(("num_classes", "n_classes", "nb_classes", "num_labels", "class_num"), "`classes`"),
    **dict.fromkeys(("pretrained", "pretrain", "weight"), "`weights`: 'imagenet', a file or a model"),
    **dict.fromkeys(
        ("input_size", "image_size", "img_size", "image_shape"), "`input_shape`: (height, width, channels)"
    ),
    **dict.fromkeys(("in_channels", "in_chans", "channels"), "`input_shape`: (height, width, channels)"),
    **dict.fromkeys(("activation", "top_activation"), "`classifier_activation`"),
    **dict.fromkeys(("zero_init_residual", "zero_init_last"), "`zero_gamma`"),
    **dict.fromkeys(("shortcut_type", "skip", "downsample"), "`shortcut`: 'A', 'B', 'C' or None"),
    **dict.fromkeys(("global_pool", "pool"), "`pooling`"),
    "no_top": "`include_top`",
    "top": "`include_top`",
    "sync_bn": "`synchronized`",
}
"""Our argument by the name that it has in other packages."""


def checked(builder: Callable) -> Callable:
    """The builder, whose errors name our argument for one that is called otherwise elsewhere."""
    return _public(builder, inspect.signature(builder, eval_str=True))


def of_depth(general: Callable, depth: int, name: str, summary: str, **fixed: Any) -> Callable:
    """The builder of one depth.

    Args:
        general: Builder of any depth, as `checked` returns it.
        depth: Weighted layers.
        name: Name of the builder.
        summary: First line of its docstring; the others are those of `general`.
        **fixed: Arguments of `general` that the builder does not take.
    """
    signature = inspect.signature(general)
    left = [each for each in signature.parameters.values() if each.name != "depth" and each.name not in fixed]

    def build(*arguments, **options):
        return general(depth, *arguments, **fixed, **options)

    build.__module__, build.__name__, build.__qualname__ = general.__module__, name, name
    build.__doc__ = _docstring(general.__doc__ or "", summary, {"depth", *fixed})
    return _public(build, signature.replace(parameters=left))


def _public(builder: Callable, signature: inspect.Signature) -> Callable:
    @functools.wraps(builder)
    def build(*arguments, **options):
        try:
            signature.bind(*arguments, **options)
        except TypeError as error:
            unknown = [name for name in options if name not in signature.parameters and repr(name) in str(error)]
            hint = _hint(unknown[0], signature) if unknown else ""
            raise TypeError(f"{builder.__name__}(): {error}{hint}") from None
        return builder(*arguments, **options)

    build.__signature__ = signature  # type: ignore[attr-defined]
    return build


def _hint(name: str, signature: inspect.Signature) -> str:
    ours = ELSEWHERE.get(name, "")
    if ours.partition("`")[2].partition("`")[0] in signature.parameters:
        return f". Here it is {ours}"
    if likely := nearest(name, signature.parameters):
        return f". {likely}"
    return f". The arguments are {', '.join(signature.parameters)}"


def _docstring(doc: str, summary: str, without: set[str]) -> str:
    """A docstring with another first line, without some of its arguments."""
    doc = inspect.cleandoc(doc)
    for argument in without:
        doc = re.sub(rf"^    {argument}: .*\n(?:        .*\n)*", "", doc, flags=re.MULTILINE)
    return f"{summary}\n{doc.partition(chr(10))[2]}"
