"""Translation of weights by the names of other packages into weights by ours, and back, without a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from keras_resnet.facts import architectures
from keras_resnet.facts.architectures import Layer
from keras_resnet.facts.network_spec import SHAPELESS, NetworkSpec, check_spec
from keras_resnet.facts.preprocessing import name_of
from keras_resnet.weights.arrays import Weights
from keras_resnet.weights.conversion import architecture_names
from keras_resnet.weights.conversion.channels import Orders, centered_orders, inverse, reordered
from keras_resnet.weights.conversion.layouts import LAYOUTS, Layout, detect
from keras_resnet.weights.conversion.recognition import AXES, identify, options_of
from keras_resnet.weights.metadata import WeightsMetadata
from keras_resnet.weights.readers.checkpoint import Checkpoint

UNUSED = "num_batches_tracked"

PASS_ON = (
    "If it is the paper's network all the same, give the arrays without what is said of them: "
    "weights=torch.load(file, weights_only=True)['state_dict']"
)


def converted(source: Mapping[str, np.ndarray] | Checkpoint) -> Weights:
    """The weights of another package as ours, with what is known of that package's networks.

    Args:
        source: Arrays by its names, alone or with what their file says of them; see `read_checkpoint` and
            `weights_loading.state_dict`.

    Raises:
        ValueError: if they have the names of no layout, belong to no network of ours, or are said to be of another.
    """
    checkpoint = source if isinstance(source, Checkpoint) else Checkpoint(dict(source))
    architecture_names.check(checkpoint.architecture, checkpoint.options, PASS_ON)
    layout = detect(checkpoint.state_dict)
    spec, assumed = identify(checkpoint.state_dict, layout), assumptions(checkpoint.state_dict, layout)
    architecture_names.check_depth(checkpoint.architecture, spec.depth, PASS_ON)
    said, names = checkpoint.metadata, None
    preprocessing: str | None = LAYOUTS[layout].preprocessing
    if said is not None:
        spec = replace(spec, **{argument: getattr(said.spec, argument) for argument in SHAPELESS})
        preprocessing, names, assumed = said.preprocessing, said.class_names, frozenset[str]()
    elif checkpoint.preprocessing is not None:
        preprocessing, assumed = name_of(checkpoint.preprocessing), assumed - {"preprocessing"}
    elif checkpoint.has_front:
        preprocessing = None
    return Weights(
        to_ours(checkpoint.state_dict, layout, spec),
        WeightsMetadata(spec, preprocessing, names),
        layout=layout,
        assumed=assumed,
        checkpoint=checkpoint,
    )


def assumptions(state_dict: Mapping[str, np.ndarray], layout: str) -> frozenset[str]:
    """What neither names nor shapes tell of weights, so that it follows from the habits of their package alone.

    Args:
        state_dict: Arrays by the package's names.
        layout: A key of `LAYOUTS`.

    Returns:
        `"preprocessing"`, and arguments of the builders.
    """
    spec, facts = identify(state_dict, layout), LAYOUTS[layout]
    open_ones = {"preprocessing"} | ({"bottleneck_stride"} if spec.block == "bottleneck" else set())
    if spec.family == "imagenet":
        open_ones.add("pool_padding")
    if facts.options["preactivation"]:  # of which there is one kind
        open_ones.discard("bottleneck_stride")
    if spec.shortcut == "A":  # the plain network has the same weights
        open_ones.add("shortcut")
    return frozenset(open_ones)


def to_ours(state_dict: Mapping[str, np.ndarray], layout: str, spec: NetworkSpec) -> dict[str, np.ndarray]:
    """The weights of a package's network by the names and in the order of axes of ours.

    Args:
        state_dict: Arrays by the package's names.
        layout: A key of `LAYOUTS`; see `detect`.
        spec: Specification of the network; see `identify`.

    Returns:
        float32 arrays by layer and variable, such as `conv1_conv/kernel`, in Keras's order of axes.

    Raises:
        ValueError: naming the first variable that is missing or has another shape, or one without a place.
    """
    facts, left, arrays = LAYOUTS[layout], dict(state_dict), {}
    for layer in weighted(spec):
        for variable, shape, needed in variables(layer, facts):
            ours = f"{layer.name}/{variable}"
            theirs = facts.name_of(ours, spec.depth)
            if theirs in left:
                arrays[ours] = _oriented(left.pop(theirs), shape, facts, f"{theirs} must have the shape {{}} of {ours}")
            elif needed:
                raise ValueError(f"The weights must have {theirs}, for {ours} of a network of ours. They have not")
    if more := [name for name in left if not name.endswith(UNUSED)]:
        raise ValueError(
            f"ResNet-{spec.depth} of {layout} must have a place for every weight. It has none for {len(more)}, "
            f"such as {more[0]}"
        )
    return reordered(facts.fold(arrays), _orders(facts, spec))


def from_ours(arrays: Mapping[str, np.ndarray], layout: str, spec: NetworkSpec) -> dict[str, np.ndarray]:
    """The weights of a network of ours as the same network of a package has them: the inverse of `to_ours`.

    Args:
        arrays: By layer and variable, in Keras's order of axes; see `weights_loading.weights_of`.
        layout: A key of `LAYOUTS`.
        spec: Specification of the network.

    Returns:
        float32 arrays by the package's names, in its order of axes.

    Raises:
        ValueError: if the package has no such network, or its weights are only read.
    """
    facts = LAYOUTS[layout]
    if facts.unfold is None:
        known = ", ".join(name for name, row in LAYOUTS.items() if row.unfold)
        raise ValueError(f"`layout` must be one of {known} to give weights to. Received: layout={layout!r}")
    check_fits(spec, layout)
    theirs = facts.unfold(reordered(arrays, inverse(_orders(facts, spec))))
    return {facts.name_of(name, spec.depth): _outputs_first(array, facts) for name, array in theirs.items()}


def check_fits(spec: NetworkSpec, layout: str) -> None:
    """Refuses a network that a package does not have.

    Raises:
        ValueError: naming the first argument that has another value.
    """
    facts = LAYOUTS[layout]
    allowed = {"family": facts.family} | options_of(facts, spec.block)
    check_spec(
        spec,
        {name: (value,) for name, value in allowed.items()} | {"shortcut": facts.shortcuts},
        whose=f"the networks of {layout}",
    )


def weighted(spec: NetworkSpec) -> Iterator[Layer]:
    """The layers that have weights in a network of ours."""
    architecture = spec.architecture
    side = architecture.image_size
    for layer in architectures.layers(
        architecture,
        shortcut=spec.shortcut,
        bottleneck_stride=spec.bottleneck_stride,
        preactivation=spec.preactivation,
        input_shape=(side, side, spec.channels),
        classes=spec.classes,
    ):
        if spec.classes or layer.kind != "dense":
            yield layer


def variables(layer: Layer, facts: Layout) -> Iterator[tuple[str, tuple[int, ...], bool]]:
    """Each variable of a layer in a package's network: name, shape in Keras's order, and whether it must be there."""
    each, extra = (layer.filters,), facts.extras.get(layer.kind)
    if layer.kind == "batch_normalization":
        yield from ((name, each, True) for name in ("gamma", "beta", "moving_mean", "moving_variance"))
        if extra:
            yield extra, (1,), True
        return
    window = (layer.kernel, layer.kernel) if layer.kind == "convolution" else ()
    yield "kernel", (*window, layer.in_filters, layer.filters), True
    yield "bias", each, layer.bias or extra == "bias"


def _oriented(array: np.ndarray, shape: tuple[int, ...], facts: Layout, rule: str) -> np.ndarray:
    """A package's array in Keras's order of axes.

    Raises:
        ValueError: with the rule, if it has another shape.
    """
    array = np.asarray(array)
    if facts.outputs_first and array.ndim in AXES:
        array = array.transpose(AXES[array.ndim])
    if array.shape != shape:
        raise ValueError(f"{rule.format(shape)}, in Keras's order of axes. Received: {array.shape}")
    return array


def _outputs_first(array: np.ndarray, facts: Layout) -> np.ndarray:
    """Our array in a package's order of axes."""
    if facts.outputs_first and array.ndim in AXES:
        array = array.transpose(np.argsort(AXES[array.ndim]))
    return np.ascontiguousarray(array)


def _orders(facts: Layout, spec: NetworkSpec) -> Orders:
    """The orders of channels that a package's networks have, where they differ from ours."""
    return centered_orders(spec) if facts.centered and spec.shortcut == "A" else {}
