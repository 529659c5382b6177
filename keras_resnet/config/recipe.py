"""Everything that may change the result of a training, as values that check themselves.

A recipe can grow: its fingerprint covers the fields that differ from their defaults, and a recipe.json may leave the
others out. Hence a default never changes, and the default of a new field does what was done before it.

The fingerprint of a `Recipe` names the experiment. One vocabulary: the field `ModelConfig.shortcut` is the flag
`--model.shortcut`, the JSON `{"model": {"shortcut": …}}`, and the tuner's axis `"model.shortcut"`.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from keras_resnet import validation
from keras_resnet.config import version_0_1
from keras_resnet.config.checked import Checked, build
from keras_resnet.config.fingerprint import changes, digest
from keras_resnet.config.schedule import ScheduleConfig
from keras_resnet.facts import architectures, augmentation
from keras_resnet.facts.architectures import Architecture, Block, BottleneckStride, Shortcut
from keras_resnet.facts.augmentation import Operation
from keras_resnet.facts.datasets import DATASETS

Family = Literal["imagenet", "cifar"]
DatasetName = Literal["digits", "cifar10", "cifar100", "imagenet", "folder"]
Normalization = Literal["per-pixel-mean", "per-channel"]
OptimizerName = Literal["sgd", "lars"]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
Keep = Literal["last", "best"]


@dataclass(frozen=True)
class ModelConfig(Checked):
    """The network."""

    family: Family = "cifar"
    """Networks of Table 1 (imagenet) or of Section 4.2 (cifar)."""
    depth: int = 20
    """Weighted layers: 18, 34, 50, 101 or 152; for cifar 6n+2, or 9n+2 with bottlenecks."""
    shortcut: Shortcut = "A"
    """Zero padding (A), projections where the shape changes (B) or everywhere (C), or None: the plain network."""
    block: Block = "basic"
    """Two 3x3 convolutions or a bottleneck. For cifar only: an imagenet network's follows from its depth."""
    bottleneck_stride: BottleneckStride = "1x1"
    """The convolution of a bottleneck that has the stride: 1x1 as the paper released it, or 3x3 ("v1.5")."""
    preactivation: bool = False
    """Batch normalization and ReLU before each convolution (He et al., 2016)."""
    zero_gamma: bool = False
    """Start the last batch normalization of each block at zero (Goyal et al., 2017)."""
    space_to_depth: bool = False
    """Compute the first convolution on blocks of 2x2 pixels, which suits TPUs; the weights stay the same. For imagenet
    only: a cifar network's has no stride."""
    remat: bool | None = None
    """Recompute activations in the backward pass, to save memory. None: only where the network is very deep."""

    def _check(self) -> None:
        if self.family == "imagenet" and self.block != "basic" and self.architecture.block != self.block:
            validation.refuse("block", f"'basic' in an imagenet network of depth {self.depth}", self.block)
        if self.family == "cifar" and self.space_to_depth:
            validation.refuse("space_to_depth", "False with family='cifar'", self.space_to_depth)
        _ = self.architecture

    @property
    def architecture(self) -> Architecture:
        """The plan of the network.

        Raises:
            ValueError: if there is no such depth.
        """
        return architectures.of(self.family, self.depth, self.block)


@dataclass(frozen=True)
class DataConfig(Checked):
    """The images, their augmentation and their normalization."""

    dataset: DatasetName = "cifar10"
    """The data set; folder is a directory with one folder of pictures for each class."""
    holdout: int = 0
    """Training images held out for validation; the paper's 45k/5k split is 5000. 0: validate on the test images."""
    augmentation: tuple[Operation, ...] = ("pad-crop", "flip")
    """Random changes of training images, in this order: a crop (pad-crop for cifar and digits; random-scale-crop, the
    paper's, or random-resized-crop, of random area and aspect ratio, for imagenet and folder), flip, and for imagenet
    and folder color-jitter and color-noise. The paper's are pad-crop flip, and random-scale-crop flip color-noise."""
    padding: int = 4
    """Pixels of zeros on each side before a pad-crop."""
    normalization: Normalization = "per-pixel-mean"
    """Subtract the mean image (the paper), or subtract each channel's mean and divide by its deviation."""
    image_size: int | None = None
    """Pixels along a side after the crop. For imagenet and folder only: the others have their own."""

    def _check(self) -> None:
        data = DATASETS[self.dataset]
        validation.at_least("holdout", self.holdout, 0)
        if data.train is not None and self.holdout >= data.train:
            validation.refuse("holdout", f"below the {data.train} training images of {self.dataset}", self.holdout)
        validation.at_least("padding", self.padding, 0)
        if data.image_shape is not None and self.image_size is not None:
            validation.refuse("image_size", f"None with dataset='{self.dataset}', which has a size", self.image_size)
        if data.image_shape is None and (self.image_size is None or self.image_size < 1):
            validation.refuse("image_size", f"positive with dataset='{self.dataset}', such as 224", self.image_size)
        augmentation.check(self.augmentation, data.images)

    @property
    def image_side(self) -> int:
        """The shorter side of the images that the network sees, in pixels."""
        shape = DATASETS[self.dataset].image_shape
        return min(shape[:2]) if shape else self.image_size or 0


@dataclass(frozen=True)
class OptimizerConfig(Checked):
    """The optimizer: from a gradient to an update."""

    name: OptimizerName = "sgd"
    """Stochastic gradient descent with momentum; in lars each kernel has a rate of its own, for very large batches."""
    momentum: float = 0.9
    """The share of the last update that is kept, from 0 to below 1."""
    nesterov: bool = False
    """Nesterov's momentum; the paper's is plain."""
    weight_decay: float = 1e-4
    """Coupled weight decay, as in Caffe, on the kernels of convolutions and of the classifier."""
    trust_coefficient: float = 0.001
    """lars: the length of an update over that of the weights, at a learning rate of 1 and without momentum."""
    global_clipnorm: float | None = None
    """Scale gradients down to this norm, taken over all weights and replicas, before the decay. None: never."""
    ema_momentum: float | None = None
    """Share of the old value in the moving average of weights and batch statistics, which is then what is measured
    and saved. None: no average."""

    def _check(self) -> None:
        validation.fraction("momentum", self.momentum)
        validation.positive("trust_coefficient", self.trust_coefficient)
        if self.global_clipnorm is not None:
            validation.positive("global_clipnorm", self.global_clipnorm)
        if self.ema_momentum is not None:
            validation.fraction("ema_momentum", self.ema_momentum)
        validation.at_least("weight_decay", self.weight_decay, 0)
        if self.nesterov and not self.momentum:
            validation.refuse("momentum", "positive with nesterov=True", self.momentum)


@dataclass(frozen=True)
class TrainingConfig(Checked):
    """The loop."""

    global_batch_size: int = 128
    """Images in one iteration, over all devices."""
    precision: Precision = "float32"
    """Of the activations; weights, statistics, logits and loss are float32 in all. float16 scales the loss."""
    normalization_batch_size: int | None = None
    """Images over which batch normalization takes its statistics, whatever the devices: global_batch_size for all of an
    iteration. None: those that a device has at a time."""
    precise_statistics: int = 0
    """Training images over which batch statistics are recomputed as an exact average after training; 0: the moving
    averages stay."""
    label_smoothing: float = 0.0
    """The share of the training target that all classes have in equal parts, from 0 to below 1."""
    accumulation: int = 1
    """Parts into which an iteration is divided, one after the other, to save memory; their gradients are summed."""
    seed: int = 0
    """Of the first weights, the order of the images and their augmentation."""
    log_every: int = 100
    """Iterations between two rows of history.csv; the error gate looks at each."""
    validate_every: int = 1000
    """Iterations between two validations; the plateau rule looks at each."""
    keep: Keep = "last"
    """The network that is measured and saved: that of the last iteration, or of the smallest validation error. The best
    was chosen by the validation images, hence its error on them is too small; a holdout leaves the test images out."""

    def _check(self) -> None:
        for name in ("global_batch_size", "accumulation", "log_every", "validate_every"):
            validation.positive(name, getattr(self, name))
        validation.at_least("precise_statistics", self.precise_statistics, 0)
        validation.fraction("label_smoothing", self.label_smoothing)
        if self.global_batch_size % self.accumulation:
            validation.refuse(
                "accumulation", f"a divisor of global_batch_size={self.global_batch_size}", self.accumulation
            )
        self._check_normalization()
        if not 0 <= self.seed < 2**31:
            validation.refuse("seed", "at least 0 and below 2**31", self.seed)

    def _check_normalization(self) -> None:
        images, part = self.normalization_batch_size, self.global_batch_size // self.accumulation
        if images is not None and (images < 1 or part % images):
            rule = f"a divisor of {part}, the images of an iteration"
            rule += f" in each of {self.accumulation} parts" if self.accumulation > 1 else ""
            validation.refuse("normalization_batch_size", rule, images)


@dataclass(frozen=True)
class Recipe(Checked):
    """Everything that may change the result of a training."""

    name: str
    """Letters, digits, dots and dashes: it becomes part of a directory's name."""
    description: str = ""
    """One line: what it trains, and the result to expect."""
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def _check(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            validation.refuse("name", "letters, digits, dots, dashes and underscores", self.name)
        smallest = self.model.architecture.strides
        if self.data.image_side < smallest:
            raise ValueError(
                f"`dataset` must have images of at least {smallest} pixels with family='{self.model.family}'. "
                f"Received: dataset='{self.data.dataset}', {self.data.image_side} pixels"
            )

    @property
    def fingerprint(self) -> str:
        """12 hexadecimal digits that differ between recipes that may give different results.

        They are those of the fields that differ from their defaults: a later version's new field, with a default that
        does what was done before it, leaves them as they are.
        """
        return digest(self.changes())

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The fingerprint, and that by which version 0.1 has named directories and results."""
        earlier = version_0_1.fingerprint(self.hyperparameters(), self.changes())
        return (self.fingerprint, *([earlier] if earlier else []))

    def hyperparameters(self) -> dict[str, Any]:
        """The recipe as nested dictionaries, without the name and the description."""
        return validation.hyperparameters(asdict(self))

    def changes(self) -> dict[str, Any]:
        """The hyperparameters that differ from their defaults."""
        return changes(self.hyperparameters(), Recipe("defaults").hyperparameters())

    def differences(self, other: Recipe) -> list[str]:
        """The changes from this recipe to another, as `"model.shortcut: 'A' -> 'B'"`."""
        return validation.differences(self.hyperparameters(), other.hyperparameters())

    def to_json(self) -> str:
        """The recipe as text that `from_json` turns into an equal recipe; defaults are written, too, for the reader."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """The recipe of a text that `to_json` of this or an earlier version wrote, or somebody by hand.

        Raises:
            ValueError: if the text is not JSON, if a key is unknown, or if a value is refused.
        """
        try:
            values = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"The recipe must be JSON. Received: {error}") from error
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls, values: Any) -> Recipe:
        """The recipe of JSON values, whose absent keys have their defaults.

        Raises:
            ValueError: if a key is unknown, or if a value is refused.
        """
        return build(cls, version_0_1.converted(values))

    @classmethod
    def read(cls, file: Path) -> Recipe:
        """The recipe in a file, such as that which a run left.

        Raises:
            ValueError: as `from_json` does, naming the file.
            OSError: if the file cannot be read.
        """
        try:
            return cls.from_json(file.read_text(encoding="utf-8-sig"))
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error


def hyperparameters_of(recorded: Any) -> dict[str, Any]:
    """The hyperparameters of a recipe that this or an earlier version recorded, with or without its name.

    Args:
        recorded: JSON values, as in a recipe.json or a checkpoint.

    Raises:
        ValueError: if a key is unknown, or if a value is refused.
    """
    named = {"name": "recorded", **recorded} if isinstance(recorded, dict) else recorded
    return Recipe.from_dict(named).hyperparameters()
