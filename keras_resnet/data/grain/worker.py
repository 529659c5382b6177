"""What a process that makes images runs first, in the place of the program that started it."""

import logging
import sys

if __name__ == "__mp_main__":
    # Grain imports JAX where it finds it: a third of a second and 115 MB for each process, none of which needs it.
    # It warns that there is none.
    sys.modules["jax"] = None  # type: ignore[assignment]
    logging.disable(logging.WARNING)
