"""The Keras model that the builders return."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras

from keras_resnet.facts.network_spec import NetworkSpec
from keras_resnet.models import weights_by_name
from keras_resnet.models.layers import Rematerialized
from keras_resnet.models.rematerialization import rematerializing
from keras_resnet.models.training_graph import training_graph
from keras_resnet.models.weights_by_name import HOLDERS
from keras_resnet.weights import metadata
from keras_resnet.weights.metadata import WeightsMetadata


@keras.saving.register_keras_serializable(package="keras_resnet")
class ResidualNetwork(keras.Model):
    """A functional Keras model with its feature pyramid and its specification, also after saving, loading or cloning.

    Both are read off the names of the layers. Beside its graph a network has only the metadata of its weights, which
    are saved with it, also by `save_weights`.

    Args:
        inputs: As of `keras.Model`.
        outputs: As of `keras.Model`.
        name: Name of the network.
        remat: Whether its blocks are rematerialized for the gradient when it is called. The graph, and so every
            `layer.output`, is the same either way. A model made of its tensors, such as `keras.Model(network.input,
            outputs)` or `keras.models.clone_model(network)`, is a graph of its own and does not rematerialize;
            `ResidualNetwork(…, remat=True)` does, and so does a model that calls the network.
        **kwargs: The other arguments of `keras.Model`.

    Attributes:
        preprocessing: Convention of the images, a key of `preprocessing.PREPROCESSING`; None where the network
            normalizes images itself, or has no weights whose convention is known.
        class_names: One for each class, or None.
    """

    preprocessing: str | None = None
    class_names: tuple[str, ...] | None = None

    def __init__(self, inputs, outputs, name: str | None = None, *, remat: bool = False, **kwargs):
        super().__init__(inputs, outputs, name=name, **kwargs)
        layers = tuple(self.layers)
        # Functions, because Keras would take layers and models for more layers of this one.
        self._listed: Callable | None = lambda: layers
        trained = training_graph(self) if keras.backend.backend() == "jax" else self
        self._rematerializing: Callable | None = rematerializing(trained).__call__ if remat else None
        self._training: Callable | None = trained.__call__ if trained is not self else None
        if remat:
            self.supports_jit = Rematerialized.supports_xla()

    @property
    def remat(self) -> bool:
        """Whether the blocks are rematerialized for the gradient."""
        return self._rematerializing is not None

    def call(self, inputs, training=None, mask=None, **kwargs):
        if self._rematerializing:
            return self._rematerializing(inputs, training=training)
        if training and mask is None and self._training:
            return self._training(inputs, training=training)
        return super().call(inputs, training=training, mask=mask, **kwargs)

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """Every layer in the order of the graph; those inside of others come late, before the end of the network.

        Only networks of more than 200 layers and those that older versions saved have layers inside of others, of
        `Rematerialized` and `ProjectionShortcut`.
        """
        if listed := getattr(self, "_listed", None):  # Keras asks a thousand times when it loads a thousand layers
            return list(listed())
        graph = super().layers
        holders = [layer for layer in graph if isinstance(layer, tuple(HOLDERS.values()))]
        inside = [inner for layer in holders for inner in inner_layers(layer)]
        inside = [layer for layer in inside if not isinstance(layer, keras.layers.InputLayer)]
        # Keras's files count the layers of each class: what comes behind must be of another.
        kinds = {type(layer).__name__ for layer in (*holders, *inside)}
        end = max((place for place, layer in enumerate(graph, 1) if type(layer).__name__ in kinds), default=0)
        return [*graph[:end], *inside, *graph[end:]]

    @layers.setter
    def layers(self, layers) -> None:
        super(ResidualNetwork, type(self)).layers.fset(self, layers)  # which Keras refuses

    @property
    def spec(self) -> NetworkSpec:
        """The specification, which decides the meaning of the weights.

        Raises:
            ValueError: if the layers are not those of a network of ours.
        """
        return spec_of(self)

    @property
    def weights_metadata(self) -> WeightsMetadata:
        """The metadata that are saved with the weights."""
        return WeightsMetadata(self.spec, self.preprocessing, self.class_names)

    def get_config(self) -> dict[str, Any]:
        """The graph and the metadata of the weights."""
        names = None if self.class_names is None else list(self.class_names)
        own = {"remat": self.remat, "preprocessing": self.preprocessing, "class_names": names}
        return super().get_config() | own

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects=None) -> ResidualNetwork:
        """The network of a configuration."""
        graph = dict(config)
        preprocessing, names = graph.pop("preprocessing", None), graph.pop("class_names", None)
        network = super().from_config(graph, custom_objects=custom_objects)
        network.preprocessing = preprocessing
        network.class_names = None if names is None else tuple(names)
        return network

    def save_weights(self, filepath, overwrite: bool = True, max_shard_size: float | None = None) -> None:
        """Keras's `save_weights`, with the metadata in the same file, or in the `.weights.json` that lists several."""
        super().save_weights(filepath, overwrite=overwrite, max_shard_size=max_shard_size)
        if not has_spec(self):  # layers of the user's own
            return
        if max_shard_size is not None:
            metadata.write_beside_shards(Path(filepath).with_suffix(".json"), self.weights_metadata)
        elif Path(filepath).is_file():
            metadata.write(filepath, self.weights_metadata)

    def load_weights(self, filepath, skip_mismatch: bool = False, **options) -> None:
        """Keras's `load_weights`; it also reads what older versions saved, whose layers lay inside of others."""
        if weights_by_name.lies_elsewhere(filepath, layers := list(inner_layers(self))):
            weights_by_name.load(filepath, layers, skip_mismatch=skip_mismatch)
        else:
            super().load_weights(filepath, skip_mismatch=skip_mismatch, **options)

    @property
    def pyramid_outputs(self) -> dict:
        """Level -> symbolic output of the last block with that stride.

        Level "P3" has 2^3 input pixels per position along one axis. Its block is the last one of a stage, or with
        `preactivation="slim"` the one before, where the last one has a stride.
        """
        layers = {layer.name: layer for layer in self.layers}
        strides: dict[tuple[int, int], int] = defaultdict(lambda: 1)
        for layer in layers.values():
            if (match := BLOCK_LAYER.fullmatch(layer.name)) and match["number"] != "0":
                strides[int(match["stage"]), int(match["block"])] *= layer.strides[0]
        stride = self.get_layer("conv1_conv").strides[0] * (2 if "pool1_pool" in layers else 1)
        outputs = {}
        for (stage, block), own in sorted(strides.items()):
            stride *= own
            outputs[f"P{stride.bit_length() - 1}"] = self.get_layer(f"conv{stage}_block{block}_out").output
        return outputs

    @property
    def image_shape(self) -> tuple:
        """(height, width, channels) of the input, or with the channels first; None where any size is taken."""
        return tuple(self.input_shape[1:])

    @property
    def data_format(self) -> str:
        """`"channels_last"` or `"channels_first"`."""
        return self.get_layer("conv1_conv").data_format


# Keras's `.h5` of a whole model names its class without the package.
keras.saving.get_custom_objects().setdefault("ResidualNetwork", ResidualNetwork)

BLOCK_LAYER = re.compile(r"conv(?P<stage>\d+)_block(?P<block>\d+)_(?P<number>\d)_conv")
"""A convolution of a block: number 0 is the projection."""


def spec_of(network: keras.Model) -> NetworkSpec:
    """The specification of a network, read off its layers.

    Raises:
        ValueError: if they are not those of a network of ours.
    """
    layers = {layer.name: layer for layer in inner_layers(network)}
    convs = [(name, match) for name in layers if (match := BLOCK_LAYER.fullmatch(name))]
    if "conv1_conv" not in layers or not convs:
        raise ValueError(
            f"{network.name!r} must be a network of this package: it has no layer conv1_conv, or no blocks"
        )
    convolutions = Counter(int(match["number"]) for _, match in convs)
    bottleneck, classifier = bool(convolutions[3]), layers.get("predictions")
    early = any(match["stage"] == "2" and layers[name].strides != (1, 1) for name, match in convs)
    strided = any(match["number"] == "2" and layers[name].strides != (1, 1) for name, match in convs)
    return NetworkSpec(
        family="imagenet" if "pool1_pool" in layers else "cifar",
        depth=convolutions[1] * (3 if bottleneck else 2) + 2,
        shortcut=_shortcut(layers, bottleneck),
        block="bottleneck" if bottleneck else "basic",
        bottleneck_stride="3x3" if bottleneck and strided else "1x1",
        preactivation=("slim" if early else True) if "post_bn" in layers else False,
        pool_padding="symmetric" if "pool1_pad" in layers else "same",
        classes=classifier.units if classifier else None,
        channels=layers["conv1_conv"].kernel.shape[-2],
    )


def has_spec(network: keras.Model) -> bool:
    """Whether the layers have the names of a network of ours."""
    names = {layer.name for layer in inner_layers(network)}
    return "conv1_conv" in names and any(BLOCK_LAYER.fullmatch(name) for name in names)


def _shortcut(layers: dict[str, keras.layers.Layer], bottleneck: bool) -> str | None:
    if not any(isinstance(layer, keras.layers.Add) for layer in layers.values()):
        return None
    projections = {match.groups()[:2] for name in layers if (match := BLOCK_LAYER.fullmatch(name)) and match[3] == "0"}
    # A projection where the shape stays tells C from B; the first bottleneck changes its shape even in conv2_x.
    same = {("2", "1")} if not bottleneck else set()
    if any(block != "1" or (stage, block) in same for stage, block in projections):
        return "C"
    return "B" if projections else "A"


def inner_layers(layer) -> Iterator[keras.layers.Layer]:
    """Every layer inside of a model or a layer that has `layers`, outer before inner, each once."""
    seen = {id(layer)}

    def walk(layer) -> Iterator[keras.layers.Layer]:
        for inner in getattr(layer, "layers", ()):
            if id(inner) not in seen:
                seen.add(id(inner))
                yield inner
                yield from walk(inner)

    return walk(layer)
