"""Our batch normalization beside Keras's, on one device and on two."""

from __future__ import annotations

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.layers import BatchNormalization

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


def train(layer, inputs, **options):
    """What a training step computes: outputs, the gradients of inputs and weights, and new moving statistics."""
    towards = tf.cast(np.random.default_rng(7).normal(size=inputs.shape), "float32")
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


@pytest.mark.parametrize("step", [train, in_a_graph(train)], ids=["eager", "graph"])
@pytest.mark.parametrize(
    ("policy", "relative"),
    # Outputs may differ in the last bit of bfloat16 (8 bits) or float16 (11), statistics only in that of float32.
    [("float32", 1e-5), ("mixed_bfloat16", 2.0**-7), ("mixed_float16", 2.0**-10)],
)
def test_trains_as_keras_does(policy, relative, step):
    ours, theirs = pair(dtype=policy)
    for iteration in range(3):
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
        (IMAGES, {"synchronized": True}),
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


def test_synchronized_inference_is_fused():
    ours, _ = pair(synchronized=True)
    assert OF_THE_FUSED_KERNEL in operations(ours, batch(), training=False)


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


def train_on_replicas(strategy, layer, inputs):
    """What one training step computes where each replica has its half of the batch; the gradients are added up."""
    halves = tf.split(inputs, 2)

    def replica(half):
        with tf.GradientTape() as tape:
            outputs = layer(half, training=True)
            loss = tf.reduce_sum(outputs**3)
        gradients = tape.gradient(loss, [v.value for v in layer.trainable_variables])
        return outputs, tf.distribute.get_replica_context().all_reduce("SUM", gradients)

    @tf.function
    def step(halves):
        return strategy.run(replica, args=(halves,))

    outputs, gradients = step(
        strategy.experimental_distribute_values_from_function(lambda context: halves[context.replica_id_in_sync_group])
    )
    local = strategy.experimental_local_results
    return tf.concat(local(outputs), 0), [local(gradient)[0] for gradient in gradients]


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


def test_synchronized_replicas_are_one_device_with_the_whole_batch(two_devices):
    with two_devices.scope():
        layer = BatchNormalization(synchronized=True)
        layer.build(IMAGES)
    alone = BatchNormalization()
    alone.build(IMAGES)
    for iteration in range(2):
        inputs = batch(seed=iteration)
        outputs, gradients = train_on_replicas(two_devices, layer, inputs)
        with tf.GradientTape() as tape:
            expected = alone(inputs, training=True)
            loss = tf.reduce_sum(expected**3)
        assert_close([outputs], [expected], 1e-5)
        assert_close(gradients, tape.gradient(loss, [v.value for v in alone.trainable_variables]), 1e-4)
    assert_close(layer.get_weights(), alone.get_weights(), 1e-5)


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
