"""Checkpoints: what they hold, what is left after damage, and what a full disk does."""

from __future__ import annotations

import contextlib
import resource
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.networks import CifarResNet
from keras_resnet.optimizers import SGD
from keras_resnet.training.checkpoints import Checkpoints


def network(classes: int = 10, extra: bool = False, name: str = "network"):
    """A small network, which has all kinds of variables, and its optimizer."""
    inputs = keras.Input((8,))
    x = keras.layers.BatchNormalization(name="bn")(keras.layers.Dense(6, name="hidden.layer")(inputs))
    if extra:
        x = keras.layers.Dense(6, name="extra")(x)
    model = keras.Model(inputs, keras.layers.Dense(classes, name="predictions")(x), name=name)
    optimizer = SGD()
    optimizer.build(model.trainable_variables)
    return model, optimizer


def fill(model, optimizer, value: float) -> None:
    for variable in (*model.variables, *optimizer.variables):
        variable.assign(np.full(variable.shape, value, variable.dtype))


def holds(model, optimizer, value: float) -> bool:
    return all((np.array(variable) == value).all() for variable in (*model.variables, *optimizer.variables))


def restored(directory: Path):
    """What a new process finds: the network, and the answer of `restore`."""
    new = network()
    return new, Checkpoints(directory, *new).restore()


def files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture
def directory(tmp_path) -> Path:
    """Three checkpoints, of iterations 5, 10 and 100; every variable is the iteration."""
    trained = network()
    checkpoints = Checkpoints(tmp_path, *trained)
    for iteration in (5, 10, 100):
        fill(*trained, iteration)
        checkpoints.save(iteration, {"iteration": iteration})
    return tmp_path


def test_everything_comes_back_in_a_new_process(tmp_path):
    progress = {"iteration": 3, "loss": 1 / 3, "schedule": {"best": None, "drops": [1, 2]}}
    trained = network()
    for variable in (*trained[0].variables, *trained[1].variables):
        variable.assign(keras.random.uniform(variable.shape) * 1000)
    Checkpoints(tmp_path, *trained).save(3, progress)
    new, answer = restored(tmp_path)
    assert answer == (progress, [])
    for owner, other in zip(trained, new, strict=True):
        for saved, loaded in zip(owner.variables, other.variables, strict=True):
            np.testing.assert_array_equal(saved, loaded, err_msg=saved.path)


def test_an_empty_directory_has_no_checkpoint(tmp_path):
    checkpoints = Checkpoints(tmp_path / "none", *network())
    assert checkpoints.restore() == (None, [])
    assert checkpoints.latest is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keep", [1, 2])
def test_the_latest_ones_are_kept_by_their_iterations_also_by_a_new_process(tmp_path, keep):
    for iterations in ([9, 10], [100, 1000]):
        checkpoints = Checkpoints(tmp_path, *network(), keep=keep)
        for iteration in iterations:
            assert checkpoints.save(iteration, {}) == str(checkpoints.latest)
    kept = [10, 100, 1000][-keep:]
    assert sorted(path.name for path in tmp_path.glob("ckpt-*")) == sorted(
        f"ckpt-{iteration}.{suffix}" for iteration in kept for suffix in ("data-00000-of-00001", "index")
    )
    assert checkpoints.latest == tmp_path / "ckpt-1000"


def test_variables_are_kept_under_their_paths(directory):
    names = [name for name, _ in tf.train.list_variables(str(directory / "ckpt-100"))]
    keys = {name.split("/.ATTRIBUTES")[0].replace(".S", "/").replace("..", ".") for name in names}
    model, optimizer = network()
    expected = {f"model/{variable.path}" for variable in model.variables}
    expected |= {f"optimizer/{variable.path}" for variable in optimizer.variables}
    assert {"model/hidden.layer/kernel", "model/bn/moving_mean", "optimizer/SGD/bn_gamma_momentum"} < expected
    assert keys - {"_CHECKPOINTABLE_OBJECT_GRAPH", "progress", "save_counter"} == expected


def test_rematerialization_and_the_network_s_name_do_not_change_a_checkpoint(tmp_path):
    def make(**options):
        model = CifarResNet(8, input_shape=(8, 8, 1), **options)
        optimizer = SGD()
        optimizer.build(model.trainable_variables)
        return model, optimizer

    trained, other = make(), make(remat=True, name="other")
    fill(*trained, 5)
    Checkpoints(tmp_path, *trained).save(5, {})
    Checkpoints(tmp_path, *other).restore()
    assert holds(*other, 5)


def flip(path: Path, share: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(share * (len(content) - 1))] ^= 0xFF
    path.write_bytes(content)


def truncate(path: Path, share: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


DAMAGE = {
    "flipped": [(flip, suffix, share) for suffix in ("index", "data-00000-of-00001") for share in (0, 0.2, 0.6)],
    "truncated": [(truncate, suffix, share) for suffix in ("index", "data-00000-of-00001") for share in (0, 0.3, 0.99)],
    "missing": [(lambda path, _: path.unlink(), "data-00000-of-00001", None)],
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_checkpoint_is_passed_over_and_named(directory, kind):
    whole = files(directory)
    for damage, suffix, share in DAMAGE[kind]:
        damage(directory / f"ckpt-100.{suffix}", share)
        new, (progress, [message]) = restored(directory)
        assert progress == {"iteration": 10} and holds(*new, 10), (suffix, share)
        assert message.startswith(f"{directory}/ckpt-100 is damaged and was passed over: "), (suffix, share)
        for name, content in whole.items():
            (directory / name).write_bytes(content)


def test_a_damaged_checkpoint_is_not_called_the_last_good_one(directory):
    flip(directory / "ckpt-100.index", 0)
    new = network()
    checkpoints = Checkpoints(directory, *new)
    checkpoints.restore()
    assert checkpoints.latest == directory / "ckpt-10"
    checkpoints.save(100, {})
    assert checkpoints.latest == directory / "ckpt-100"


def test_without_any_whole_checkpoint_the_run_is_refused_and_nothing_changes(directory):
    for path in directory.glob("*.index"):
        truncate(path)
    before = files(directory)
    with pytest.raises(ValueError, match=r"no checkpoint in .* can be read\. Choose another --run\.directory") as error:
        restored(directory)
    assert all(f"ckpt-{iteration} is damaged" in str(error.value) for iteration in (5, 10, 100))
    assert files(directory) == before


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"classes": 11}, "model/predictions/bias has shape (10,) there, shape (11,) here"),
        ({"extra": True}, "model/extra/bias has no place there, shape (6,) here"),
    ],
)
def test_a_checkpoint_of_another_network_is_refused_and_nothing_of_it_is_loaded(directory, options, difference):
    other = network(**options)
    fill(*other, 7)
    with pytest.raises(ValueError, match="ckpt-100 is a checkpoint of another network") as error:
        Checkpoints(directory, *other).restore()
    assert difference in str(error.value)
    assert holds(*other, 7)


def test_a_checkpoint_of_a_larger_network_is_refused_too(tmp_path):
    Checkpoints(tmp_path, *network(extra=True)).save(1, {})
    with pytest.raises(ValueError, match=r"another network: model/extra/bias has shape \(6,\) there, no place here"):
        restored(tmp_path)


@contextlib.contextmanager
def largest_file(size: int):
    """No file can grow beyond a size, as on a disk that is full; Python ignores the signal that tells so."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("size", [0, 100, 2000])
def test_a_full_disk_costs_nothing_but_the_new_checkpoint(directory, size):
    before = files(directory)
    trained = network()
    checkpoints = Checkpoints(directory, *trained)
    checkpoints.restore()
    fill(*trained, 200)
    with pytest.raises(OSError, match="File too large") as error, largest_file(size):
        checkpoints.save(200, {"iteration": 200})
    assert f"the checkpoint of iteration 200 cannot be written to {directory}: " in str(error.value)
    assert f"The last good checkpoint is {directory}/ckpt-100." in str(error.value)
    assert "{{" not in str(error.value) and "\n" not in str(error.value)
    assert files(directory) == before and not list(directory.glob("*_temp"))
    new, answer = restored(directory)
    assert answer == ({"iteration": 100}, []) and holds(*new, 100)
    # Once there is space again, the same process goes on.
    checkpoints.save(200, {"iteration": 200})
    new, answer = restored(directory)
    assert answer == ({"iteration": 200}, []) and holds(*new, 200)
    assert len(list(directory.glob("*.index"))) == 3


def test_the_first_checkpoint_can_fail_too(tmp_path):
    with pytest.raises(OSError, match=r"File too large\. There is no earlier one") as error, largest_file(0):
        Checkpoints(tmp_path, *network()).save(1, {})
    assert "iteration 1 " in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_an_error_about_the_checkpoint(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="the checkpoint of iteration 1 cannot be written to"):
        Checkpoints(tmp_path / "file" / "checkpoints", *network()).save(1, {})


def test_a_copied_directory_is_as_good(directory, tmp_path_factory):
    copy = tmp_path_factory.mktemp("elsewhere") / "checkpoints"
    shutil.move(directory, copy)
    new, answer = restored(copy)
    assert answer == ({"iteration": 100}, []) and holds(*new, 100)
    Checkpoints(copy, *new).save(200, {})
    assert len(list(copy.glob("*.index"))) == 3
