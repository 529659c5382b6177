"""Small networks as a training leaves them."""

from shaken_networks import make_network, noise, photographs, split

__all__ = ["make_network", "noise", "photographs", "split"]
