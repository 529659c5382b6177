"""Trained networks, from wherever they are: a run, a saved network, or weights of this and of other packages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_resnet.config.recipe import Recipe
from keras_resnet.experiment import build
from keras_resnet.models import weights_loading
from keras_resnet.models.preprocessing import PREPROCESSING
from keras_resnet.models.residual_network import ResidualNetwork
from keras_resnet.models.weights_loading import Weights
from keras_resnet.runs.directory import RunDirectory


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A network that can be asked, and what is known of it.

    Args:
        network: From uint8 images [batch, height, width, channels] of 0 to 255, red first, to float32 logits
            [batch, classes].
        class_names: One for each class, or None.
        recipe: What trained it, if it is of a run.
        source: Where it comes from.
    """

    network: ResidualNetwork
    class_names: tuple[str, ...] | None
    recipe: Recipe | None
    source: Path


def load(source: str | Path, preprocessing: str | None = None) -> TrainedNetwork:
    """A trained network.

    Args:
        source: The directory of a run; a `.keras` file; or weights: a `.weights.h5` of this package, or a file of any
            layout in `conversion.LAYOUTS`.
        preprocessing: A key of `PREPROCESSING`, only for a file that says nothing of it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is something else, or damaged, or says something else of its preprocessing.
    """
    path = Path(source)
    if path.is_dir():
        return _of_run(RunDirectory(path))
    if not path.is_file():
        raise FileNotFoundError(f"There is no file or directory {path}")
    if path.suffix != ".keras":
        return _of_weights(path, weights_loading.read(path), preprocessing)
    network = weights_loading.load_network(path)
    if _takes_images(network):
        if preprocessing is not None:
            raise ValueError(
                f"`preprocessing` must be None: {path} normalizes images itself. Received: {preprocessing!r}"
            )
        return TrainedNetwork(network, network.class_names, None, path)
    return _of_weights(path, weights_loading.of(network), preprocessing)


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
    return linear and top.name == "predictions" and any(layer.name == "normalization" for layer in network.layers)


def _of_weights(path: Path, found: Weights, preprocessing: str | None) -> TrainedNetwork:
    """The network that some weights belong to, with their normalization in front of it."""
    carried = found.carried
    if carried is None:
        raise ValueError(f"{path} does not say of which network it is: load it into one, and save that again")
    if preprocessing and carried.preprocessing not in (None, preprocessing):
        raise ValueError(
            f"`preprocessing` must be None or '{carried.preprocessing}', which {path} says of its weights. "
            f"Received: {preprocessing!r}"
        )
    convention = preprocessing or carried.preprocessing
    if convention not in PREPROCESSING:
        raise ValueError(
            f"{path} does not say what its network wants to see. `preprocessing` must be one of "
            f"{', '.join(PREPROCESSING)}. Received: {convention!r}"
        )
    if carried.form.classes is None:
        raise ValueError(f"{path} must hold a network with its classifier. It has none")
    return TrainedNetwork(from_images(found, convention), carried.class_names, None, path)


def from_images(found: Weights, convention: str) -> ResidualNetwork:
    """A network from uint8 images of three channels to logits.

    Args:
        found: Its weights.
        convention: What images must be turned into, a key of `PREPROCESSING`. A network that wants blue first has the
            channels of its first kernel turned around instead.

    Raises:
        ValueError: if the weights are not for three channels.
    """
    form, rule = found.carried.form, PREPROCESSING[convention]
    if form.channels != 3:
        raise ValueError(f"The weights must be for images of 3 channels. Received: {form.channels}")
    mean, deviation = (np.array(values, "float32")[None, None] for values in (rule.mean, rule.deviation))
    side = form.architecture.image_size
    image = keras.Input((side, side, 3), dtype="uint8", name="image")
    network = build.BUILDERS[form.family](
        **form.options,
        input_tensor=build.normalization(mean, deviation)(image),
        classifier_activation=None,
        data_format="channels_last",
    )
    arrays = dict(found.arrays)
    if rule.reverses:
        arrays["conv1_conv/kernel"] = arrays["conv1_conv/kernel"][:, :, ::-1]
    weights_loading.check(network, arrays)
    weights_loading.assign(network, arrays)
    network.class_names = found.carried.class_names
    return network
