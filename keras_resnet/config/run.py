"""Everything about a training that must not change its result."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from keras_resnet import validation
from keras_resnet.config.checked import Checked
from keras_resnet.config.recipe import Recipe
from keras_resnet.facts.datasets import DATASETS

Cache = Literal["encoded", "decoded"]
Strategy = Literal["one_device", "mirrored", "multi_worker", "multi_process", "tpu", "auto"]


@dataclass(frozen=True)
class Run(Checked):
    """Everything about a training that must not change its result."""

    directory: str | None = None
    """The directory of the run. None: runs/NAME-FINGERPRINT, for folder runs/NAME-IMAGES-FINGERPRINT."""
    data_directory: str | None = None
    """The directory of the images: that of tensorflow-datasets, or the folder with the pictures."""
    cache: Cache | None = None
    """Keep the images of imagenet or folder in memory once they were read: encoded, for a slow or distant disk; or
    decoded, which takes several times the memory and spares the cores most of their work. None: read them anew in every
    epoch."""
    strategy: Strategy = "one_device"
    """The devices, and how they share the work; auto takes the most that there are. Several processes are multi_worker
    with TensorFlow, multi_process with JAX."""
    replicas: int | None = None
    """mirrored: GPUs, or parts of the CPU. None: all GPUs; on a CPU, as many as its cores, with JAX one."""
    join_timeout: float = 300.0
    """multi_worker, multi_process, tpu: seconds to wait for the other processes."""
    xla: bool = False
    """Compile the gradients of a replica with XLA. A TPU and JAX always do; TensorFlow's CPU is slower with it."""
    resume: bool = False
    """Continue the run in the directory from its last checkpoint; start it if there is none."""
    accept_changes: bool = False
    """Continue with a changed recipe or with other images, which replace those of the run."""
    iterations_per_call: int = 50
    """The most iterations between two looks at the progress; more is faster on an accelerator."""
    checkpoint_every: int = 1000
    """Iterations between two checkpoints."""
    keep_checkpoints: int = 3
    """Checkpoints that are kept: the latest ones, and that of the best validation error."""
    checkpoint_directory: str | None = None
    """The directory of the checkpoints; also gs://, s3:// and others of fsspec. None: in that of the run."""
    asynchronous_checkpoints: bool = False
    """Train on while a checkpoint is written."""
    checkpoint_timeout: float = 600.0
    """Seconds that writing a checkpoint may take."""

    def _check(self) -> None:
        positive = ("iterations_per_call", "checkpoint_every", "keep_checkpoints", "join_timeout", "checkpoint_timeout")
        for name in positive:
            validation.positive(name, getattr(self, name))
        if self.replicas is not None:
            validation.positive("replicas", self.replicas)
            if self.strategy != "mirrored":
                validation.refuse(
                    "replicas", f"None with strategy='{self.strategy}': it is for mirrored", self.replicas
                )
        if self.accept_changes and not self.resume:
            validation.refuse("accept_changes", "False without resume=True", self.accept_changes)

    def remembered(self) -> dict[str, Any]:
        """The values with which the run continues, fit for JSON: all but its directory, and requests made once."""
        kept = {
            key: value for key, value in asdict(self).items() if key not in ("directory", "resume", "accept_changes")
        }
        for key in ("data_directory", "checkpoint_directory"):
            if kept[key] is not None and "://" not in kept[key]:
                kept[key] = str(Path(kept[key]).expanduser().absolute())
        return kept

    def directory_for(self, recipe: Recipe) -> Path:
        """The directory of a recipe's run; where its images are somebody's own, their folder is a part of its name."""
        if self.directory:
            return Path(self.directory)
        if self.data_directory is None or not DATASETS[recipe.data.dataset].of_user:
            return directory_in(Path("runs"), recipe)
        images = Path(self.data_directory).expanduser().absolute()
        place = Path("runs") / f"{recipe.name}-{label(images)}-{recipe.fingerprint}"
        earlier = directory_in(Path("runs"), recipe)  # the name that versions before gave it
        return earlier if not place.exists() and _was_trained_on(earlier, images) else place


def directory_in(folder: Path, recipe: Recipe) -> Path:
    """The directory of a recipe's run in a folder of runs: NAME-FINGERPRINT, also by the fingerprint of version 0.1."""
    places = [folder / f"{recipe.name}-{fingerprint}" for fingerprint in recipe.fingerprints]
    return next((place for place in places if place.exists()), places[0])


def label(images: Path) -> str:
    """The name of a folder, as a part of another's name, and six digits that tell it from those of the same name."""
    name = re.sub(r"[^\w.]+", "-", images.name).strip("-.")[:40]
    digits = hashlib.sha256(os.fsencode(images)).hexdigest()[:6]
    return f"{name}-{digits}" if name else digits


def _was_trained_on(run: Path, images: Path) -> bool:
    """Whether a run was last started with a folder of images, as far as it tells."""
    try:
        start = json.loads((run / "environment.json").read_text(encoding="utf-8"))[-1]
        return bool(start["run"]["data_directory"] == str(images))
    except (OSError, ValueError, LookupError, TypeError):
        return False
