"""SGD against a numpy transcription of Caffe's solver, LARS against its paper's algorithm, on every backend."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import subprocess
import sys
from typing import get_args

import keras
import numpy as np
import pytest

from keras_resnet.config import recipe
from keras_resnet.optimization import optimizers, schedules
from tiers import slow

MOMENTUM, DECAY, TRUST = 0.9, 0.01, 0.02
RATES = np.array([0.1] * 20 + [0.01] * 15 + [0.05] * 15, "float32")
WEIGHTS = {"convolution": (3, 3, 2, 4), "dense": (4, 3), "bias": (3,), "gamma": (4,)}
DECAYED = ("convolution", "dense")


def initial_weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {name: random.normal(size=shape).astype("float32") for name, shape in WEIGHTS.items()}


def gradients() -> list[dict[str, np.ndarray]]:
    random = np.random.default_rng(1)
    return [{name: random.normal(size=shape).astype("float32") for name, shape in WEIGHTS.items()} for _ in RATES]


def you_et_al(weight: np.ndarray, diff: np.ndarray) -> float:
    """What Algorithm 1 of LARS multiplies the learning rate of a layer by."""
    size, slope = np.linalg.norm(weight), np.linalg.norm(diff)
    return TRUST * size / (slope + DECAY * size)


def caffe(*, nesterov: bool, momentum: float = MOMENTUM, lars: bool = False) -> dict[str, np.ndarray]:
    """The weights after all iterations, as Caffe's SGDSolver and NesterovSolver compute them, in float64."""
    weights = {name: weight.astype("float64") for name, weight in initial_weights().items()}
    history = {name: np.zeros(shape) for name, shape in WEIGHTS.items()}
    for rate, diffs in zip(RATES.astype("float64"), gradients(), strict=True):
        for name, weight in weights.items():
            diff = diffs[name] + (DECAY * weight if name in DECAYED else 0.0)
            layer_rate = rate * you_et_al(weight, diffs[name]) if lars and name in DECAYED else rate
            before = history[name]
            history[name] = layer_rate * diff + momentum * before
            weight -= (1 + momentum) * history[name] - momentum * before if nesterov else history[name]
    return weights


def sgd(lars: bool = False, **options) -> tuple[optimizers.SGD, dict[str, keras.Variable]]:
    variables = {name: keras.Variable(weight, name=name) for name, weight in initial_weights().items()}
    options = {"momentum": MOMENTUM, "coupled_weight_decay": DECAY, **options}
    optimizer = optimizers.LARS(0.1, trust_coefficient=TRUST, **options) if lars else optimizers.SGD(0.1, **options)
    optimizer.build(list(variables.values()))
    return optimizer, variables


def assert_equals_caffe(variables: dict[str, keras.Variable], expected: dict[str, np.ndarray]) -> None:
    for name, variable in variables.items():
        actual = keras.ops.convert_to_numpy(variable)
        np.testing.assert_allclose(actual, expected[name], rtol=1e-6, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("momentum", [MOMENTUM, 0.0])
@pytest.mark.parametrize("nesterov", [False, True])
def test_equals_caffe_over_a_changing_learning_rate(nesterov, momentum):
    optimizer, variables = sgd(nesterov=nesterov, momentum=momentum)
    for rate, diffs in zip(RATES, gradients(), strict=True):
        optimizer.learning_rate = float(rate)
        optimizer.apply([keras.ops.convert_to_tensor(diff) for diff in diffs.values()])
    assert_equals_caffe(variables, caffe(nesterov=nesterov, momentum=momentum))


@pytest.mark.parametrize("nesterov", [False, True])
def test_lars_equals_its_algorithm_on_caffes_momentum(nesterov):
    optimizer, variables = sgd(lars=True, nesterov=nesterov)
    for rate, diffs in zip(RATES, gradients(), strict=True):
        optimizer.learning_rate = float(rate)
        optimizer.apply([keras.ops.convert_to_tensor(diff) for diff in diffs.values()])
    assert_equals_caffe(variables, caffe(nesterov=nesterov, lars=True))


@pytest.mark.parametrize("zero", ["weights", "gradient"])
def test_lars_on_caffes_momentum_leaves_the_rate_alone_where_there_is_nothing_to_compare(zero):
    start = np.zeros((3, 2)) if zero == "weights" else np.ones((3, 2))
    kernel = keras.Variable(start.astype("float32"))
    optimizer = optimizers.LARS(0.5, momentum=0.0, coupled_weight_decay=0.1)
    optimizer.apply([keras.ops.convert_to_tensor(1 - start, "float32")], [kernel])
    expected = -0.5 if zero == "weights" else 1 - 0.5 * 0.1
    np.testing.assert_allclose(keras.ops.convert_to_numpy(kernel), np.full((3, 2), expected), rtol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="only the JAX backend trains without state")
def test_equals_caffe_in_a_compiled_stateless_step():
    import jax

    optimizer, variables = sgd()
    step = jax.jit(optimizer.stateless_apply)
    trainable, state = [v.value for v in variables.values()], [v.value for v in optimizer.variables]
    [at] = [i for i, variable in enumerate(optimizer.variables) if variable is optimizer._learning_rate]
    for rate, diffs in zip(RATES, gradients(), strict=True):
        state[at] = jax.numpy.asarray(rate)
        trainable, state = step(state, list(diffs.values()), trainable)
    assert_equals_caffe(dict(zip(variables, trainable, strict=True)), caffe(nesterov=False))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends(backend):
    """Runs the laws of this file in a process with another backend."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    laws = "caffe or every_type or overflow_float16"
    command = [sys.executable, "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider", __file__, "-k", laws]
    environment = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{18 if backend == 'jax' else 21} passed" in done.stdout


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.distribute belongs to TensorFlow")
@pytest.mark.parametrize(("nesterov", "lars"), [(True, False), (False, True), *slow([(False, False), (True, True)])])
def test_equals_caffe_on_two_mirrored_devices(nesterov, lars, two_devices):
    """Each replica contributes half of the gradient; iterations run inside one graph, as in training."""
    import tensorflow as tf

    with two_devices.scope():
        optimizer, variables = sgd(nesterov=nesterov, lars=lars)
    stacked = {name: tf.stack([diffs[name] for diffs in gradients()]) for name in WEIGHTS}
    rates = tf.constant(RATES)

    def iteration(i):
        optimizer.learning_rate = rates[i]
        # Unequal shares that add up to the gradient: a sum over replicas that went wrong would show.
        share = tf.gather([0.25, 0.75], tf.distribute.get_replica_context().replica_id_in_sync_group)
        optimizer.apply([share * diffs[i] for diffs in stacked.values()])

    @tf.function
    def train(first, stop):
        for i in tf.range(first, stop):
            two_devices.run(iteration, args=(i,))

    train(0, 30)
    train(30, len(RATES))
    expected = caffe(nesterov=nesterov, lars=lars)
    assert_equals_caffe(variables, expected)
    for name, variable in variables.items():
        for replica in two_devices.experimental_local_results(variable.value):
            np.testing.assert_allclose(replica.numpy(), expected[name], rtol=1e-6, atol=1e-6, err_msg=name)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="counts the nodes of a TensorFlow graph")
def test_few_nodes_for_each_variable():
    """ResNet-1202 has 3,600 variables: a node more for each is felt when the graph is traced."""
    import tensorflow as tf

    def nodes(count: int) -> int:
        variables = [keras.Variable(np.ones((2, 2), "float32")) for _ in range(count)]
        optimizer = optimizers.SGD(0.1)
        optimizer.build(variables)
        graph = tf.function(lambda: optimizer.apply([tf.zeros((2, 2))] * count)).get_concrete_function().graph
        return sum(node.op != "Placeholder" for node in graph.as_graph_def().node)

    # Of a kernel: its value, the decay, their product, the sum, the momentum, the all-reduced gradient, the update.
    assert nodes(12) - nodes(11) <= 7


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="once is enough")
def test_mixed_precision_keeps_float32_weights_and_momentum():
    layer = keras.layers.Dense(2, dtype="mixed_bfloat16")
    layer.build((None, 3))
    optimizer = optimizers.SGD(0.1)
    optimizer.build(layer.trainable_variables)
    # 2^-10 is lost beside 1 in bfloat16, kept in float32.
    layer.kernel.assign(np.ones((3, 2)))
    optimizer.coupled_weight_decay = 0.0
    optimizer.apply([keras.ops.full((3, 2), -(2.0**-10) / 0.1, "bfloat16"), keras.ops.zeros((2,), "bfloat16")])
    assert {variable.dtype for variable in optimizer.momentums} == {"float32"}
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer.kernel), 1 + 2.0**-10, rtol=1e-5)


@pytest.mark.parametrize("lars", [False, True])
@pytest.mark.parametrize("momentum", [0.0, MOMENTUM])
@pytest.mark.parametrize("policy", ["float64", "bfloat16", "float16"])
def test_weights_of_every_type_are_trained(policy, momentum, lars):
    """By a rate that is float32 whatever the weights are."""
    if policy == "float64" and keras.backend.backend() == "jax":
        pytest.skip("JAX has no float64 unless asked")
    digits = {"float64": 1e-6, "bfloat16": 0.02, "float16": 4e-3}[policy]
    weight, gradient = initial_weights()["convolution"].astype("float64"), gradients()[0]["convolution"]
    variable = keras.Variable(weight, dtype=policy, name="convolution")
    weight = value(variable)  # rounded
    options = {"momentum": momentum, "coupled_weight_decay": DECAY}
    kind = optimizers.LARS if lars else optimizers.SGD
    optimizer = kind(schedules.Cosine(0.5, 100), **options | ({"trust_coefficient": TRUST} if lars else {}))
    optimizer.build([variable])
    optimizer.apply([keras.ops.cast(gradient, policy)])
    step = 0.5 * (gradient + DECAY * weight) * (you_et_al(weight, gradient) if lars else 1.0)
    assert variable.dtype == policy
    np.testing.assert_allclose(value(variable), weight - step, rtol=digits, atol=digits)
    assert np.abs(value(variable) - weight).max() > 5 * digits or policy != "float64"


def value(variable: keras.Variable) -> np.ndarray:
    wide = "float64" if variable.dtype == "float64" else "float32"
    return keras.ops.convert_to_numpy(keras.ops.cast(variable, wide)).astype("float64")


def test_the_norms_of_lars_do_not_overflow_float16():
    """The squares of 100 are beyond its numbers, after a few of them."""
    optimizer, variable = optimizers.LARS(1.0, momentum=0.0), keras.Variable(np.full((4, 4), 100.0), dtype="float16")
    optimizer.build([variable])
    optimizer.apply([keras.ops.full((4, 4), 200.0, "float16")])
    np.testing.assert_allclose(value(variable), 100 - 0.001 * 100, rtol=1e-3)


@pytest.mark.parametrize("kind", [optimizers.SGD, optimizers.LARS])
def test_each_has_a_name_of_its_own_as_keras_gives_it(kind):
    names = [kind(0.1).name for _ in range(2)]
    assert len({*names, keras.optimizers.SGD(0.1).name}) == 3
    assert all(re.fullmatch(rf"{kind.__name__.lower()}(_\d+)?", name) for name in names)
    assert kind(name="mine").name == "mine"


def test_arguments_have_the_places_that_keras_gives_them():
    ours, theirs = (list(inspect.signature(kind).parameters) for kind in (optimizers.SGD, keras.optimizers.SGD))
    assert ours[: len(theirs) - 1] == theirs[:-1]  # the last are **kwargs
    for kind in (optimizers.SGD, optimizers.LARS):
        made = kind(0.2, 0.8, True, None, 1.0, None, None, True, 0.98, 3, None, None, "mine")
        assert (made.momentum, made.nesterov, made.clipnorm, made.use_ema, made.ema_momentum) == (
            0.8,
            True,
            1,
            True,
            0.98,
        )
        assert made.name == "mine"
        with pytest.raises(ValueError, match="Set `coupled_weight_decay` instead"):
            kind(0.2, 0.8, True, 1e-4)


@pytest.mark.parametrize(("row", "name"), [("sgd", "SGD"), ("lars", "LARS")])
def test_a_recipe_s_optimizer_has_the_name_that_checkpoints_have(row, name):
    for _ in range(2):
        assert optimizers.OPTIMIZERS[row](learning_rate=0.1, momentum=0.9).name == name


def test_an_optimizer_that_was_saved_with_a_fixed_name_keeps_it():
    config = {**optimizers.SGD(0.1).get_config(), "name": "SGD"}
    assert optimizers.SGD.from_config(config).name == "SGD"


def test_exclusions_of_keras_are_respected():
    _, variables = sgd()
    excluded = optimizers.SGD(0.1, coupled_weight_decay=DECAY)
    excluded.exclude_from_weight_decay(var_names=["dense"])
    kernels = [variables["convolution"], variables["dense"]]
    before = [keras.ops.convert_to_numpy(kernel) for kernel in kernels]
    excluded.apply([keras.ops.zeros_like(kernel) for kernel in kernels], kernels)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(kernels[0]), before[0] * (1 - 0.1 * DECAY), rtol=1e-6)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(kernels[1]), before[1])


def test_survives_serialization():
    optimizer = optimizers.SGD(0.2, momentum=0.8, nesterov=True, coupled_weight_decay=3e-4, name="mine", clipnorm=1.0)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is optimizers.SGD
    assert again.get_config() == optimizer.get_config()
    assert (again.coupled_weight_decay, again.momentum, again.nesterov, again.clipnorm) == (3e-4, 0.8, True, 1.0)


def test_lars_survives_serialization():
    optimizer = optimizers.LARS(0.2, momentum=0.8, coupled_weight_decay=3e-4, trust_coefficient=0.02)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is optimizers.LARS
    assert again.get_config() == optimizer.get_config()
    assert again.trust_coefficient == 0.02


@pytest.mark.parametrize("trust", [0.0, -1.0, float("nan")])
def test_a_trust_coefficient_that_would_stop_or_reverse_the_training_is_refused(trust):
    with pytest.raises(ValueError, match="`trust_coefficient` must be positive. Received: trust_coefficient="):
        optimizers.LARS(0.1, trust_coefficient=trust)


def test_decoupled_weight_decay_is_refused():
    with pytest.raises(ValueError, match=r"`weight_decay` must be None.*weight_decay=0.0001.*coupled_weight_decay"):
        optimizers.SGD(0.1, weight_decay=1e-4)


@pytest.mark.parametrize("decay", [-1e-4, float("nan")])
def test_coupled_weight_decay_below_zero_is_refused(decay):
    with pytest.raises(ValueError, match="`coupled_weight_decay` must be at least 0"):
        optimizers.SGD(0.1, coupled_weight_decay=decay)


def test_table_has_the_words_of_the_recipe():
    assert tuple(optimizers.OPTIMIZERS) == get_args(recipe.OptimizerName)


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_rows_take_every_setting_of_a_recipe(name):
    settings = {"momentum": 0.8, "nesterov": True, "coupled_weight_decay": 3e-4, "trust_coefficient": 0.02}
    optimizer = optimizers.OPTIMIZERS[name](learning_rate=0.2, **settings)
    assert type(optimizer).__name__.lower() == name
    concerned = {key: value for key, value in settings.items() if hasattr(optimizer, key)}
    assert {key: getattr(optimizer, key) for key in concerned} == concerned
