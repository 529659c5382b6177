"""Laws of the engine on eight devices of a CPU, for a process of its own, which runs those that it is told to.

    python eight_devices.py FOLDER LAW…

FOLDER holds what TensorFlow's engine did from the same weights. Prints, as JSON, what each law has to say against the
engine; nothing, if it holds.
"""

from __future__ import annotations

import functools
import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import jax
import keras
import numpy as np
import pytest

import small_trainings
from keras_resnet.data.datasets import loading
from keras_resnet.experiment.build import dtype_policy
from keras_resnet.optimization import losses
from keras_resnet.training.jax import held_images, loss_scale, multi_step, strategies
from keras_resnet.training.jax.backend import JaxBackend
from keras_resnet.training.jax.mesh import in_replicas, placed
from keras_resnet.training.jax.processes import MeshProcesses
from keras_resnet.training.jax.replica import SEED, Replica
from small_trainings import GLOBAL_BATCH_SIZE, resnet8, shallow

ITERATIONS = 50
RATE = 3e-4
"""Small: training is chaotic, see `trajectory.py`."""
OPTIONS = {
    "global_clipnorm": 1.0,
    "ema_momentum": 0.9,
    "loss": functools.partial(losses.cross_entropy, smoothing=0.1),
}
GROUP = 2
"""Images of which batch normalization takes its statistics: those of each of eight devices."""

FOLDER = Path(sys.argv[1]) if __name__ == "__main__" else Path()


def mesh_of(devices: int) -> MeshProcesses:
    return strategies.mirrored(devices)


def backend(devices: int, network: Callable = shallow, **options) -> JaxBackend:
    """One whose batch normalization sees two images at a time, whatever the devices."""
    parts = options.pop("accumulation", GLOBAL_BATCH_SIZE // GROUP // devices)
    return small_trainings.backend(JaxBackend, mesh_of(devices), network, accumulation=parts, **options)


def train(made: JaxBackend, iterations: int = ITERATIONS, rate: float = RATE, first: int = 0) -> np.ndarray:
    return made.start(first, steps_per_execution=iterations)(np.full(iterations, rate, "float32"))[0]


def values_close(received: dict, expected: dict, rtol: float, atol: float) -> None:
    assert received.keys() == expected.keys()
    for name, value in expected.items():
        mean = [v.mean(0) if "moving_" in name else v for v in (received[name], value)]
        np.testing.assert_allclose(*mean, rtol=rtol, atol=atol, err_msg=name)


def one_four_and_eight_devices_train_alike(network: Callable = shallow) -> None:
    one, four, eight = (backend(devices, network, **OPTIONS) for devices in (1, 4, 8))
    expected = train(one)
    assert np.abs(expected / train(backend(1, network, **OPTIONS), rate=0.0) - 1).max() > 0.01, "nothing is learned"
    for made in (four, eight):
        np.testing.assert_allclose(train(made), expected, rtol=1e-5)
        gathered = {name for name in made.read() if "moving_" not in name}
        values_close(*({n: made.read()[n] for n in gathered} for made in (made, one)), 1e-4, 1e-6)


def residual_networks_on_one_and_eight_devices_train_alike() -> None:
    one, eight = (backend(devices, resnet8, **OPTIONS) for devices in (1, 8))
    np.testing.assert_allclose(train(eight), train(one), rtol=1e-5)


def _as_tensorflow(name: str, network: Callable) -> None:
    expected = dict(np.load(FOLDER / f"{name}.npz"))
    trajectory = expected.pop("losses")
    first = {key.removeprefix("first/"): value for key, value in expected.items() if key.startswith("first/")}
    last = {key.removeprefix("last/"): value for key, value in expected.items() if key.startswith("last/")}
    made = backend(8, network, **OPTIONS)
    assert made.difference({key: value.shape for key, value in first.items()}) is None
    made.write(first)
    np.testing.assert_allclose(train(made), trajectory, rtol=1e-4)
    values_close(made.read(), last, 1e-3, 1e-5)
    made.recompute_statistics(40)
    precise = {key.removeprefix("precise/"): v for key, v in expected.items() if key.startswith("precise/")}
    statistics = {key: value for key, value in made.read().items() if key in precise}
    assert statistics.keys() == precise.keys()
    values_close(statistics, precise, 1e-3, 1e-5)


def eight_devices_train_as_tensorflow() -> None:
    """Losses, weights, averages, statistics of each replica, and exact statistics afterwards."""
    _as_tensorflow("shallow", shallow)


def eight_devices_train_residual_networks_as_tensorflow() -> None:
    _as_tensorflow("resnet8", resnet8)


def an_iteration_goes_down_the_mean_loss_of_its_images() -> None:
    """By the rate times the gradient, which nothing clips here; the scale of the loss changes nothing."""
    for scales in (False, True):
        made = backend(4, accumulation=1, normalization_batch_size=GLOBAL_BATCH_SIZE, scale_loss=scales)
        network, split, before = made.network, made.images.split, made.read()
        [part], [draws] = next(held_images.choices(made.images, GLOBAL_BATCH_SIZE, 1, 0))
        held = split.images.reshape(split.size, -1), split.labels.astype("int32")
        pixels, labels = held_images.reading(made.images)(held, (part, draws))
        state = [variable.value for variable in network.non_trainable_variables]

        def mean_loss(trainable, network=network, state=state, pixels=pixels, labels=labels):
            logits, _ = network.stateless_call(trainable, state, pixels, training=True)
            return losses.cross_entropy(logits, labels).mean(), logits

        step = jax.jit(jax.value_and_grad(mean_loss, has_aux=True))
        (loss, logits), gradients = step([variable.value for variable in network.trainable_variables])
        [received], [misclassified] = made.start(0, steps_per_execution=1)(np.full(1, 0.1, "float32"))
        np.testing.assert_allclose(received, loss, rtol=1e-5)
        assert misclassified == np.count_nonzero(np.array(logits).argmax(-1) != labels)
        after = made.read()
        for variable, gradient in zip(network.trainable_variables, gradients, strict=True):
            name = f"model/{variable.path}"
            np.testing.assert_allclose(after[name], before[name] - 0.1 * gradient, rtol=1e-4, atol=1e-6, err_msg=name)


def images_that_are_fed_train_as_those_that_are_held() -> None:
    """To the bit, from any iteration; and the time that the devices wait for them is measured."""
    held, fed = backend(4, **OPTIONS), backend(4, **OPTIONS)
    expected = train(held, 8, first=5)
    with mock.patch.object(held_images, "fit", return_value=False):
        np.testing.assert_array_equal(train(fed, 8, first=5), expected)
    assert held.waited_seconds == 0 < fed.waited_seconds


def one_program_for_a_call_trains_as_one_for_each_iteration() -> None:
    """Each iteration at a rate of its own."""
    rates = np.linspace(RATE, 10 * RATE, 6, dtype="float32")
    expected = backend(2, **OPTIONS).start(0, steps_per_execution=6)(rates)[0]
    made = backend(2, **OPTIONS)
    with mock.patch.object(multi_step, "has_fast_loops", return_value=True):
        run = made.start(0, steps_per_execution=4)
    np.testing.assert_allclose(np.concatenate([run(rates[:4])[0], run(rates[4:])[0]]), expected, rtol=1e-6)


def an_overflow_on_one_device_changes_only_what_is_counted(parts: int = 1) -> None:
    """Statistics, averages and momentums stay to the bit, on all devices; the scale is halved."""
    with dtype_policy("mixed_float16"):
        made = backend(4, accumulation=parts, scale_loss=True, ema_momentum=0.9)
    train(made, 2, 0.1)
    before = made.read()
    made.write(before | {loss_scale.SCALE: np.float32(2.0**80)})
    assert np.isfinite(train(made, 1, 0.1, first=2)).all()
    after = made.read()
    changed = {name for name, value in before.items() if not np.array_equal(value, after[name])}
    counted = {name for name in before if name.endswith(("/iteration", "/learning_rate", "/finite_iterations"))}
    assert changed - counted == {loss_scale.SCALE}, changed
    assert (after[loss_scale.SCALE], after[loss_scale.FINITE_ITERATIONS]) == (2.0**79, 0)
    assert not made.exhausted
    made.write(before | {loss_scale.SCALE: np.float32(256.0)})
    train(made, 1, 0.1, first=3)
    moved = {name for name, value in made.read().items() if not np.array_equal(value, before[name])}
    assert {name for name in after if "moving" in name or "kernel" in name} <= moved
    made.write(before | {loss_scale.SCALE: np.float32(loss_scale.SMALLEST / 2)})
    assert made.exhausted


def an_overflow_in_a_part_changes_only_what_is_counted() -> None:
    an_overflow_on_one_device_changes_only_what_is_counted(2)


def the_scale_doubles_after_a_while_without_an_overflow() -> None:
    with mock.patch.object(loss_scale, "GROWS_AFTER", 3):
        made = backend(1, accumulation=1, scale_loss=True)
        train(made, 7)
    values = made.read()
    assert (values[loss_scale.SCALE], values[loss_scale.FINITE_ITERATIONS]) == (4 * loss_scale.FIRST, 1)


def every_image_is_evaluated_once_with_the_mean_of_the_statistics() -> None:
    made = backend(8, ema_momentum=0.5)
    train(made, 4, 0.1)
    split = loading.load("digits").validation.part(0, 50)
    before = made.read()
    rows = before["average/bn/moving_mean"]
    assert np.abs(rows[0] - rows[1]).max() > 1e-3, "replicas have statistics of their own"
    with made.evaluation_weights():
        measured = made.evaluate(split)
        logits = made.network.predict(split.images, verbose=0)
        np.testing.assert_array_equal(made.read()["model/predictions/kernel"], before["average/predictions/kernel"])
    assert measured.images == 50
    assert measured.top1_error == 100 * np.mean(logits.argmax(-1) != split.labels)
    after = made.read()
    for name, value in before.items():
        if "moving_" in name and name.startswith("average/"):
            np.testing.assert_allclose(after[name], np.repeat(value.mean(0, keepdims=True), 8, 0), rtol=1e-5)
        else:
            np.testing.assert_array_equal(after[name], value, err_msg=name)


def the_network_shows_the_mean_after_each_call() -> None:
    """And keeps what it shows while the next call takes the memory of the values."""
    made = backend(4)
    run = made.start(0, steps_per_execution=2)
    run(np.full(2, 0.1, "float32"))
    shown = [(variable, np.array(variable.value), variable.value) for variable in made.network.variables]
    values, arrays = made.read(), [v for name, v in made.variables.values.items() if "kernel" in name]
    for variable, value, _ in shown:
        expected = values[f"model/{variable.path}"]
        np.testing.assert_allclose(value, expected.mean(0) if "moving_" in variable.path else expected, rtol=1e-6)
    run(np.full(2, 0.1, "float32"))
    for _, value, array in shown:
        np.testing.assert_array_equal(array, value)
    assert any((np.array(variable.value) != value).any() for variable, value, _ in shown)
    assert arrays and all(array.is_deleted() for array in arrays), "a call takes the memory of the values"


def replicas_of_another_number_get_the_mean() -> None:
    eight, four = backend(8), backend(4)
    train(eight, 3, 0.1)
    values = eight.read()
    four.write(values)
    read = four.read()
    mean = values["model/bn/moving_mean"].mean(0, dtype="float64")
    np.testing.assert_allclose(read["model/bn/moving_mean"], np.repeat(mean[None], 4, 0), rtol=1e-6)
    eight.write(values)
    for name, value in eight.read().items():
        np.testing.assert_array_equal(value, values[name], err_msg=name)


def groups_of_any_size_train_alike_on_any_devices() -> None:
    """Batch normalization over a part of a device's images, a device's, several devices' and all."""
    for images in (1, 2, 4, GLOBAL_BATCH_SIZE):
        made = [backend(devices, accumulation=1, normalization_batch_size=images) for devices in (1, 4, 8)]
        expected, *others = map(train, made)
        for trajectory in others:
            np.testing.assert_allclose(trajectory, expected, rtol=1e-5, err_msg=str(images))


def random_layers_draw_for_each_replica() -> None:
    def network(image) -> keras.Model:
        x = keras.layers.Dropout(0.5, seed=1)(keras.layers.Flatten()(image))
        return keras.Model(keras.utils.get_source_inputs(x), keras.layers.Dense(10, name="predictions")(x))

    made = backend(4, network)
    replica, variables = made.replica, made.variables

    def masks(values):
        own = variables.layout.of_replica(values)
        state = replica._with_own_seeds([own[name] for name in replica._state], 1)
        trainable = [own[name] for name in replica._trainable]
        logits, after = made.network.stateless_call(
            trainable, state, np.full((1, 8, 8, 1), 200, "uint8"), training=True
        )
        return logits, replica._with_own_seeds(after, -1)[0][None]

    rows = jax.sharding.PartitionSpec("data")
    logits, seeds = jax.jit(in_replicas(masks, made.mesh, (variables.layout.specs,), (rows, rows)))(variables.values)
    assert len(np.unique(np.array(logits).round(5), axis=0)) == 4
    assert len(np.unique(np.array(seeds), axis=0)) == 1
    with mock.patch.object(Replica, "_with_own_seeds", lambda self, state, sign: list(state)):
        common = train(backend(4, network), 1)
    assert train(made, 1) != common
    [seeds] = [value for name, value in made.variables.values.items() if name.endswith(SEED)]
    assert len({np.array(shard.data).tobytes() for shard in seeds.addressable_shards}) == 1


def a_batch_that_devices_do_not_divide_is_refused() -> None:
    for parts, rule in ((1, "the 3 replicas. "), (2, "the 3 replicas, times 2 parts of the accumulation. ")):
        with pytest.raises(ValueError, match=f"`global_batch_size` must be a multiple of {rule}"):
            backend(3, accumulation=parts)


def more_devices_than_there_are_are_refused() -> None:
    with pytest.raises(ValueError, match="`replicas` must be at most the 8 devices that JAX has here. .*=9$"):
        strategies.mirrored(9)


def strategies_take_the_devices_that_they_name() -> None:
    for name, replicas, count in (
        ("one_device", None, 1),
        ("mirrored", None, 8),
        ("mirrored", 2, 2),
        ("auto", None, 1),
    ):
        processes = JaxBackend.connect(strategy=name, replicas=replicas, global_batch_size=16, timeout=1.0)
        assert (processes.replicas, len(processes.devices), processes.count) == (count, count, 1), name
        assert processes.broadcast(b"x") == b"x" and processes.maximum([1, -2.0]) == [1.0, -2.0]


def an_iteration_is_compiled_without_values() -> None:
    """What compiles for devices that are not here is what trains."""
    made = backend(4, accumulation=2, **OPTIONS)
    mesh, layout = made.mesh, made.variables.layout
    abstract = layout.abstract(mesh)
    for name, value in made.variables.values.items():
        assert (abstract[name].shape, abstract[name].dtype) == (value.shape, value.dtype), name
        assert abstract[name].sharding.is_equivalent_to(value.sharding, value.ndim), name
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    part = tuple(
        jax.ShapeDtypeStruct(shape, dtype, sharding=rows) for shape, dtype in (((8, 8, 8, 1), "uint8"), ((8,), "int32"))
    )
    step = multi_step.step(made.replica, layout, mesh, lambda held, part: part)
    compiled = step.lower(abstract, (), [part, part], jax.ShapeDtypeStruct((), "float32")).compile()
    values, loss, _ = compiled(
        made.variables.values,
        (),
        [tuple(jax.device_put(np.zeros(a.shape, a.dtype), rows) for a in part)] * 2,
        np.float32(RATE),
    )
    assert np.isfinite(loss) and values.keys() == abstract.keys()


def an_array_lies_where_it_is_said() -> None:
    mesh = mesh_of(8).mesh
    whole, divided = placed(np.arange(16), mesh), placed(np.arange(16), mesh, "data")
    assert [shard.data.shape for shard in whole.addressable_shards] == [(16,)] * 8
    assert [shard.data.tolist() for shard in divided.addressable_shards] == [[2 * k, 2 * k + 1] for k in range(8)]


LAWS = {
    name: law
    for name, law in list(globals().items())
    if callable(law) and getattr(law, "__module__", "") == __name__ and not name.startswith("_")
}


def verdict(law: Callable[[], None]) -> str:
    try:
        law()
    except Exception:
        return traceback.format_exc()
    return ""


if __name__ == "__main__":
    print(json.dumps({name: verdict(LAWS[name]) for name in sys.argv[2:]}))
