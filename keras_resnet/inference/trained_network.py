"""Trained networks, from wherever they are: a run, a saved network, or weights of this and of other packages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_resnet.config.recipe import Recipe
from keras_resnet.facts.preprocessing import PREPROCESSING, Preprocessing
from keras_resnet.models import input_normalization, weights_loading
from keras_resnet.models.residual_network import ResidualNetwork
from keras_resnet.models.resnet import BUILDERS
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.weights.arrays import Weights


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A network to be used, with its classes and its origin.

    Args:
        network: From uint8 images [batch, height, width, channels] of 0 to 255, red first, to float32 logits
            [batch, classes].
        class_names: One for each class, or None.
        recipe: The recipe of its training, if it is of a run.
        source: The run, or the file.
    """

    network: ResidualNetwork
    class_names: tuple[str, ...] | None
    recipe: Recipe | None
    source: Path


def load(source: str | Path, preprocessing: str | None = None, *, entry: str | None = None) -> TrainedNetwork:
    """A trained network.

    Args:
        source: The directory of a run; a `.keras` file; or weights: a `.weights.h5` of this package, or a file of any
            layout in `weights.conversion.LAYOUTS`.
        preprocessing: A key of `PREPROCESSING`, only for a file that does not say its own.
        entry: Key of the weights in a checkpoint of PyTorch that holds several; see `weights_loading.read`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is something else, or damaged, or says another preprocessing.
    """
    path = Path(source)
    if path.is_dir():
        return _of_run(RunDirectory(path))
    if not path.is_file():
        raise FileNotFoundError(f"There is no file or directory {path}")
    if path.suffix != ".keras" or not weights_loading.holds_our_network(path):
        return _of_weights(path, weights_loading.read(path, entry), preprocessing)
    network = weights_loading.load_network(path)
    if _takes_images(network):
        if preprocessing is not None:
            raise ValueError(
                f"`preprocessing` must be None: {path} normalizes images itself. Received: {preprocessing!r}"
            )
        return TrainedNetwork(network, network.class_names, None, path)
    return _of_weights(path, weights_loading.weights_of(network), preprocessing)


def _of_run(directory: RunDirectory) -> TrainedNetwork:
    """The network that a finished run left."""
    directory.require_network()
    recipe = Recipe.read(directory.recipe)
    names = tuple(directory.read_result()["class_names"])
    return TrainedNetwork(weights_loading.load_network(directory.model), names, recipe, directory.path)


def _takes_images(network: ResidualNetwork) -> bool:
    """Whether a network goes from images to logits, as those do that a training leaves."""
    top = network.layers[-1]
    linear = getattr(top, "activation", None) is keras.activations.linear
    return (
        linear and top.name == "predictions" and any(layer.name == input_normalization.NAME for layer in network.layers)
    )


def _of_weights(path: Path, weights: Weights, preprocessing: str | None) -> TrainedNetwork:
    """The network that some weights belong to, with its normalization in front of it."""
    weights = weights.stated(path, preprocessing=preprocessing)
    if weights.preprocessing is None:
        raise ValueError(
            f"{path} does not say what its network wants to see. `preprocessing` must be one of "
            f"{', '.join(PREPROCESSING)}. Received: {weights.metadata.preprocessing!r}"
        )
    if weights.metadata.spec.classes is None:
        raise ValueError(f"{path} must hold a network with its classifier. It has none")
    return TrainedNetwork(from_images(weights, weights.preprocessing), weights.metadata.class_names, None, path)


def from_images(weights: Weights, preprocessing: Preprocessing) -> ResidualNetwork:
    """A network from uint8 images to logits.

    Args:
        weights: Its weights, with their metadata.
        preprocessing: What it wants to see. Where that has blue first, the channels of the first kernel are reversed
            instead of the image's.

    Raises:
        ValueError: if the weights are for another number of channels.
    """
    spec = weights.metadata.spec
    if spec.channels != len(preprocessing.mean):
        raise ValueError(
            f"The weights must be for images of {len(preprocessing.mean)} channels. Received: {spec.channels}"
        )
    mean, deviation = (
        np.array(values, "float32")[None, None] for values in (preprocessing.mean, preprocessing.deviation)
    )
    side = spec.architecture.image_size
    image = keras.Input((side, side, spec.channels), dtype="uint8", name="image")
    network = BUILDERS[spec.family](
        **spec.options,
        input_tensor=input_normalization.layer(mean, deviation)(image),
        classifier_activation=None,
        data_format="channels_last",
    )
    arrays = dict(weights.arrays)
    if preprocessing.reverses:
        arrays["conv1_conv/kernel"] = arrays["conv1_conv/kernel"][:, :, ::-1]
    weights_loading.assign(network, arrays)
    network.class_names = weights.metadata.class_names
    return network
