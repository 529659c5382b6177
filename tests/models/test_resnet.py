"""The built networks against the architectures that they are built from, and as Keras models among others."""

from __future__ import annotations

import inspect
import json
import random
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.facts import architectures
from keras_resnet.models import resnet
from keras_resnet.models.residual_network import ResidualNetwork, inner_layers
from keras_resnet.models.resnet import CifarResNet, ResNet, ResNet18, ResNet50
from tiers import slow

ops = keras.ops


@pytest.fixture
def mixed_bfloat16():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


def images(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def value(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def weights_of(network) -> tuple[int, int]:
    """Trainable and non-trainable weights, counted in the built network."""
    return tuple(
        sum(int(np.prod(v.shape)) for v in variables)
        for variables in (network.trainable_variables, network.non_trainable_variables)
    )


def counted(architecture, **options) -> tuple[int, int]:
    counts = architectures.count(architecture, **options)
    return counts.trainable, counts.non_trainable


def layer_of(kind, network):
    return [layer for layer in inner_layers(network) if isinstance(layer, kind)]


# Size

SMALL = ["ResNet18", "CifarResNet20", "CifarPlainNet20"]
NAMED = [name for name in keras_resnet._NAMES["models.resnet"] if name[-1].isdigit()]


def of_name(name: str):
    """(architecture, shortcut) that a builder's name says."""
    depth = int("".join(filter(str.isdigit, name)))
    cifar = name.startswith("Cifar")
    shortcut = None if "Plain" in name else "A" if cifar else "B"
    return (architectures.cifar if cifar else architectures.imagenet)(depth), shortcut


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in SMALL else pytest.mark.slow) for name in NAMED]
)
def test_a_named_builder_makes_the_network_of_its_name(cheap_kernels, name):
    architecture, shortcut = of_name(name)
    network = getattr(keras_resnet, name)()
    assert weights_of(network) == counted(architecture, shortcut=shortcut)
    size, classes = architecture.image_size, architecture.classes
    assert (network.input_shape, network.output_shape) == ((None, size, size, 3), (None, classes))
    prefix = ("cifar_" if name.startswith("Cifar") else "") + ("resnet" if shortcut else "plainnet")
    assert network.name == f"{prefix}{architecture.depth}"


@pytest.mark.slow
@pytest.mark.parametrize("shortcut", architectures.SHORTCUTS)
@pytest.mark.parametrize("depth", architectures.IMAGENET)
def test_weights_of_every_imagenet_network(depth, shortcut):
    network = ResNet(depth, shortcut=shortcut, input_shape=(32, 32, 3))
    assert weights_of(network) == counted(architectures.imagenet(depth), shortcut=shortcut)


@pytest.mark.slow
@pytest.mark.parametrize("shortcut", ["B", "C"])  # the named ones are A, and plain
@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110, 1202])
def test_weights_of_every_cifar_network(depth, shortcut):
    network = CifarResNet(depth, shortcut=shortcut)
    assert weights_of(network) == counted(architectures.cifar(depth), shortcut=shortcut)


@pytest.mark.slow
@pytest.mark.parametrize("shortcut", architectures.SHORTCUTS)
@pytest.mark.parametrize("depth", architectures.IMAGENET)
def test_weights_of_every_imagenet_network_of_slim(depth, shortcut):
    options = {"shortcut": shortcut, "preactivation": "slim"}
    network = ResNet(depth, input_shape=(32, 32, 3), **options)
    assert weights_of(network) == counted(architectures.imagenet(depth), **options)


@pytest.mark.parametrize(
    ("build", "options"),
    [
        (10, {"shortcut": "C", "input_shape": (33, 65, 1)}),
        *slow([(50, {"shortcut": "B"})]),
        (14, {"shortcut": "B", "bottleneck_stride": "3x3", "input_shape": (97, 64, 4)}),
        (10, {"shortcut": "B", "preactivation": True, "input_shape": (65, 65, 3)}),
        ("basic", {"shortcut": "A", "classes": 7}),
        ("basic", {"shortcut": None, "input_shape": (9, 4, 3)}),
        *slow([("basic", {"shortcut": "C", "preactivation": True, "input_shape": (29, 31, 3)})]),
        ("bottleneck", {"shortcut": "B", "bottleneck_stride": "3x3", "preactivation": True}),
        (14, {"shortcut": "B", "bottleneck_stride": "3x3", "preactivation": "slim", "input_shape": (97, 64, 4)}),
        ("bottleneck", {"shortcut": "C", "preactivation": "slim"}),
        *slow(
            [
                (10, {"shortcut": "A", "preactivation": "slim", "input_shape": (65, 97, 3)}),
                ("basic", {"shortcut": "B", "preactivation": "slim", "input_shape": (29, 31, 3)}),
                ("basic", {"shortcut": None, "preactivation": "slim"}),
            ]
        ),
    ],
    ids=str,
)
def test_layer_by_layer(small_depths, cheap_kernels, build, options):
    """Each row of the arithmetic is a layer of that name and that kernel, with an output of that size."""
    if isinstance(build, int):
        architecture = architectures.imagenet(build)
        network = ResNet(build, **options)
    else:
        architecture = architectures.cifar(11 if build == "bottleneck" else 14, build)
        network = CifarResNet(architecture.depth, block=build, **options)
    assert_is_layer_by_layer(network, architecture, options)


@pytest.mark.parametrize("deepest", [200, 0], ids=["flat", "nested"])
def test_layer_by_layer_inside_of_rematerialized_blocks(monkeypatch, deepest):
    monkeypatch.setattr(resnet, "REMAT_DEPTH", deepest)
    options = {"shortcut": "C", "bottleneck_stride": "3x3"}
    network = CifarResNet(11, block="bottleneck", remat=True, **options)
    assert_is_layer_by_layer(network, architectures.cifar(11, "bottleneck"), options)


def assert_is_layer_by_layer(network, architecture, options):
    rows = list(architectures.layers(architecture, **options))
    assert {row.name for row in rows} == {layer.name for layer in network.layers if own_weights(layer)}
    for row in rows:
        layer = network.get_layer(row.name)
        if row.kind == "batch_normalization":
            assert isinstance(layer, keras_resnet.BatchNormalization) and layer.gamma.shape == (row.filters,)
        else:
            window = (row.kernel, row.kernel) if row.kind == "convolution" else ()
            assert tuple(layer.kernel.shape) == (*window, row.in_filters, row.filters)
            assert layer.use_bias == row.bias
        size = (row.height, row.width) if row.kind != "dense" else ()
        assert layer.output.shape == (None, *size, row.filters)


def own_weights(layer) -> bool:
    return bool(layer.weights) and not getattr(layer, "layers", ())


# Conventions of Keras


BUILDERS = keras_resnet._NAMES["models.resnet"]
OURS = (
    "shortcut block bottleneck_stride preactivation zero_gamma synchronized pool_padding space_to_depth remat "
    "data_format new_top"
).split()


@pytest.mark.parametrize("name", BUILDERS)
def test_signatures_are_those_of_keras_applications_with_ours_by_keyword(name):
    theirs = list(inspect.signature(keras.applications.ResNet50).parameters)[:8]
    builder = getattr(keras_resnet, name)
    parameters = list(inspect.signature(builder).parameters.values())
    if builder in (ResNet, CifarResNet):
        assert parameters.pop(0).name == "depth"
    assert [p.name for p in parameters[:8]] == theirs
    fixed = {"block": not name.startswith("Cifar"), "shortcut": "Plain" in name}
    assert [p.name for p in parameters[8:]] == [option for option in OURS if not fixed.get(option)]
    assert {p.kind for p in parameters[8:]} == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("name", BUILDERS)
def test_docstrings_describe_every_argument_and_no_other(name):
    builder = getattr(keras_resnet, name)
    doc = inspect.getdoc(builder)
    arguments = doc.partition("Args:\n")[2].partition("\n\n")[0]
    assert re.findall(r"^    (\w+): ", arguments, re.MULTILINE) == list(inspect.signature(builder).parameters)
    assert all(section in doc for section in ("Returns:", "Raises:", "Reference:"))
    assert not name[-1].isdigit() or str(of_name(name)[0].depth) in doc.partition("\n")[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 3}, "unexpected keyword argument 'num_classes'. Here it is `classes`"),
        ({"pretrained": True}, "unexpected keyword argument 'pretrained'. Here it is `weights`: 'imagenet', a file or"),
        ({"in_channels": 1}, "'in_channels'. Here it is `input_shape`: (height, width, channels)"),
        ({"shortcuts": "A"}, "'shortcuts'. Did you mean 'shortcut'?"),
        ({"flux": 2}, "'flux'. The arguments are include_top, weights, input_tensor"),
        ({"depth": 18}, "unexpected keyword argument 'depth'"),
    ],
    ids=str,
)
def test_an_unknown_argument_is_answered_with_ours(arguments, message):
    with pytest.raises(TypeError, match=re.escape("ResNet50(): got an")) as raised:
        ResNet50(**arguments)
    assert message in str(raised.value)


def test_wrong_arguments_are_errors_of_the_builder_that_was_called():
    with pytest.raises(TypeError, match=re.escape("ResNet(): missing a required argument: 'depth'")):
        ResNet(num_classes=3)
    with pytest.raises(TypeError, match=re.escape("CifarPlainNet20(): got an unexpected keyword argument 'shortcut'")):
        keras_resnet.CifarPlainNet20(shortcut="A")
    with pytest.raises(TypeError, match=re.escape("CifarResNet(): multiple values for argument 'depth'")):
        CifarResNet(8, depth=20)
    with pytest.raises(TypeError, match=re.escape("ResNet18(): too many positional arguments")):
        ResNet18(False, None, None, (64, 64, 4), "max", 5, None, "mine", "A")


def test_what_is_no_weights_is_refused_by_its_type():
    with pytest.raises(TypeError, match="`weights` must be None, 'imagenet', the path of a file, .* Received: bool"):
        CifarResNet(8, weights=True)


def test_positions_mean_what_they_mean_in_keras_applications(cheap_kernels):
    network = ResNet18(False, None, None, (64, 64, 4), "max", 5, None, "mine")
    assert (network.name, network.input_shape, network.output_shape) == ("mine", (None, 64, 64, 4), (None, 512))


@pytest.mark.slow
def test_layers_have_the_names_and_shapes_of_keras_applications():
    """All of them where the pool pads both sides as there; by default its padding is no layer."""
    ours, theirs_of = ResNet50(pool_padding="symmetric"), keras.applications.ResNet50(weights=None)
    for theirs in theirs_of.layers[1:]:
        assert ours.get_layer(theirs.name).output.shape == theirs.output.shape, theirs.name
    assert [layer.name for layer in ours.layers[1:]] == [layer.name for layer in theirs_of.layers[1:]]
    names = {layer.name for layer in ResNet18().layers}
    assert "pool1_pad" not in names and {"conv1_pad", "pool1_pool"} <= names


@pytest.mark.slow
@pytest.mark.parametrize("depth", [50, 101, 152])
def test_slim_has_the_layers_of_keras_applications_v2(depth):
    """Their names, shapes and weights, but for the biases that batch normalization takes in."""
    options = {"preactivation": "slim", "bottleneck_stride": "3x3"}
    ours = ResNet(depth, pool_padding="symmetric", **options)
    network = getattr(keras.applications, f"ResNet{depth}V2")(weights=None)
    for theirs in network.layers[1:]:
        # Without a stride, our convolution pads by itself; their pooling of one pixel is our shortcut of a block.
        if not theirs.name.endswith("_2_pad") and "max_pooling" not in theirs.name:
            layer = ours.get_layer(theirs.name)
            assert (layer.output.shape, type(layer).__name__) == (theirs.output.shape, type(theirs).__name__)
    biases = sum(layer.filters for layer in network.layers if layer.name.endswith(("_0_conv", "_3_conv")))
    assert architectures.count(architectures.imagenet(depth), **options).total == network.count_params() - biases


@pytest.mark.parametrize("options", [{}, {"remat": True}, {"preactivation": True}, {"shortcut": None}], ids=str)
def test_every_block_can_be_looked_up_by_its_output(small_depths, cheap_kernels, options):
    network = ResNet(10, input_shape=(64, 64, 3), **options)
    for stage, (size, channels) in enumerate([(16, 64), (8, 128), (4, 256), (2, 512)], start=2):
        assert network.get_layer(f"conv{stage}_block1_out").output.shape == (None, size, size, channels)


def test_an_unknown_layer_is_keras_own_error():
    with pytest.raises(ValueError, match="No such layer: conv9_block1_out"):
        CifarResNet(8).get_layer("conv9_block1_out")


def test_a_slice_computes_what_the_network_computes(small_depths):
    network = ResNet(14, input_shape=(64, 64, 3))
    features = network.get_layer("conv4_block1_out").output
    x = images(2, 64, 64, 3)
    sliced, rest = keras.Model(network.input, [features, network.output]), keras.Model(features, network.output)
    assert sliced.output_shape[0] == (None, 4, 4, 1024)
    features, scores = sliced(x)
    np.testing.assert_array_equal(value(scores), value(network(x)))
    np.testing.assert_allclose(value(rest(features)), value(scores), rtol=1e-4, atol=1e-6)


# The end of the network


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_pooling_is_over_the_last_feature_map(pooling):
    network = CifarResNet(8, include_top=False)
    x = images(2, 32, 32, 3)
    features = value(network(x))
    assert features.shape == (2, 8, 8, 64)
    pooled = CifarResNet(8, include_top=False, pooling=pooling)
    pooled.set_weights(network.get_weights())
    expected = {"avg": features.mean((1, 2)), "max": features.max((1, 2))}[pooling]
    np.testing.assert_allclose(value(pooled(x)), expected, rtol=1e-5, atol=1e-6)
    assert pooled.layers[-1].name == f"{pooling}_pool"


def test_the_top_is_average_pooling_and_a_classifier():
    network = CifarResNet(8, classes=7)
    features = keras.Model(network.input, network.get_layer("conv4_block1_out").output)
    x = images(2, 32, 32, 3)
    classifier = network.get_layer("predictions")
    logits = value(features(x)).mean((1, 2)) @ value(classifier.kernel) + value(classifier.bias)
    scores = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(value(network(x)), scores, rtol=1e-4, atol=1e-6)
    without_softmax = CifarResNet(8, classes=7, classifier_activation=None)
    without_softmax.set_weights(network.get_weights())
    np.testing.assert_allclose(value(without_softmax(x)), logits, rtol=1e-4, atol=1e-5)


def test_without_the_top_the_size_is_free_by_default(small_depths, cheap_kernels):
    assert CifarResNet(8, include_top=False).input_shape == (None, None, None, 3)
    assert ResNet(10, include_top=False, preactivation=True).output_shape == (None, None, None, 512)


def test_logits_are_float32_under_a_mixed_policy(mixed_bfloat16):
    for activation in (None, "softmax"):
        network = CifarResNet(8, classifier_activation=activation)
        assert network(images(2, 32, 32, 3)).dtype == "float32"
    assert {v.dtype for v in network.weights} == {"float32"}
    assert {layer.compute_dtype for layer in layer_of(keras.layers.Conv2D, network)} == {"bfloat16"}
    assert {layer.compute_dtype for layer in layer_of(keras_resnet.BatchNormalization, network)} == {"bfloat16"}


# Weights at the start


def test_kernels_are_drawn_from_the_untruncated_gaussian_of_he():
    network = CifarResNet(32, **SMALL_IMAGE, shortcut="C")
    kernels = [value(layer.kernel) for layer in layer_of((keras.layers.Conv2D, keras.layers.Dense), network)]
    standardized = []
    for kernel in kernels:
        deviation = np.sqrt(2.0 / np.prod(kernel.shape[:-1]))
        # The standard deviation of n draws is right to one part in sqrt(2n).
        assert kernel.std() == pytest.approx(deviation, rel=5 / np.sqrt(2 * kernel.size))
        standardized.append(kernel.ravel() / deviation)
    every = np.abs(np.concatenate(standardized))
    assert every.size > 250_000
    # 1.24% of a Gaussian lie beyond 2.5 deviations; of one that Keras truncates, none beyond 2.28.
    assert np.mean(every > 2.5) == pytest.approx(0.01242, rel=0.1)
    assert every.max() > 4.0


def test_no_two_kernels_are_drawn_alike():
    kernels = [value(layer.kernel) for layer in layer_of(keras.layers.Conv2D, CifarResNet(20, shortcut="C"))]
    assert len({kernel.tobytes() for kernel in kernels}) == len(kernels)


def test_a_seed_determines_every_weight():
    def build(seed):
        random.seed(seed)  # as keras.utils.set_random_seed does, which also clears TensorFlow's kernels
        return [weight.tobytes() for weight in CifarResNet(8, shortcut="B").get_weights()]

    first, again, other = build(1), build(1), build(2)
    assert first == again != other


KINDS = [
    {"depth": 14},
    {"depth": 14, "shortcut": "B"},
    {"depth": 20, "block": "bottleneck", "shortcut": "B"},
    {"depth": 14, "shortcut": "B", "preactivation": True},
    {"depth": 20, "block": "bottleneck", "shortcut": "A", "preactivation": True},
    {"depth": 14, "shortcut": "B", "preactivation": "slim"},
]
SMALL_IMAGE = {"input_shape": (8, 8, 3)}


@pytest.mark.parametrize("options", [KINDS[0], *KINDS[2:4], KINDS[5], *slow([KINDS[1], KINDS[4]])], ids=str)
def test_with_zero_gamma_blocks_start_as_their_shortcut(options):
    """Exactly one gamma of each block is zero: the last, so that nothing is added to the shortcut."""
    network = CifarResNet(**options, **SMALL_IMAGE, zero_gamma=True)
    zero = [layer.name for layer in layer_of(keras_resnet.BatchNormalization, network) if not value(layer.gamma).any()]
    bottleneck, preactivation = options.get("block") == "bottleneck", options.get("preactivation", False)
    last = 2 + bottleneck - bool(preactivation)
    assert zero == [f"conv{stage}_block{block}_{last}_bn" for stage in (2, 3, 4) for block in (1, 2)]
    blocks = [[network.get_layer(f"conv{stage}_block{block}_out").output for block in (1, 2)] for stage in (2, 3, 4)]
    computed = keras.Model(network.input, blocks)(images(2, 8, 8, 3), training=True)
    for stage, (before, after) in enumerate(computed, start=2):
        assert value(before).any()
        kept = slice(None, None, 2 if preactivation == "slim" and stage < 4 else 1)
        np.testing.assert_array_equal(value(after), value(before)[:, kept, kept])


@pytest.mark.parametrize(
    "options", [*KINDS[4:], {"depth": 14, "shortcut": "C", "remat": True}, *slow(KINDS[:4])], ids=str
)
def test_blocks_have_no_bias_and_normalizations_start_at_one_with_the_papers_constants(cheap_kernels, options):
    network = CifarResNet(**options, **SMALL_IMAGE)
    normalizations = layer_of(keras_resnet.BatchNormalization, network)
    assert all((value(layer.gamma) == 1).all() for layer in normalizations)
    biased = [layer.name for layer in layer_of(keras.layers.Conv2D, network) if layer.use_bias]
    assert biased == (["conv1_conv"] if options.get("preactivation") == "slim" else [])
    assert {(layer.epsilon, layer.momentum) for layer in normalizations} == {(1e-5, 0.9)}
    assert keras.regularizers.L2 not in {type(getattr(x, "kernel_regularizer", None)) for x in inner_layers(network)}


def test_synchronization_reaches_every_normalization(cheap_kernels):
    for options in ({"shortcut": "C"}, {"shortcut": "C", "preactivation": True}, {"shortcut": "B", "remat": True}):
        network = CifarResNet(8, **SMALL_IMAGE, synchronized=True, **options)
        assert all(layer.synchronized for layer in layer_of(keras_resnet.BatchNormalization, network))


# What a block computes


def test_strided_convolutions_pad_on_both_sides(small_depths, cheap_kernels):
    """The centre of a kernel meets every second pixel, which `"same"` with a stride would shift by one."""
    network = ResNet(10, input_shape=(64, 64, 1), include_top=False)
    kernel = np.zeros((7, 7, 1, 64), "float32")
    kernel[3, 3] = 1.0
    network.get_layer("conv1_conv").kernel.assign(kernel)
    x = images(1, 64, 64, 1)
    stem = keras.Model(network.input, network.get_layer("conv1_conv").output)
    np.testing.assert_allclose(value(stem(x))[..., 0], x[:, ::2, ::2, 0], rtol=1e-6)


def test_a_pool_pads_as_it_is_told(small_depths, cheap_kernels):
    """On one side as in the paper's release, or on both as in torchvision."""
    x = np.zeros((1, 64, 64, 1), "float32")
    x[0, 1, 1] = 1.0  # seen by the first window of a pool that begins at pixel 0, the second begins at pixel 2
    seen = {}
    for pool_padding in ("same", "symmetric"):
        network = ResNet(10, input_shape=(64, 64, 1), include_top=False, pool_padding=pool_padding)
        pools = [layer for layer in network.layers if layer.name.startswith("pool1")]
        y = ops.convert_to_tensor(x)
        for pool in pools:
            y = pool(y)
        seen[pool_padding] = [tuple(i) for i in np.argwhere(value(y)[0, :, :, 0])]
        assert y.shape == (1, 32, 32, 1)
    # A window that begins at pixel 0 ends at 2; one that begins at -1 ends at 1, and the next covers 1 to 3.
    assert seen == {"same": [(0, 0)], "symmetric": [(0, 0), (0, 1), (1, 0), (1, 1)]}


def test_the_stem_pads_on_both_sides_of_odd_and_even_images_by_blocks_as_well(small_depths, cheap_kernels):
    options = {"input_shape": (None, None, 1), "include_top": False}
    stems = []
    for space_to_depth in (False, True):
        network = ResNet(10, **options, space_to_depth=space_to_depth)
        convolution = network.get_layer("conv1_conv")
        convolution.kernel.assign(np.random.default_rng(0).integers(-4, 5, (7, 7, 1, 64)))
        stems.append(keras.Model(network.input, convolution.output))
    for size in [(64, 64), (33, 64), (64, 65), (35, 37)]:
        x = np.random.default_rng(1).integers(-4, 5, (2, *size, 1)).astype("float32")
        strided, by_blocks = (value(stem(x)) for stem in stems)
        assert by_blocks.shape == (2, *(-(-n // 2) for n in size), 64)
        np.testing.assert_array_equal(by_blocks, strided)


@pytest.mark.parametrize("options", [{}, {"preactivation": "slim"}, *slow([{"preactivation": True}])], ids=str)
def test_by_blocks_a_network_is_the_same_layer_by_layer(small_depths, options):
    """Names, shapes, variables, and what it computes of them, also in training."""
    options = {"input_shape": (33, 32, 3), "classes": 5, "name": "network", **options}
    strided, by_blocks = (ResNet(10, **options, space_to_depth=chosen) for chosen in (False, True))
    assert type(by_blocks.get_layer("conv1_conv")) is keras_resnet.models.layers.SpaceToDepthConv2D
    both = strided, by_blocks
    layers = [[(layer.name, layer.output.shape) for layer in network.layers[1:]] for network in both]
    assert layers[0] == layers[1]
    # Checkpoints of the training key what they hold by these paths.
    variables = [[(v.path, v.shape, v.trainable) for v in network.variables] for network in both]
    assert variables[0] == variables[1]
    assert pyramid(by_blocks) == pyramid(strided)
    by_blocks.set_weights(strided.get_weights())
    x = images(4, 33, 32, 3)
    for training in (False, True):
        scores = [value(network(x, training=training)) for network in both]
        np.testing.assert_allclose(scores[1], scores[0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("preactivation", [False, True])
def test_a_block_adds_its_shortcut(preactivation):
    """Eqn. (1); the plain network has the same path and adds nothing to it."""
    residual = CifarResNet(14, shortcut="A", preactivation=preactivation)
    plain = CifarResNet(14, shortcut=None, preactivation=preactivation)
    plain.set_weights(residual.get_weights())
    names = [f"conv2_block{block}_out" for block in (1, 2)]
    x = images(2, 32, 32, 3)

    def outputs(network, *names):
        return [value(y) for y in keras.Model(network.input, [network.get_layer(n).output for n in names])(x)]

    last = "conv2_block2_2_conv" if preactivation else "conv2_block2_2_bn"
    before, path, after = outputs(residual, names[0], last, names[1])
    alone = keras.Model(plain.get_layer(names[0]).output, plain.get_layer(names[1]).output)(before)
    activation = np.asarray if preactivation else lambda y: np.maximum(y, 0)
    np.testing.assert_allclose(after, activation(path + before), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(value(alone), activation(path), rtol=1e-4, atol=1e-5)


def test_a_preactivation_block_projects_what_is_activated():
    network = CifarResNet(8, shortcut="B", preactivation=True)
    projection = network.get_layer("conv3_block1_0_conv")
    assert projection.input is network.get_layer("conv3_block1_preact_relu").output
    assert projection.output is network.get_layer("conv3_block1_out").input[0]
    assert network.get_layer("conv1_conv").output is network.get_layer("conv2_block1_preact_bn").input
    assert network.layers[-3].name == "post_relu"


@pytest.mark.parametrize("shortcut", ["A", "B", "C"])
def test_the_shortcut_of_slim_is_strided_where_the_last_block_of_a_stage_is(shortcut):
    """A and B subsample what is not yet activated there; C projects as everywhere."""
    network = CifarResNet(14, shortcut=shortcut, preactivation="slim", **SMALL_IMAGE)
    found = {re.fullmatch(r"(conv\d_block\d_0).*", layer.name): type(layer) for layer in network.layers}
    kinds = {match[1]: kind for match, kind in found.items() if match}
    identity, projection = keras_resnet.IdentityShortcut, keras.layers.Conv2D
    widened, strided = ("conv3_block1_0", "conv4_block1_0"), ("conv2_block2_0", "conv3_block2_0")
    every = [f"conv{stage}_block{block}_0" for stage in (2, 3, 4) for block in (1, 2)]
    assert (
        kinds
        == {
            "A": dict.fromkeys(widened + strided, identity),
            "B": dict.fromkeys(widened, projection) | dict.fromkeys(strided, identity),
            "C": dict.fromkeys(every, projection),
        }[shortcut]
    )
    names = ("conv2_block1_out", "conv2_block2_preact_relu", "conv2_block2_2_conv", "conv2_block2_out")
    tensors = [network.get_layer(name).output for name in names]
    before, activated, path, after = map(value, keras.Model(network.input, tensors)(images(2, 8, 8, 3)))
    kernel = value(network.get_layer("conv2_block2_0_conv").kernel)[0, 0] if shortcut == "C" else np.eye(16)
    added = (activated if shortcut == "C" else before)[:, ::2, ::2] @ kernel
    assert after.shape == (2, 4, 4, 16)
    np.testing.assert_allclose(after, path + added, rtol=1e-4, atol=1e-5)


# Input


@pytest.mark.parametrize("shape", [(33, 65, 1), (64, 40, 4)], ids=str)
def test_imagenet_networks_take_any_size_that_the_strides_admit(small_depths, shape):
    network = ResNet(10, input_shape=shape, classes=5)
    assert network.image_shape == shape
    scores = value(network(images(2, *shape)))
    assert scores.shape == (2, 5)
    np.testing.assert_allclose(scores.sum(-1), 1.0, rtol=1e-5)


UNKNOWN_SIZES = [
    {"depth": 11, "block": "bottleneck"},
    {"depth": 8, "preactivation": True},
    {"depth": 14, "preactivation": "slim"},
]


@pytest.mark.parametrize(
    ("options", "size"), [*[(options, (13, 9)) for options in UNKNOWN_SIZES], (UNKNOWN_SIZES[1], (4, 4))], ids=str
)
def test_an_unknown_size_computes_as_a_known_one(options, size):
    options = {"shortcut": "B", **options}
    free = CifarResNet(**options, input_shape=(None, None, 3))
    fixed = CifarResNet(**options, input_shape=(*size, 3))
    fixed.set_weights(free.get_weights())
    x = images(2, *size, 3)
    np.testing.assert_allclose(value(free(x)), value(fixed(x)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("remat", [False, True])
def test_a_network_starts_from_a_given_tensor(remat):
    image = keras.Input((16, 16, 3), name="image")
    network = CifarResNet(8, input_tensor=keras.layers.Rescaling(1 / 255)(image), remat=remat)
    plain = CifarResNet(8, input_shape=(16, 16, 3), remat=remat)
    plain.set_weights(network.get_weights())
    x = 255 * images(2, 16, 16, 3)
    np.testing.assert_allclose(value(network(x)), value(plain(x / 255)), rtol=1e-4, atol=1e-6)
    assert network.input is image and network.image_shape == (16, 16, 3)
    assert [o.shape for o in network.pyramid_outputs.values()] == [o.shape for o in plain.pyramid_outputs.values()]


REFUSED = [
    (ResNet, {"depth": 21}, "`depth` must be one of 18, 34, 50, 101, 152. Received: depth=21"),
    (CifarResNet, {"depth": 21}, "`depth` must be 6n+2 (20, 32, 44, 56, 110, 1202, …) with basic blocks"),
    (CifarResNet, {"depth": 20, "block": "wide"}, "`block` must be one of basic, bottleneck. Received: block='wide'"),
    (ResNet50, {"shortcut": "D"}, "`shortcut` must be one of ('A', 'B', 'C', None). Received: shortcut='D'"),
    (ResNet50, {"bottleneck_stride": "2x2"}, "`bottleneck_stride` must be one of ('1x1', '3x3'). Received:"),
    (ResNet50, {"preactivation": "Slim"}, "`preactivation` must be one of (False, True, 'slim'). Received:"),
    (ResNet50, {"classes": 0}, "`classes` must be a positive integer. Received: classes=0"),
    (ResNet50, {"classes": -10}, "`classes` must be a positive integer. Received: classes=-10"),
    (ResNet50, {"classes": 10.0}, "`classes` must be a positive integer. Received: classes=10.0"),
    (ResNet50, {"pooling": "mean"}, "`pooling` must be one of (None, 'avg', 'max'). Received: pooling='mean'"),
    (ResNet50, {"pool_padding": "valid"}, "`pool_padding` must be one of ('same', 'symmetric'). Received:"),
    (ResNet50, {"data_format": "NHWC"}, "`data_format` must be one of ('channels_last', 'channels_first'). Received:"),
    (ResNet50, {"input_shape": (224, 224)}, "`input_shape` must have 3 entries, as (224, 224, 3). Received:"),
    (ResNet50, {"input_shape": (31, 224, 3)}, "`input_shape` must be at least 32x32, because the strides"),
    (ResNet50, {"input_shape": (None, 31, 3)}, "`input_shape` must be at least 32x32, because the strides"),
    (ResNet50, {"input_shape": (3, 224, 224)}, "Received: input_shape=(3, 224, 224)"),
    (
        CifarResNet,
        {"depth": 8, "space_to_depth": True},
        "`space_to_depth` must be False in networks for CIFAR, whose first convolution has no stride. "
        "Received: space_to_depth=True",
    ),
    (CifarResNet, {"depth": 8, "input_shape": (32, 3, 3)}, "`input_shape` must be at least 4x4"),
    (CifarResNet, {"depth": 8, "input_shape": (32, 32, None)}, "`input_shape` must name the channels"),
    (CifarResNet, {"depth": 8, "input_shape": (32, 32, 0)}, "`input_shape` must name the channels"),
]


@pytest.mark.parametrize(("build", "arguments", "message"), REFUSED, ids=[str(row[1]) for row in REFUSED])
def test_what_cannot_be_built_is_refused(build, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        build(**arguments)


# Feature pyramid, files, training


def pyramid(network) -> dict:
    return {level: output.shape for level, output in network.pyramid_outputs.items()}


@pytest.mark.parametrize(
    ("depth", "options"),
    [
        (10, {}),
        (10, {"preactivation": True}),
        (18, {"preactivation": "slim", "remat": True}),
        *slow([(10, {"remat": True}), (18, {"preactivation": "slim"}), (10, {"include_top": False})]),
    ],
    ids=str,
)
def test_pyramid_levels_are_powers_of_two(small_depths, cheap_kernels, depth, options):
    network = ResNet(depth, input_shape=(64, 128, 3), **options)
    for level, (exponent, channels) in zip(
        network.pyramid_outputs, [(2, 64), (3, 128), (4, 256), (5, 512)], strict=True
    ):
        assert level == f"P{exponent}"
        assert pyramid(network)[level] == (None, 64 >> exponent, 128 >> exponent, channels)
    last = f"conv5_block{1 if depth == 10 else 2}_out"
    assert network.pyramid_outputs["P5"] is network.get_layer(last).output


def test_the_pyramid_of_slim_has_the_last_block_before_each_stride(cheap_kernels):
    """Also where no size is known; the last block of a stage has the next stride already."""
    network = ResNet18(input_shape=(None, None, 3), preactivation="slim")
    blocks = {"P2": "conv2_block1", "P3": "conv3_block1", "P4": "conv4_block1", "P5": "conv5_block2"}
    assert list(network.pyramid_outputs) == list(blocks)
    for level, block in blocks.items():
        assert network.pyramid_outputs[level] is network.get_layer(f"{block}_out").output
    # With one block for each stage, none is left at the size of the image.
    assert list(CifarResNet(8, preactivation="slim").pyramid_outputs) == ["P1", "P2"]


def test_cifar_pyramids_begin_at_the_size_of_the_image():
    expected = {"P0": (None, 32, 32, 16), "P1": (None, 16, 16, 32), "P2": (None, 8, 8, 64)}
    assert pyramid(CifarResNet(14)) == expected


FILES = {
    "a": {"depth": 8, "shortcut": "A"},
    "b": {"depth": 8, "shortcut": "B", "zero_gamma": True, "synchronized": True},
    "c_remat": {"depth": 8, "shortcut": "C", "remat": True},
    "plain": {"depth": 8, "shortcut": None, "include_top": False},
    "preactivation": {"depth": 11, "block": "bottleneck", "shortcut": "B", "preactivation": True, "pooling": "max"},
    "slim": {"depth": 14, "shortcut": "B", "preactivation": "slim"},
}


@pytest.fixture(scope="module")
def loaded_elsewhere(tmp_path_factory):
    """Saved networks by name, and what a fresh process that imports only Keras and this package says of the files."""
    folder = tmp_path_factory.mktemp("networks")
    saved = {name: CifarResNet(**options, input_shape=(16, 16, 3)) for name, options in FILES.items()}
    saved["imagenet"] = ResNet18(input_shape=(32, 32, 3), classes=3)
    saved["space_to_depth"] = ResNet18(input_shape=(32, 32, 3), classes=3, space_to_depth=True)
    x = images(4, 16, 16, 3)
    for name, network in saved.items():
        if name in FILES:
            network(x, training=True)
        network.save(folder / f"{name}.keras")
    np.save(folder / "images.npy", x)
    program = f"""
import json, pathlib, keras, keras_resnet
import numpy as np
folder = pathlib.Path({str(folder)!r})
x = np.load(folder / "images.npy")
said = {{}}
for path in folder.glob("*.keras"):
    network = keras.saving.load_model(path, safe_mode=True)
    pyramid = {{level: output.shape for level, output in network.pyramid_outputs.items()}}
    outputs = keras.ops.convert_to_numpy(network(x)).tolist() if path.stem in {list(FILES)} else None
    said[path.stem] = [type(network).__name__, network.name, pyramid, outputs]
print(json.dumps(said))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return saved, json.loads(done.stdout), x


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FILES, "imagenet", "space_to_depth"])
def test_a_saved_network_is_the_same_in_a_fresh_process(loaded_elsewhere, name):
    saved, said, x = loaded_elsewhere
    network = saved[name]
    kind, own_name, levels, outputs = said[name]
    assert (kind, own_name) == ("ResidualNetwork", network.name)
    assert {level: tuple(shape) for level, shape in levels.items()} == pyramid(network)
    if outputs is not None:
        np.testing.assert_allclose(outputs, value(network(x)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", [FILES["b"], FILES["c_remat"]], ids=str)
def test_a_clone_is_the_same_network_with_weights_of_its_own(options):
    network = CifarResNet(**options)
    clone = keras.models.clone_model(network)
    assert type(clone) is ResidualNetwork and pyramid(clone) == pyramid(network)
    clone.set_weights(network.get_weights())
    x = images(2, 32, 32, 3)
    np.testing.assert_array_equal(value(clone(x)), value(network(x)))
    clone.get_layer("conv1_conv").kernel.assign(0 * clone.get_layer("conv1_conv").kernel)
    assert value(network.get_layer("conv1_conv").kernel).any()


@pytest.mark.slow
def test_trains_with_compile_and_fit():
    network = CifarResNet(8, input_shape=(16, 16, 3), classes=4)
    x, y = images(32, 16, 16, 3), np.arange(32) % 4
    network.compile(keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = network.fit(x, y, batch_size=16, epochs=12, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert history["accuracy"][-1] > 0.9


@pytest.mark.slow
def test_resnet_1202_trains_at_the_default_recursion_limit():
    """In a process of its own, where nothing has raised the limit before."""
    program = """
import sys
limit = sys.getrecursionlimit()
import keras, keras_resnet, numpy as np, tensorflow as tf
network = keras_resnet.CifarResNet1202(classifier_activation=None)
optimizer = keras_resnet.SGD(0.01)
optimizer.build(network.trainable_variables)
images = tf.random.stateless_normal((4, 32, 32, 3), (0, 0))

@tf.function(autograph=False)
def iteration():
    with tf.GradientTape() as tape:
        logits = network(images, training=True)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits([0, 1, 2, 3], logits))
    optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)
    return loss

before = network.get_weights()
assert np.isfinite(iteration().numpy())
changed = [not np.array_equal(*pair) for pair in zip(before, network.get_weights())]
assert np.mean(changed) > 0.99, np.mean(changed)
assert all(np.isfinite(weight).all() for weight in network.get_weights())
assert sys.getrecursionlimit() == limit == 1000
print("trained")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.endswith("trained\n"), done.stderr
