"""What a checkpoint holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_resnet.training.archives import Archive


def content(directory: Path, iteration: int) -> dict[str, Any]:
    """The arrays by name, and the document as `progress`."""
    with (directory / f"ckpt-{iteration}.npz").open("rb") as file:
        archive = Archive(file)
        return {name: archive.array(name) for name in archive.shapes} | {"progress": archive.document}
