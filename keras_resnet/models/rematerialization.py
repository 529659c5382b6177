"""A network computed with its blocks rematerialized, whatever its graph looks like."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

import keras

from keras_resnet.models.functional import calls_in_order, input_like
from keras_resnet.models.layers import Rematerialized

OF_BLOCK = re.compile(r"(conv\d+_block\d+)_.+")
"""The name of a layer in a block."""


@dataclass(frozen=True)
class Segment:
    """A part of a graph that one tensor enters and one leaves."""

    name: str
    input: keras.KerasTensor
    output: keras.KerasTensor


def rematerializing(network: keras.Model) -> keras.Model:
    """A model of the layers of another, in which each residual block is computed again for the gradient.

    Both share their layers, hence their weights and what of them is frozen; the graph of the other stays as it is. A
    block of which more than its end is an output stays as it is, too.

    Args:
        network: A functional model.
    """
    calls = calls_in_order(network)
    segments = {id(segment.output): segment for segment in _segments(calls, network.outputs)}
    inside = {segment.name for segment in segments.values()}
    start = keras.tree.map_structure(input_like, network.input)
    computed = dict(zip(map(id, network.inputs), keras.tree.flatten(start), strict=True))
    for call in calls:
        [output, *others] = call.outputs
        if segment := segments.get(id(output)):
            block = keras.Model(segment.input, segment.output, name=segment.name)
            dtype = call.operation.dtype_policy
            computed[id(output)] = Rematerialized(block, dtype=dtype, name=segment.name)(computed[id(segment.input)])
        elif not call.is_input and _block(call) not in inside:
            arguments, options = call.arguments.fill_in(computed)
            results = keras.tree.flatten(call.operation(*arguments, **options))
            computed |= zip(map(id, [output, *others]), results, strict=True)
    outputs = keras.tree.map_structure(lambda x: computed[id(x)], network.output)
    return keras.Model(start, outputs, name=network.name)


def _block(call) -> str | None:
    match = OF_BLOCK.fullmatch(call.operation.name)
    return match and match[1]


def _segments(calls: list, outputs: list[keras.KerasTensor]) -> list[Segment]:
    """The blocks of a graph."""
    members = defaultdict(list)
    for call in calls:
        members[_block(call)].append(call)
    members.pop(None, None)
    found = []
    for name, inside in members.items():
        made = {id(y) for call in inside for y in call.outputs}
        entering = {id(x): x for call in inside for x in call.input_tensors if id(x) not in made}
        used = {id(x) for call in calls if call not in inside for x in call.input_tensors} | set(map(id, outputs))
        leaving = [y for call in inside for y in call.outputs if id(y) in used]
        if len(entering) == len(leaving) == 1:
            found.append(Segment(name, *entering.values(), *leaving))
    return found
