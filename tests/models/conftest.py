"""Small networks: as a training leaves them, and for ImageNet."""

import pytest

from cheap_kernels import cheap_kernels
from shaken_networks import make_network, noise, photographs, split
from small_depths import small_depths

__all__ = ["cheap_kernels", "make_network", "noise", "photographs", "small_depths", "split"]

small_depths, cheap_kernels = map(pytest.fixture, (small_depths, cheap_kernels))
