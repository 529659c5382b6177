"""Our batch normalization beside Keras's, on one device and on two."""

from __future__ import annotations

import inspect
import itertools
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.models.layers import BatchNormalization, Rematerialized
from keras_resnet.models.layers.batch_normalization import set_normalization_batch_size
from keras_resnet.models.layers.batch_statistics import tensorflow as module
from tiers import slow

MOMENTUM, EPSILON = 0.9, 1e-5
IMAGES = (8, 5, 7, 6)
OF_THE_FUSED_KERNEL = "FusedBatchNormV3"


def keras_layer(**options):
    return keras.layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON, **options)


def pair(shape=IMAGES, **options):
    """Our layer and Keras's, with the same random weights."""
    layers = BatchNormalization(**options), keras_layer(**options)
    for layer in layers:
        layer.build((None, *shape[1:]))
    random = np.random.default_rng(1)
    weights = [random.uniform(0.5, 2.0, variable.shape) for variable in layers[0].weights]
    for layer in layers:
        layer.set_weights(weights)
    return layers


def batch(shape=IMAGES, seed=0, dtype="float32"):
    values = np.random.default_rng(seed).normal(1.5, 2.0, shape)
    return tf.cast(values, dtype)


def random_like(inputs):
    return tf.cast(np.random.default_rng(7).normal(size=inputs.shape), "float32")


def test_arguments_by_position_mean_what_they_mean_in_keras():
    """All of them, with values that are not the defaults; ours are the defaults of momentum and epsilon alone."""
    names = list(inspect.signature(keras.layers.BatchNormalization).parameters)[:-1]
    flags = {"center", "scale", "renorm", "synchronized"}
    given = {"axis": 1, "momentum": 0.5, "epsilon": 0.25, "renorm_clipping": None, "renorm_momentum": 0.75}
    defaults = keras.layers.BatchNormalization().get_config()
    values = [given.get(name, not defaults[name] if name in flags else None) for name in names]
    values = [
        keras.initializers.Constant(0.5) if name.endswith("initializer") else value
        for name, value in zip(names, values, strict=True)
    ]
    ours, theirs = (
        layer(*values, name="bn").get_config() for layer in (BatchNormalization, keras.layers.BatchNormalization)
    )
    assert ours == theirs
    assert BatchNormalization(1).axis == 1 and BatchNormalization().axis == -1
    assert (BatchNormalization().momentum, BatchNormalization().epsilon) == (MOMENTUM, EPSILON)


def like(layer, size=None, **options):
    """Another layer of ours with the same weights, and a normalization batch size."""
    again = BatchNormalization.from_config(layer.get_config() | {"synchronized": False} | options)
    again.build(IMAGES)
    again.set_weights(layer.get_weights())
    again.normalization_batch_size = size
    return again


def train(layer, inputs, towards=None, **options):
    """What a training step computes: outputs, the gradients of inputs and weights, and new moving statistics."""
    towards = random_like(inputs) if towards is None else towards
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=True, **options)
        loss = tf.reduce_sum(tf.cast(outputs, "float32") * towards)
    weights = [variable.value for variable in layer.trainable_variables]
    gradients = tape.gradient(loss, [inputs, *weights])
    return [outputs, *gradients, *(variable.value for variable in layer.non_trainable_variables)]


def in_a_graph(step):
    return lambda layer, inputs, **options: tf.function(lambda x: step(layer, x, **options))(inputs)


def operations(layer, inputs, **options) -> set[str]:
    """The kinds of operation that a call of the layer runs, inside of other functions too."""
    graph = tf.function(lambda x: layer(x, **options)).get_concrete_function(inputs).graph.as_graph_def()
    functions = [node for function in graph.library.function for node in function.node_def]
    return {node.op for node in (*graph.node, *functions)}


def assert_close(ours, theirs, relative):
    for mine, other in zip(ours, theirs, strict=True):
        mine, other = (tf.cast(values, "float32").numpy() for values in (mine, other))
        np.testing.assert_allclose(mine, other, rtol=relative, atol=relative * np.abs(other).max())


@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False}], ids=str)
def test_has_the_variables_of_keras(options):
    ours, theirs = (
        [(v.name, v.shape, v.dtype, v.trainable, v.path.split("/")[-1]) for v in layer.weights]
        for layer in pair(**options)
    )
    assert ours == theirs


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
@pytest.mark.parametrize("makers", [(BatchNormalization, keras_layer), (keras_layer, BatchNormalization)])
def test_a_file_of_one_layer_is_read_by_the_other(makers, suffix, tmp_path):
    saved, loaded = (keras.Sequential([keras.Input(IMAGES[1:]), make()]) for make in makers)
    saved.set_weights([np.random.default_rng(2).uniform(size=weight.shape) for weight in saved.get_weights()])
    path = tmp_path / f"network{suffix}"
    (saved.save_weights if suffix == ".weights.h5" else saved.save)(path)
    loaded.load_weights(path)
    np.testing.assert_array_equal(np.stack(loaded.get_weights()), np.stack(saved.get_weights()))


@pytest.mark.parametrize(
    ("policy", "relative", "step"),
    # Outputs may differ in the last bit of bfloat16 (8 bits) or float16 (11), statistics only in that of float32.
    [
        *(("float32", 1e-5, train), ("mixed_float16", 2.0**-10, train), ("mixed_bfloat16", 2.0**-7, in_a_graph(train))),
        *slow([("float32", 1e-5, in_a_graph(train)), ("mixed_float16", 2.0**-10, in_a_graph(train))]),
        *slow([("mixed_bfloat16", 2.0**-7, train)]),
    ],
)
def test_trains_as_keras_does(policy, relative, step):
    ours, theirs = pair(dtype=policy)
    for iteration in range(2):
        inputs = batch(seed=iteration, dtype=ours.compute_dtype)
        mine, others = step(ours, inputs), step(theirs, inputs)
        assert [values.dtype for values in mine] == [values.dtype for values in others]
        assert_close(mine[:2], others[:2], relative)
        assert_close(mine[2:4], others[2:4], 1e-5 if policy == "float32" else 1e-3)
        assert_close(mine[4:], others[4:], 1e-5)


@pytest.mark.parametrize(("policy", "relative"), [("float32", 1e-5), ("mixed_bfloat16", 2.0**-7)])
def test_infers_as_keras_does(policy, relative):
    ours, theirs = pair(dtype=policy)
    inputs, before = batch(dtype=ours.compute_dtype), ours.get_weights()
    outputs = ours(inputs), theirs(inputs)
    assert outputs[0].dtype == outputs[1].dtype
    assert_close(outputs[:1], outputs[1:], relative)
    np.testing.assert_array_equal(np.stack(ours.get_weights()), np.stack(before))


def test_one_image_of_one_pixel_leaves_finite_statistics():
    ours, theirs = pair(shape := (1, 1, 1, 6))
    assert_close(train(ours, batch(shape)), train(theirs, batch(shape)), 1e-3)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_images_go_through_the_fused_kernel(policy, training):
    ours, theirs = pair(dtype=policy)
    inputs = batch(dtype=ours.compute_dtype)
    assert OF_THE_FUSED_KERNEL in operations(ours, inputs, training=training)
    assert OF_THE_FUSED_KERNEL not in operations(theirs, inputs, training=training)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((8, 6, 5, 7), {"axis": 1}),
        ((8, 6), {}),
        ((8, 5, 6), {}),
        ((2, 3, 3, 3, 6), {}),
        (IMAGES, {"dtype": "float64"}),
        (IMAGES, {"center": False}),
        (IMAGES, {"scale": False}),
    ],
    ids=str,
)
def test_what_the_fused_kernel_does_not_serve_is_computed_by_keras(shape, options):
    ours, theirs = pair(shape, **options)
    inputs = batch(shape, dtype=ours.compute_dtype)
    assert OF_THE_FUSED_KERNEL not in operations(ours, inputs, training=True)
    assert_close(train(ours, inputs), train(theirs, inputs), 1e-6)


def test_masked_positions_do_not_count():
    ours, theirs = pair()
    mask = tf.constant(np.random.default_rng(3).uniform(size=IMAGES[:-1]) < 0.5)
    assert_close(train(ours, batch(), mask=mask), train(theirs, batch(), mask=mask), 1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_synchronized_layers_are_fused(training):
    ours, _ = pair(synchronized=True)
    assert OF_THE_FUSED_KERNEL in operations(ours, batch(), training=training)


def test_a_frozen_layer_infers_and_learns_nothing():
    ours, _ = pair()
    ours.trainable = False
    before, inferred = ours.get_weights(), ours(batch(), training=False)
    np.testing.assert_array_equal(ours(batch(), training=True), inferred)
    np.testing.assert_array_equal(np.stack(ours.get_weights()), np.stack(before))


def test_survives_serialization():
    layer = BatchNormalization(axis=1, momentum=0.8, epsilon=1e-3, synchronized=True, gamma_initializer="zeros")
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(again) is BatchNormalization
    assert again.get_config() == layer.get_config()


def train_on_replicas(strategy, layer, inputs, towards=None, sizes=None):
    """What `train` computes, where each replica has its part of the batch and the weights' gradients are added up."""
    count = strategy.num_replicas_in_sync
    parts = tf.split(inputs, sizes or count)
    towards = tf.split(random_like(inputs) if towards is None else towards, sizes or count)

    def replica(part, towards):
        with tf.GradientTape() as tape:
            tape.watch(part)
            outputs = layer(part, training=True)
            loss = tf.reduce_sum(tf.cast(outputs, "float32") * towards)
        gradients = tape.gradient(loss, [part, *(v.value for v in layer.trainable_variables)])
        return outputs, gradients[0], tf.distribute.get_replica_context().all_reduce("SUM", gradients[1:])

    @tf.function(autograph=False)
    def step(*arguments):
        return strategy.run(replica, args=arguments)

    outputs, d_inputs, gradients = step(
        *(
            strategy.experimental_distribute_values_from_function(
                lambda context, values=values: values[context.replica_id_in_sync_group]
            )
            for values in (parts, towards)
        )
    )
    local = strategy.experimental_local_results
    gradients = [local(gradient)[0] for gradient in gradients]
    moving = [layer.moving_mean.numpy(), layer.moving_variance.numpy()]
    return [tf.concat(local(outputs), 0), tf.concat(local(d_inputs), 0), *gradients, *moving]


def test_moving_statistics_are_the_mean_over_the_replicas(two_devices):
    """Each has its own, at no cost of communication; read outside, as values or as weights, they are averaged."""
    with two_devices.scope():
        layer = BatchNormalization()
        layer.build(IMAGES)
    means, variances = np.zeros((2, 6)), np.ones((2, 6))
    for iteration in range(3):
        inputs = tf.concat([batch(seed=iteration)[:4], batch(seed=iteration)[4:] * 2.0 + 1.0], 0)
        train_on_replicas(two_devices, layer, inputs)
        parts = np.split(inputs.numpy(), 2)
        means = MOMENTUM * means + (1 - MOMENTUM) * np.stack([part.mean((0, 1, 2)) for part in parts])
        variances = MOMENTUM * variances + (1 - MOMENTUM) * np.stack([part.var((0, 1, 2)) for part in parts])
    assert np.abs(means[0] - means[1]).max() > 0.3
    own = two_devices.experimental_local_results(layer.moving_mean.value)
    np.testing.assert_allclose(np.stack(own), means, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_mean.numpy(), means.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), variances.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.get_weights()[2:], [means.mean(0), variances.mean(0)], rtol=1e-5)


@pytest.mark.parametrize(
    ("policy", "relative"), [("float32", 1e-5), *slow([("mixed_bfloat16", 2.0**-6), ("mixed_float16", 2.0**-9)])]
)
@pytest.mark.parametrize("options", [{"synchronized": True}, {"size": 8}], ids=str)
def test_statistics_of_all_replicas_are_those_of_one_device(options, policy, relative, two_devices):
    """Also beside Keras's layer, which adds up the same in another way."""
    with two_devices.scope():
        layer, theirs = like(pair()[0], **options, dtype=policy), keras_layer(synchronized=True, dtype=policy)
        theirs.build(IMAGES)
    theirs.set_weights(layer.get_weights())
    alone = like(layer)
    for iteration in range(2):
        inputs = batch(seed=iteration, dtype=layer.compute_dtype)
        computed = train_on_replicas(two_devices, layer, inputs)
        for others in (train(alone, inputs), train_on_replicas(two_devices, theirs, inputs)):
            assert [values.dtype for values in computed] == [values.dtype for values in others]
            assert_close(computed[:2], others[:2], relative)
            assert_close(computed[2:4], others[2:4], 1e-5 if policy == "float32" else 1e-3)
            assert_close(computed[4:], others[4:], 1e-5)


@pytest.mark.parametrize("sizes", [(5, 3), (8, 0)], ids=str)
def test_synchronized_replicas_count_by_their_images(sizes, two_devices):
    with two_devices.scope():
        layer = like(pair()[0], synchronized=True)
    alone, inputs = like(layer), batch()
    assert_close(train_on_replicas(two_devices, layer, inputs, sizes=sizes), train(alone, inputs), 1e-5)


@pytest.mark.slow
def test_what_replicas_measure_is_what_the_saved_network_measures_elsewhere(two_devices, tmp_path):
    """The replicas see different images, so that their statistics differ; the file holds the mean of both."""
    random = np.random.default_rng(0)
    images = random.normal(size=(32, 6, 6, 3)).astype("float32")
    images[4::8] += 3.0  # of each batch of eight, the second half goes to the second replica
    images[5::8] += 5.0
    labels = random.integers(0, 4, 32)
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)
    with two_devices.scope():
        network = keras.Sequential(
            [keras.Input((6, 6, 3)), BatchNormalization(), keras.layers.Flatten(), keras.layers.Dense(4)]
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        network.compile("sgd", loss, jit_compile=False)
    network.fit(data, shuffle=False, verbose=0)
    network.set_weights(network.get_weights())  # the replicas exchange their statistics
    measured = network.evaluate(data, verbose=0)
    network.save(tmp_path / "network.keras")
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    program = f"""
import json, keras, keras_resnet, numpy
data = numpy.load({str(tmp_path / "data.npz")!r})
network = keras.saving.load_model({str(tmp_path / "network.keras")!r})
measured = network.evaluate(data["images"], data["labels"], verbose=0)
print(json.dumps([type(network.layers[0]).__module__, measured]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    module, elsewhere = json.loads(done.stdout)
    assert module.startswith("keras_resnet.")
    assert elsewhere == pytest.approx(measured, rel=1e-5)


def in_parts(layer, inputs, size):
    """What `train` computes where copies of a layer, with own moving statistics, get `size` images each."""
    parts = zip(tf.split(inputs, len(inputs) // size), tf.split(random_like(inputs), len(inputs) // size), strict=True)
    computed = [train(like(layer), part, towards=towards) for part, towards in parts]
    outputs, d_inputs, d_gamma, d_beta, mean, variance = zip(*computed, strict=True)
    sums = [tf.add_n([tf.cast(v, "float32") for v in values]) for values in (d_gamma, d_beta, mean, variance)]
    return [tf.concat(outputs, 0), tf.concat(d_inputs, 0), *sums[:2], *(v / len(computed) for v in sums[2:])]


def compiled(layer, inputs, **options):
    return tf.function(lambda x: train(layer, x, **options), jit_compile=True)(inputs)


STEPS = {"eager": train, "graph": in_a_graph(train), "xla": compiled}
FIRST = [("eager", 1), ("eager", 2), ("eager", 8), ("graph", 4), ("xla", 2)]


@pytest.mark.parametrize(
    ("step", "size"), [*FIRST, *slow(case for case in itertools.product(STEPS, (1, 2, 4, 8)) if case not in FIRST)]
)
def test_consecutive_images_share_statistics(size, step):
    layer = pair()[0]
    assert_close(STEPS[step](like(layer, size), batch()), in_parts(layer, batch(), size), 1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_groups_of_low_precision_have_the_same_bits(policy):
    layer = pair(dtype=policy)[0]
    inputs = batch(dtype=layer.compute_dtype)
    computed, expected = train(like(layer, 4), inputs), in_parts(layer, inputs, 4)
    assert [v.dtype for v in computed] == [v.dtype for v in expected]
    assert_close(computed[:2], expected[:2], 0.0)
    assert_close(computed[2:], expected[2:], 1e-6)


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((4, 6, 5, 7), {"axis": 1}),
        ((4, 6), {}),
        ((4, 5, 6), {}),
        ((4, 3, 6, 3, 2), {"axis": 2}),
        ((4, 5, 7, 6), {"center": False, "scale": False}),
    ],
    ids=str,
)
def test_inputs_of_any_shape_are_divided(shape, options, size):
    ours, theirs = pair(shape, **options)
    weights, parts = theirs.get_weights(), []
    for part in tf.split(batch(shape), 4 // size):
        theirs.set_weights(weights)
        parts.append((theirs(part, training=True), *theirs.get_weights()[-2:]))
    outputs, means, variances = zip(*parts, strict=True)
    ours.normalization_batch_size = size
    assert_close([ours(batch(shape), training=True)], [tf.concat(outputs, 0)], 1e-5)
    assert_close(ours.get_weights()[-2:], [np.mean(means, 0), np.mean(variances, 0)], 1e-5)


def test_the_size_of_a_replica_keeps_its_statistics_to_itself(two_devices):
    with two_devices.scope():
        plain, sized = (like(pair()[0], size, synchronized=size is not None) for size in (None, 4))
    computed, expected = (train_on_replicas(two_devices, layer, batch()) for layer in (sized, plain))
    assert_close(computed, expected, 0.0)


@pytest.mark.slow
def test_devices_do_not_matter(two_devices, tmp_path):
    """A batch of 16 in eights: one device in two groups, two replicas each with its own, four in two pairs."""
    layer, inputs = pair()[0], batch((16, *IMAGES[1:]))
    expected = in_parts(layer, inputs, 8)
    assert_close(train(like(layer, 8), inputs), expected, 1e-5)
    with two_devices.scope():
        layers = like(layer, 8), like(layer)
    for replicated in layers:
        assert_close(train_on_replicas(two_devices, replicated, inputs), expected, 1e-5)
    program = f"""
import numpy, runpy, tensorflow as tf
[cpu] = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 4)
here = runpy.run_path({__file__!r})
four = tf.distribute.MirroredStrategy([f"CPU:{{i}}" for i in range(4)])
with four.scope():
    layer = here["like"](here["pair"]()[0], 8)
computed = here["train_on_replicas"](four, layer, here["batch"]((16, *here["IMAGES"][1:])))
numpy.savez({str(tmp_path / "four.npz")!r}, *computed)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "four.npz") as four:
        assert_close([four[f"arr_{i}"] for i in range(6)], expected, 1e-5)


def test_what_overflows_in_one_group_stays_there(two_devices):
    """As in float16, where the scale of the loss is tried out."""
    values = tf.constant([[np.inf], [1.0]])
    summed = two_devices.run(
        lambda: module._group_sum(values[tf.distribute.get_replica_context().replica_id_in_sync_group], 1)
    )
    assert [v.numpy().item() for v in two_devices.experimental_local_results(summed)] == [np.inf, 1.0]


@pytest.mark.parametrize("size", [3, 16, 0, -2])
def test_images_that_cannot_be_divided_are_refused(size):
    layer = like(pair()[0], size)
    message = (
        "`normalization_batch_size` must divide the 8 images of a replica, or be a multiple of them that divides the "
        f"8 images of all replicas. Received: normalization_batch_size={size}"
    )
    with pytest.raises(ValueError, match=message):
        in_a_graph(train)(layer, batch())


@pytest.mark.parametrize("size", [3, 12, 32])
def test_replicas_that_cannot_be_grouped_are_refused(size, two_devices):
    with two_devices.scope():
        layer = like(pair()[0], size)
    with pytest.raises(ValueError, match=r"the 8 images of a replica, .* the 16 images of all replicas\. Received"):
        train_on_replicas(two_devices, layer, batch((16, *IMAGES[1:])))


@pytest.mark.parametrize(("shape", "options"), [(IMAGES, {}), (IMAGES, {"synchronized": True}), ((8, 6), {})], ids=str)
def test_batches_of_unknown_size_are_refused(shape, options):
    layer = pair(shape, **options)[0]
    layer.normalization_batch_size = 4
    step = tf.function(lambda x: layer(x, training=True))
    with pytest.raises(ValueError, match="must be None for batches of unknown size. Received: .*`drop_remainder=True`"):
        step.get_concrete_function(tf.TensorSpec([None, *shape[1:]]))


def test_what_no_kernel_divides_is_refused(monkeypatch):
    layer, message = (
        like(pair()[0], 4),
        "must be None except on the tensorflow and jax backends, for inputs of type .* with ",
    )
    with pytest.raises(ValueError, match=message + "a mask"):
        layer(batch(), training=True, mask=tf.ones(IMAGES[:-1], bool))
    with pytest.raises(ValueError, match=message + "inputs of type float64"):
        train(like(layer, 4, dtype="float64"), batch(dtype="float64"))
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(ValueError, match=message + "the torch backend"):
        layer.call(batch(), training=True)


def test_only_training_takes_statistics_in_groups():
    """What evaluation computes does not depend on it, nor what a frozen layer does, whatever the images."""
    layer = pair()[0]
    sized = like(layer, 3)
    expected = layer(batch(), training=False)
    np.testing.assert_array_equal(sized(batch(), training=False), expected)
    sized.trainable = False
    np.testing.assert_array_equal(sized(batch(), training=True), expected)
    assert_close(sized.get_weights(), layer.get_weights(), 0.0)


def nested(size=None):
    """A network with a layer at the top, one in a model and one in a rematerialized block of a model."""

    def model(*layers):
        return keras.Sequential([keras.Input(IMAGES[1:]), BatchNormalization(), *layers])

    network = model(model(Rematerialized(model())), keras.layers.BatchNormalization())
    set_normalization_batch_size(network, size)
    return network


def sizes(network):
    return [layer.normalization_batch_size for layer in network._flatten_layers() if type(layer) is BatchNormalization]


def test_a_size_is_set_everywhere_in_a_network():
    network = nested(size=4)
    assert sizes(network) == [4, 4, 4]
    set_normalization_batch_size(network, None)
    assert sizes(network) == [None] * 3
    with pytest.raises(ValueError, match="`images` must be at least 1, or None. Received: images=0"):
        set_normalization_batch_size(network, 0)


@pytest.mark.parametrize("how", ["saved", "cloned"])
def test_a_size_is_not_saved(how, tmp_path):
    network = nested(size=4)
    assert "normalization_batch_size" not in network.to_json()
    if how == "saved":
        network.save(tmp_path / "network.keras")
        again = keras.saving.load_model(tmp_path / "network.keras")
    else:
        again = keras.models.clone_model(network)
    assert sizes(again) == [None] * 3
