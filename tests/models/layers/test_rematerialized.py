"""A rematerialized network is the plain one, computed with less memory and a smaller graph."""

from __future__ import annotations

from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet import CifarResNet, ResidualNetwork
from keras_resnet.models import resnet
from keras_resnet.models.layers import Rematerialized
from keras_resnet.models.layers.batch_normalization import set_normalization_batch_size
from keras_resnet.models.layers.rematerialized import structure
from tiers import slow

KINDS = [
    {"shortcut": "A"},
    {"shortcut": "B", "preactivation": True},
    {"depth": 11, "block": "bottleneck", "shortcut": "B", "bottleneck_stride": "3x3", "zero_gamma": True},
]


@pytest.fixture
def policy():
    """Sets the policy of Keras and takes it back."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


FORMS = [True, "nested"]
"""Whose graph is that of the plain network, and the form of very deep networks, a `Rematerialized` for each block."""


def network(*, remat, depth=8, **options):
    options = {"input_shape": (8, 8, 3), "classifier_activation": None, **options}
    with pytest.MonkeyPatch.context() as patch:
        if remat == "nested":
            patch.setattr(resnet, "REMAT_DEPTH", 0)
        return CifarResNet(depth, remat=bool(remat), **options)


def pair(form=True, **options):
    """A rematerialized network and the plain one with its weights."""
    rematerialized, plain = network(remat=form, **options), network(remat=False, **options)
    plain.set_weights(rematerialized.get_weights())
    return rematerialized, plain


def images(count=4, seed=0, size=8):
    return tf.constant(np.random.default_rng(seed).normal(size=(count, size, size, 3)), "float32")


def train(model, x):
    """The logits of a training iteration and the gradients of their loss."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = model(x, training=True)
        loss = tf.reduce_mean(tf.nn.log_softmax(tf.cast(logits, "float32"))[:, 3])
    return [logits, *tape.gradient(loss, [x, *(v.value for v in model.trainable_variables)])]


def in_a_graph(model, x):
    return tf.function(lambda x: train(model, x))(x)


def graph_of_training(model):
    return tf.function(lambda x: train(model, x)).get_concrete_function(images()).graph.as_graph_def()


def calls(graph):
    return [node for node in graph.node if node.op in ("PartitionedCall", "StatefulPartitionedCall")]


def assert_close(ours, theirs, relative):
    for mine, other in zip(ours, theirs, strict=True):
        mine, other = np.asarray(mine, "float64"), np.asarray(other, "float64")
        np.testing.assert_allclose(mine, other, rtol=relative, atol=relative * np.abs(other).max())


def assert_trains_alike(rematerialized, plain, x, *, step=in_a_graph, relative=1e-4):
    mine, others = step(rematerialized, x), step(plain, x)
    assert [values.dtype for values in mine] == [values.dtype for values in others]
    assert_close([tf.cast(v, "float32") for v in mine], [tf.cast(v, "float32") for v in others], relative)
    assert_close(rematerialized.get_weights(), plain.get_weights(), relative)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", KINDS, ids=str)
def test_has_the_weights_of_the_plain_network(options, form):
    rematerialized, plain = (network(remat=remat, **options) for remat in (form, False))
    ours, theirs = (
        [(v.path, v.shape, v.dtype, v.trainable) for v in model.weights] for model in (rematerialized, plain)
    )
    assert ours == theirs
    trainable = [[v.path for v in model.trainable_variables] for model in (rematerialized, plain)]
    assert trainable[0] == trainable[1]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", [*KINDS[:1], *slow(KINDS[1:])], ids=str)
def test_trains_and_infers_as_the_plain_network_does(options, form):
    """Outputs, gradients, and moving statistics that one iteration updates once."""
    rematerialized, plain = pair(form, **options)
    before = rematerialized.get_weights()
    assert_trains_alike(rematerialized, plain, images())
    moved = rematerialized.get_weights()
    assert not np.array_equal(before[3], moved[3])
    assert_close([rematerialized(images())], [plain(images())], 1e-5)
    assert all(np.array_equal(*pair) for pair in zip(moved, rematerialized.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("name", "step", "relative"),
    # The same kernels on the same values: sums of bfloat16 may be taken in another order.
    [
        ("float32", train, 1e-4),
        ("mixed_bfloat16", in_a_graph, 2.0**-6),
        *slow([("mixed_bfloat16", train, 2.0**-6)]),
    ],
    ids=["float32-eager", "bfloat16-graph", "bfloat16-eager"],
)
def test_trains_alike_in_every_mode(name, step, relative, policy):
    policy(name)
    rematerialized, plain = pair(shortcut="C")
    assert_trains_alike(rematerialized, plain, images(), step=step, relative=relative)


def test_moving_statistics_stay_exact_under_a_mixed_policy(policy):
    """A statistic that went through bfloat16 would lose a change of one in a thousand."""
    policy("mixed_bfloat16")
    rematerialized, _ = pair(depth=8)
    layer = rematerialized.get_layer("conv3_block1_1_bn")
    layer.moving_mean.assign(np.full(32, 1.0 + 2.0**-12))
    layer.momentum = 1.0
    train(rematerialized, images())
    np.testing.assert_array_equal(layer.moving_mean, np.full(32, 1.0 + 2.0**-12, "float32"))


def freeze(model, names):
    for layer in model.layers:
        if layer.name.startswith(names):
            layer.trainable = False


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("name", "frozen"),
    [
        ("mixed_bfloat16", "conv3_block1"),
        *slow([("float32", "conv3_block1_1_bn"), ("mixed_bfloat16", "conv3_block1_1_bn")]),
    ],
)
def test_what_is_frozen_stays_to_the_bit(name, frozen, form, policy):
    """A whole block, or a layer inside of one."""
    policy(name)
    rematerialized, plain = pair(form, shortcut="B")
    freeze(rematerialized, frozen)
    freeze(plain, frozen)
    before = {v.path: np.array(v) for v in rematerialized.variables}
    assert_trains_alike(rematerialized, plain, images(), relative=1e-4 if name == "float32" else 2.0**-6)
    assert rematerialized.get_layer("conv3_block1_1_bn").trainable_variables == []
    same = {v.path for v in rematerialized.variables if np.array_equal(before[v.path], v)}
    assert same == {v.path for v in rematerialized.variables if frozen in v.path or not moving(v)}


def moving(variable):
    """Whether `train`, which updates no weights, changes it."""
    return variable.name.startswith("moving_")


@pytest.mark.slow
def test_a_block_that_is_frozen_later_leaves_its_likes_trainable():
    """Blocks of one structure share a traced function, which must not remember the first of them."""
    size = 9  # a structure that no other test has traced
    rematerialized, plain = pair(depth=14, input_shape=(size, size, 3))
    assert_trains_alike(rematerialized, plain, images(size=size))
    for model in (rematerialized, plain):
        freeze(model, "conv2_block1_")
    assert_trains_alike(rematerialized, plain, images(count=6, size=size))


@pytest.mark.slow
def test_fits_as_the_plain_network_does():
    rematerialized, plain = pair(shortcut="B")
    x, y = images(24).numpy(), np.random.default_rng(1).integers(0, 10, 24)
    losses = []
    for model in (rematerialized, plain):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.01, 0.9), loss)
        losses += model.fit(x, y, batch_size=8, shuffle=False, verbose=0).history["loss"]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert_close(rematerialized.get_weights(), plain.get_weights(), 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("synchronized", "size"), [(False, None), (True, None), (False, 8), (False, 2)])
def test_trains_on_replicas_as_the_plain_network_does(synchronized, size, two_devices):
    with two_devices.scope():
        models = pair(shortcut="B", synchronized=synchronized)
    for model in models:
        set_normalization_batch_size(model, size)
    halves = tf.split(images(8), 2)
    x = two_devices.experimental_distribute_values_from_function(
        lambda context: halves[context.replica_id_in_sync_group]
    )
    computed = []
    for model in models:
        results = tf.function(lambda x, model=model: two_devices.run(train, args=(model, x)))(x)
        computed.append([part for result in results for part in two_devices.experimental_local_results(result)])
    assert_close(*computed, 1e-4)
    assert_close(*(model.get_weights() for model in models), 1e-4)


@pytest.mark.slow
def test_groups_of_images_train_as_in_the_plain_network():
    """Two networks of one structure and two sizes share no trace, in whatever order they are traced."""
    x, size = images(8, size=10), {"input_shape": (10, 10, 3)}  # a structure that no other test has traced
    first, plain = pair(**size)
    start, moved = first.get_weights(), []
    for images_each in (None, 2, 4, None):
        for model in (first, plain):
            model.set_weights(start)
            set_normalization_batch_size(model, images_each)
        assert_trains_alike(first, plain, x)
        moved.append(first.get_weights()[-3])  # the moving variance of the last batch normalization
    assert not np.allclose(moved[0], moved[1], rtol=1e-3) and not np.allclose(moved[1], moved[2], rtol=1e-3)
    np.testing.assert_array_equal(moved[0], moved[3])


def train_in_a_loop(strategy, model, batches):
    """The weights after an iteration on each of the batches [k, images, height, width, 3], from one call of a graph."""
    with strategy.scope():
        optimizer = keras.optimizers.SGD(0.1, 0.9)
        optimizer.build(model.trainable_variables)

    def replica(x):
        _, _, *gradients = train(model, x)
        optimizer.apply([gradient / strategy.num_replicas_in_sync for gradient in gradients])

    def iteration(k):
        parts = tf.split(batches[k], strategy.num_replicas_in_sync)
        strategy.run(
            replica,
            args=(
                strategy.experimental_distribute_values_from_function(
                    lambda context: parts[context.replica_id_in_sync_group]
                ),
            ),
        )
        return k + 1

    @tf.function(autograph=False)
    def run():
        tf.while_loop(lambda k: k < len(batches), iteration, [0], parallel_iterations=1)

    run()
    return model.get_weights()


@pytest.mark.slow
@pytest.mark.parametrize("remat", [False, True])
def test_a_loop_over_replicas_trains_as_one_device_does(remat, two_devices):
    """With the statistics of all replicas, whose collectives work in blocks inside of the loop of a training."""
    batches = tf.stack([images(8, seed=k) for k in range(3)])
    alone = network(remat=False, shortcut="B", zero_gamma=True)
    with two_devices.scope():
        model = network(remat=remat, shortcut="B", zero_gamma=True)
    model.set_weights(before := alone.get_weights())
    set_normalization_batch_size(model, 8)
    expected = train_in_a_loop(tf.distribute.get_strategy(), alone, batches)
    assert not np.allclose(expected[0], before[0], rtol=1e-3)
    assert_close(train_in_a_loop(two_devices, model, batches), expected, 1e-4)


@pytest.mark.slow
def test_the_graph_has_a_function_for_each_structure_and_two_calls_for_each_block():
    """Forward and backward. So a network of 600 blocks is traced as fast as one of 20."""
    graphs = {n: graph_of_training(network(remat=True, depth=6 * n + 2)) for n in (3, 4, 6)}
    # conv2 has blocks of one structure; conv3 and conv4 begin with one that has a stride.
    structures = 5
    for n, graph in graphs.items():
        assert Counter(node.attr["f"].func.name for node in calls(graph)).total() == 2 * 3 * n
        assert len({node.attr["f"].func.name for node in calls(graph)}) == 2 * structures
    functions = [len(graph.library.function) for graph in graphs.values()]
    assert functions == [2 * structures] * 3
    nodes = {n: len(graph.node) for n, graph in graphs.items()}
    for_each_block = (nodes[4] - nodes[3]) / 3
    assert nodes[6] - nodes[4] == 6 * for_each_block
    # 10 variables are read and 4 of them written.
    assert for_each_block <= 50


def test_the_backward_pass_gets_what_the_forward_pass_got_and_the_gradient():
    """No activation from the inside of a block is kept: that is the memory that is saved."""
    graph = graph_of_training(network(remat=True, shortcut="A"))
    forward, backward = Counter(), Counter()
    for node in calls(graph):
        weights = sum("ReadVariableOp" in name for name in node.input)
        (backward if len(node.input) - weights == 2 else forward)[weights, len(node.input) - weights] += 1
    # Two kernels, and four vectors for each of two batch normalizations.
    assert forward == {(10, 1): 3}
    assert backward == {(10, 2): 3}


def block(*, prefix="a", filters=4, strides=1, name=None, trainable=True, dtype=None):
    inputs = keras.Input((8, 8, 4))
    x = keras.layers.Conv2D(filters, 3, strides, "same", dtype=dtype, name=f"{prefix}_conv")(inputs)
    outputs = keras.layers.BatchNormalization(name=f"{prefix}_bn", trainable=trainable)(x)
    return keras.Model(inputs, outputs, name=name or f"{prefix}_block")


def test_blocks_that_differ_only_in_names_have_one_structure():
    assert structure(block(prefix="a")) == structure(block(prefix="conv", name="bn"))


@pytest.mark.parametrize(
    "difference", [{"filters": 5}, {"strides": 2}, {"trainable": False}, {"dtype": "bfloat16"}], ids=str
)
def test_blocks_that_compute_something_else_have_another_structure(difference):
    assert structure(block()) != structure(block(**difference))


def test_freezing_changes_the_structure():
    frozen = block()
    frozen.trainable = False
    assert structure(block()) != structure(frozen)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("how", ["saved", *slow(["cloned"])])
def test_survives_saving_and_cloning(how, form, tmp_path):
    model = network(remat=form, shortcut="B")
    train(model, images())
    if how == "saved":
        model.save(tmp_path / "network.keras")
        again = keras.saving.load_model(tmp_path / "network.keras")
    else:
        again = keras.models.clone_model(model)
        again.set_weights(model.get_weights())
    assert [layer.name for layer in again.layers[1:]] == [layer.name for layer in model.layers[1:]]
    rematerialized = [layer.name for layer in again.layers if isinstance(layer, Rematerialized)]
    nested = [f"conv{stage}_block1_out" for stage in (2, 3, 4)]
    # Keras makes a clone from the graph alone.
    assert (again.remat, rematerialized) == ((False, nested) if form == "nested" else (how == "saved", []))
    described = ResidualNetwork.from_config(model.get_config())
    assert described.remat == model.remat
    assert not {id(v) for v in again.weights} & {id(v) for v in model.weights}
    np.testing.assert_array_equal(again(images()), model(images()))
    assert_trains_alike(again, model, images(seed=1), relative=1e-5)


@pytest.mark.parametrize(("remat", "of"), [(False, "nested"), *slow([("nested", True), (True, "nested")])])
@pytest.mark.parametrize("how", ["weights", "load_weights"])
def test_weights_files_serve_every_form(how, remat, of, tmp_path):
    """Keras keys layers by their place; we go by their names, which are the same."""
    model = network(remat=of, shortcut="B")
    model.save_weights(path := tmp_path / "network.weights.h5")
    again = network(remat=remat, shortcut="B", **({"weights": path} if how == "weights" else {}))
    again.load_weights(path)
    np.testing.assert_allclose(again(images()), model(images()), rtol=1e-5, atol=1e-6)


def test_its_shape_is_that_of_its_block():
    layer = Rematerialized(block(filters=7, strides=2))
    assert layer.compute_output_shape((None, 8, 8, 4)) == (None, 4, 4, 7)
    assert tuple(layer(images(2)[:, :, :, :1] * tf.ones((1, 1, 1, 4))).shape) == (2, 4, 4, 7)


def test_only_very_deep_networks_are_rematerialized_by_default(monkeypatch):
    assert resnet.REMAT_DEPTH == 200
    monkeypatch.setattr(resnet, "REMAT_DEPTH", 8)
    built = [
        CifarResNet(d, **options) for d, options in [(8, {}), (8, {"remat": True}), (14, {}), (14, {"remat": True})]
    ]
    nested = [any(isinstance(layer, Rematerialized) for layer in network.layers) for network in built]
    assert [network.remat for network in built] == [False, True, False, False]
    assert nested == [False, False, True, True]
    with pytest.raises(ValueError, match="`remat` must be None or True in networks of more than 8 layers"):
        CifarResNet(14, remat=False)
