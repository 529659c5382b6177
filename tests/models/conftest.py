"""Small networks: as a training leaves them, and for ImageNet."""

import pytest

from shaken_networks import make_network, noise, photographs, split
from small_depths import small_depths

__all__ = ["make_network", "noise", "photographs", "small_depths", "split"]

small_depths = pytest.fixture(small_depths)
