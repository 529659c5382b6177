"""Names of every package, and the networks that are known by them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from keras_resnet.facts.network_spec import NetworkSpec
from keras_resnet.models.preprocessing import PREPROCESSING
from keras_resnet.weights.conversion import LAYOUTS, detect, from_ours, identify, to_ours
from keras_resnet.weights.conversion.translation import variables, weighted

LATE = {"bottleneck_stride": "3x3", "pool_padding": "symmetric"}
SPECS = [
    *(("torchvision", NetworkSpec("imagenet", depth, "B", "basic", pool_padding="symmetric")) for depth in (18, 34)),
    *(("torchvision", NetworkSpec("imagenet", depth, "B", "bottleneck", **LATE)) for depth in (50, 101, 152)),
    *(("akamaster", NetworkSpec("cifar", depth, "A", "basic")) for depth in (20, 32, 44, 56, 110, 1202)),
    ("akamaster", NetworkSpec("cifar", 20, "B", "basic")),
    *(("keras", NetworkSpec("imagenet", d, "B", "bottleneck", pool_padding="symmetric")) for d in (50, 101, 152)),
    *(
        ("keras_v2", NetworkSpec("imagenet", d, "B", "bottleneck", preactivation="slim", **LATE))
        for d in (50, 101, 152)
    ),
    ("keras_hub", NetworkSpec("imagenet", 18, "B", "basic", pool_padding="symmetric")),
    *(("keras_hub", NetworkSpec("imagenet", depth, "B", "bottleneck", **LATE)) for depth in (50, 101, 152)),
    *(("caffe", NetworkSpec("imagenet", depth, "B", "bottleneck")) for depth in (50, 101, 152)),
    ("torchvision", NetworkSpec("imagenet", 50, "C", "bottleneck", **LATE)),
]


def state_dict_of(layout: str, spec: NetworkSpec, fill=lambda shape: np.broadcast_to(np.float32(1), shape)):
    """Every variable that a package's network of a specification must have, in the package's order of axes."""
    facts, state = LAYOUTS[layout], {}
    for layer in weighted(spec):
        for variable, shape, needed in variables(layer, facts):
            late = layout == "keras_v2" and variable == "bias" and layer.name.endswith(("_0_conv", "_3_conv"))
            if needed or late:
                theirs = (shape[-1], *shape[-2:-1], *shape[:-2]) if facts.outputs_first else shape
                state[facts.name_of(f"{layer.name}/{variable}", spec.depth)] = fill(theirs)
    return state


@pytest.mark.parametrize("top", [7, None], ids=["with top", "without"])
@pytest.mark.parametrize(
    ("layout", "spec"), SPECS, ids=[f"{layout} {spec.depth} {spec.shortcut}" for layout, spec in SPECS]
)
def test_layout_and_specification_are_found_by_names_and_shapes(layout, spec, top):
    spec = replace(spec, classes=top, channels=4)
    state = state_dict_of(layout, spec)
    assert detect(state) == layout
    assert identify(state, layout) == spec


@pytest.mark.parametrize(
    ("layout", "depth", "ours", "theirs"),
    [
        ("torchvision", 50, "conv4_block6_2_bn/moving_variance", "layer3.5.bn2.running_var"),
        ("torchvision", 50, "conv3_block1_0_conv/kernel", "layer2.0.downsample.0.weight"),
        ("akamaster", 20, "conv3_block1_0_bn/gamma", "layer2.0.shortcut.1.weight"),
        ("akamaster", 20, "predictions/kernel", "linear.weight"),
        ("keras", 50, "conv2_block1_0_conv/bias", "conv2_block1_0_conv/bias"),
        ("keras_hub", 18, "conv3_block2_1_conv/kernel", "stack1_block1_1_conv/kernel"),
        ("keras_hub", 18, "conv1_bn/beta", "conv1_bn/beta"),
        ("caffe", 50, "conv1_conv/bias", "conv1/1"),
        ("caffe", 50, "conv1_bn/moving_mean", "bn_conv1/0"),
        ("caffe", 50, "conv1_bn/gamma", "scale_conv1/0"),
        ("caffe", 50, "conv3_block2_1_conv/kernel", "res3b_branch2a/0"),
        ("caffe", 50, "conv4_block6_3_bn/beta", "scale4f_branch2c/1"),
        ("caffe", 101, "conv3_block1_0_bn/factor", "bn3a_branch1/2"),
        ("caffe", 101, "conv3_block2_2_conv/kernel", "res3b1_branch2b/0"),
        ("caffe", 101, "conv4_block23_1_bn/moving_variance", "bn4b22_branch2a/1"),
        ("caffe", 101, "conv2_block2_1_conv/kernel", "res2b_branch2a/0"),
        ("caffe", 152, "conv5_block3_3_conv/kernel", "res5c_branch2c/0"),
        ("caffe", 152, "predictions/bias", "fc1000/1"),
    ],
)
def test_names(layout, depth, ours, theirs):
    assert LAYOUTS[layout].name_of(ours, depth) == theirs


@pytest.mark.parametrize(
    ("layout", "spec"), SPECS, ids=[f"{layout} {spec.depth} {spec.shortcut}" for layout, spec in SPECS]
)
def test_no_two_variables_have_one_name(layout, spec):
    spec = replace(spec, classes=7)
    every = [(f"{layer.name}/{v}") for layer in weighted(spec) for v, *_ in variables(layer, LAYOUTS[layout])]
    assert len({LAYOUTS[layout].name_of(name, spec.depth) for name in every}) == len(every)


@pytest.mark.parametrize("layout", [name for name, row in LAYOUTS.items() if row.unfold])
def test_what_is_given_back_is_the_same_again(layout):
    """Small networks of every layout, with every value another."""
    random = np.random.default_rng(0)
    spec = replace(next(spec for name, spec in SPECS if name == layout), classes=7)
    state = state_dict_of(layout, spec, lambda shape: random.uniform(0.5, 1.5, shape).astype("float32"))
    ours = to_ours(state, layout, spec)
    again = to_ours(from_ours(ours, layout, spec), layout, spec)
    assert set(again) == set(ours)
    for name, array in ours.items():
        if layout in ("keras", "keras_v2") and name.endswith("moving_variance"):
            np.testing.assert_allclose(again[name], array, rtol=1e-6)
        else:
            np.testing.assert_array_equal(again[name], array)


def test_every_layout_says_what_its_images_are_turned_into():
    assert {facts.preprocessing for facts in LAYOUTS.values()} <= set(PREPROCESSING)


@pytest.mark.parametrize(
    "names", [["a", "b"], [], ["conv1_conv/kernel", "conv1_bn/gamma", "conv5_block1_1_conv/kernel"]]
)
def test_names_of_no_layout_are_refused(names):
    """Such as those of this package's own files."""
    with pytest.raises(ValueError, match="must have the names of one of torchvision, akamaster, keras, .* Received: "):
        detect(names)


FIFTY = replace(next(spec for name, spec in SPECS if name == "torchvision" and spec.depth == 50), classes=7)
EIGHTEEN = replace(SPECS[0][1], classes=7)
SLIM = next(spec for name, spec in SPECS if name == "keras_v2")


def without(part: str):
    return lambda state: {name: array for name, array in state.items() if part not in name}


@pytest.mark.parametrize(
    ("spec", "change", "message"),
    [
        (FIFTY, without("layer1.2."), "must be of stages of 3, 4, 6, 3 or .* bottleneck blocks. Received: 2, 4, 6, 3"),
        (EIGHTEEN, without("layer4."), "must be of stages of 2, 2, 2, 2 or 3, 4, 6, 3 basic blocks. Received: 2, 2, 2"),
        (EIGHTEEN, lambda state: {}, "Received: no blocks"),
        (EIGHTEEN, without("downsample"), "projections where shortcuts B or C have them. Received: those of A"),
        (EIGHTEEN, without("layer3.0.downsample"), "Received: those of conv3_block1, conv5_block1"),
        (
            EIGHTEEN,
            lambda s: without("conv1.weight")(s) | {k: v for k, v in s.items() if "layer" in k},
            "conv1.weight with 4",
        ),
    ],
    ids=["fewer blocks", "fewer stages", "nothing", "no projections", "few projections", "no conv1"],
)
def test_a_network_that_the_package_does_not_have_is_refused(spec, change, message):
    with pytest.raises(ValueError, match=message):
        identify(change(state_dict_of("torchvision", spec)), "torchvision")


def test_stages_of_unequal_length_are_refused_for_cifar():
    state = without("layer2.1.")(state_dict_of("akamaster", NetworkSpec("cifar", 20, "A", "basic", classes=10)))
    with pytest.raises(ValueError, match="must be of three stages of as many blocks each. Received: 3, 2, 3"):
        identify(state, "akamaster")
    with pytest.raises(ValueError, match="Received: no blocks"):
        identify({}, "akamaster")


@pytest.mark.parametrize(
    ("layout", "spec", "rule", "received"),
    [
        ("torchvision", replace(FIFTY, pool_padding="same"), "`pool_padding` must be 'symmetric'", "'same'"),
        ("torchvision", replace(FIFTY, bottleneck_stride="1x1"), "`bottleneck_stride` must be '3x3'", "'1x1'"),
        ("torchvision", replace(FIFTY, preactivation=True), "`preactivation` must be False", "True"),
        ("torchvision", replace(FIFTY, shortcut=None), "`shortcut` must be 'B' or 'C'", "None"),
        ("akamaster", FIFTY, "`family` must be 'cifar'", "'imagenet'"),
        ("akamaster", NetworkSpec("cifar", 20, None, "basic"), "`shortcut` must be 'A' or 'B'", "None"),
        ("akamaster", NetworkSpec("cifar", 20, "A", "basic", preactivation=True), "`preactivation` must be F", "True"),
        ("torchvision", NetworkSpec("cifar", 20, "A", "basic"), "`family` must be 'imagenet'", "'cifar'"),
        ("keras", FIFTY, "`bottleneck_stride` must be '1x1'", "'3x3'"),
        ("keras_v2", FIFTY, "`preactivation` must be 'slim'", "False"),
        ("keras_v2", replace(SLIM, preactivation=True), "`preactivation` must be 'slim'", "True"),
        ("keras_v2", replace(SLIM, bottleneck_stride="1x1"), "`bottleneck_stride` must be '3x3'", "'1x1'"),
        ("keras_v2", replace(SLIM, pool_padding="same"), "`pool_padding` must be 'symmetric'", "'same'"),
        ("keras_v2", replace(SLIM, shortcut="C"), "`shortcut` must be 'B'", "'C'"),
    ],
)
def test_a_network_that_a_package_does_not_have_is_not_given_to_it(layout, spec, rule, received):
    argument = rule.split("`")[1]
    with pytest.raises(ValueError, match=f"{rule}.*, as in the networks of {layout}. Received: {argument}={received}"):
        from_ours({}, layout, spec)


def test_only_bottlenecks_are_given_to_keras_v2():
    spec = NetworkSpec("imagenet", 18, "B", "basic", preactivation="slim", pool_padding="symmetric")
    with pytest.raises(ValueError, match="has networks of bottleneck blocks alone. Received: basic blocks"):
        from_ours({}, "keras_v2", spec)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            without("layer2.0.bn1.weight"),
            "must have layer2.0.bn1.weight, for conv3_block1_1_bn/gamma of a network of ours",
        ),
        (without("fc.weight"), "must have fc.weight, for predictions/kernel"),
        (lambda s: s | {"fc.weight": np.zeros((9, 512))}, r"fc.weight must have the shape \(512, 7\) of .* \(512, 9\)"),
        (lambda s: s | {"layer1.0.bn1.bias": np.zeros(())}, r"layer1.0.bn1.bias must have the shape \(64,\) .* \(\)"),
        (
            lambda s: s | {"aux.weight": np.zeros(1), "a": 1},
            "ResNet-18 of torchvision .* none for 2, such as aux.weight",
        ),
    ],
    ids=["missing", "no kernel", "classes", "rank", "more"],
)
def test_the_first_variable_that_differs_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        to_ours(change(state_dict_of("torchvision", EIGHTEEN)), "torchvision", EIGHTEEN)


def test_every_convolution_of_keras_must_have_its_bias():
    spec = replace(SPECS[13][1], classes=7)
    with pytest.raises(ValueError, match="must have conv3_block1_2_conv/bias"):
        to_ours(without("conv3_block1_2_conv/bias")(state_dict_of("keras", spec)), "keras", spec)


def test_the_shapes_are_as_many_as_in_the_paper():
    """ResNet-50 of torchvision has 25,557,032 parameters, without statistics."""
    state = state_dict_of("torchvision", replace(FIFTY, classes=1000))
    assert sum(math.prod(a.shape) for name, a in state.items() if "running" not in name) == 25_557_032
