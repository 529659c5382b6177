"""Weights by the names of other packages into weights by ours, and back, without a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from keras_resnet.facts import architectures
from keras_resnet.facts.architectures import Layer
from keras_resnet.facts.network_spec import NetworkSpec
from keras_resnet.weights.conversion.channels import Orders, centred_orders, inverse, reordered
from keras_resnet.weights.conversion.layouts import LAYOUTS, Layout
from keras_resnet.weights.conversion.recognition import AXES, check_form

UNUSED = "num_batches_tracked"


def to_ours(state: Mapping[str, np.ndarray], layout: str, form: NetworkSpec) -> dict[str, np.ndarray]:
    """The weights of a network of a package as a network of ours has them.

    Args:
        state: Arrays by the package's names; see `read_state` and `state_of`.
        layout: A key of `LAYOUTS`; see `detect`.
        form: Of the network; see `identify`.

    Returns:
        float32 arrays by layer and variable, such as `conv1_conv/kernel`, in Keras's order of axes.

    Raises:
        ValueError: naming the first variable that is missing or has another shape, or one that there is no place for.
    """
    facts, left, found = LAYOUTS[layout], dict(state), {}
    for layer in weighted(form):
        for variable, shape, needed in variables(layer, facts):
            ours = f"{layer.name}/{variable}"
            theirs = facts.theirs(ours, form.depth)
            if theirs in left:
                found[ours] = _oriented(left.pop(theirs), shape, facts, f"{theirs} must have the shape {{}} of {ours}")
            elif needed:
                raise ValueError(f"The weights must have {theirs}, for {ours} of a network of ours. They have not")
    if more := [name for name in left if not name.endswith(UNUSED)]:
        raise ValueError(
            f"ResNet-{form.depth} of {layout} must have a place for every weight. It has none for {len(more)}, "
            f"such as {more[0]}"
        )
    return reordered(facts.fold(found), _orders(facts, form))


def from_ours(ours: Mapping[str, np.ndarray], layout: str, form: NetworkSpec) -> dict[str, np.ndarray]:
    """The weights of a network of ours as the same network of a package has them: the inverse of `to_ours`.

    Args:
        ours: Arrays by layer and variable, in Keras's order of axes.
        layout: A key of `LAYOUTS`.
        form: Of the network.

    Returns:
        float32 arrays by the package's names, in its order of axes.

    Raises:
        ValueError: if the package has no such network, or nothing is written for it.
    """
    facts = LAYOUTS[layout]
    if facts.unfold is None:
        known = ", ".join(name for name, row in LAYOUTS.items() if row.unfold)
        raise ValueError(f"`layout` must be one of {known} to give weights to. Received: layout={layout!r}")
    check_form(form, layout)
    theirs = facts.unfold(reordered(ours, inverse(_orders(facts, form))))
    return {facts.theirs(name, form.depth): _outputs_first(array, facts) for name, array in theirs.items()}


def weighted(form: NetworkSpec) -> Iterator[Layer]:
    """The layers that have weights in a network of ours."""
    architecture = form.architecture
    side = architecture.image_size
    for layer in architectures.layers(
        architecture,
        shortcut=form.shortcut,
        bottleneck_stride=form.bottleneck_stride,
        preactivation=form.preactivation,
        input_shape=(side, side, form.channels),
        classes=form.classes,
    ):
        if form.classes or layer.kind != "dense":
            yield layer


def variables(layer: Layer, facts: Layout) -> Iterator[tuple[str, tuple[int, ...], bool]]:
    """Each variable of a layer in a package's network, its shape in Keras's order, and whether it must be there."""
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
    """An array of theirs in Keras's order of axes.

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
    """An array of ours in their order of axes."""
    if facts.outputs_first and array.ndim in AXES:
        array = array.transpose(np.argsort(AXES[array.ndim]))
    return np.ascontiguousarray(array)


def _orders(facts: Layout, form: NetworkSpec) -> Orders:
    """Where their channels are in another order than ours."""
    return centred_orders(form) if facts.centred and form.shortcut == "A" else {}
