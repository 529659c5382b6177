"""The optimizers, the learning rates, and what is minimized."""
