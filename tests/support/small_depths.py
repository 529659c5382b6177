"""Networks for ImageNet of one or two blocks in each stage: the laws of the deep ones, tried in less time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from keras_resnet.facts import architectures


def small_depths() -> Iterator[None]:
    """A fixture: `ResNet(10)` of basic blocks, `ResNet(14)` of bottlenecks, and `ResNet(26)` of two a stage."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(architectures.IMAGENET, 10, ("basic", (1, 1, 1, 1)))
        patch.setitem(architectures.IMAGENET, 14, ("bottleneck", (1, 1, 1, 1)))
        patch.setitem(architectures.IMAGENET, 26, ("bottleneck", (2, 2, 2, 2)))
        yield
