"""The Keras model that the builders return."""

from __future__ import annotations

import re
from collections.abc import Iterator

import keras

STAGE_OUTPUT = re.compile(r"conv(\d+)_block\d+_out")


@keras.saving.register_keras_serializable(package="keras_resnet")
class ResidualNetwork(keras.Model):
    """A functional Keras model that knows its feature pyramid, also after it was saved, loaded or cloned.

    The pyramid is read off the names of the layers, so that a network has no state beside its graph.
    """

    @property
    def pyramid_outputs(self) -> dict:
        """Level -> symbolic output of the last block with that stride.

        Level "P3" has 2^3 input pixels per position along one axis.
        """
        stages = {}
        for layer in self.layers:
            if match := STAGE_OUTPUT.fullmatch(layer.name):
                stages[int(match[1])] = layer.output
        names = {layer.name for layer in self.layers}
        first = self.get_layer("conv1_conv").strides[0] * (2 if "pool1_pool" in names else 1)
        return {f"P{first.bit_length() + stage - 3}": output for stage, output in sorted(stages.items())}

    @property
    def image_shape(self) -> tuple:
        """(height, width, channels) of the input, or with the channels first; None where any size is taken."""
        return tuple(self.input_shape[1:])

    @property
    def data_format(self) -> str:
        """Where the input has its channels."""
        return self.get_layer("conv1_conv").data_format

    def get_layer(self, name: str | None = None, index: int | None = None):
        """The layer of a name or index; a name is also looked for inside of projections and rematerialized blocks."""
        outer = {layer.name for layer in self.layers}
        if name is None or name in outer:
            return super().get_layer(name=name, index=index)
        inner = {layer.name: layer for layer in inner_layers(self)}
        return inner[name] if name in inner else super().get_layer(name=name)


def inner_layers(layer) -> Iterator[keras.layers.Layer]:
    """Every layer inside of a model or a layer that has `layers`, outer before inner."""
    for inner in getattr(layer, "layers", ()):
        yield inner
        yield from inner_layers(inner)
