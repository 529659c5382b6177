"""Checkpoints of versions before 0.4: they continue where TensorFlow is installed, and give way to today's."""

from __future__ import annotations

import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

import bundles
from keras_resnet.training.checkpoints import Checkpoints

ARRAYS = {
    "model/hidden.layer/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "optimizer/iteration": np.array(2**40, np.int64),
    "seed": np.array([1, 2**32 - 1], np.uint32),
    "half": np.arange(1 << 10, dtype=np.uint16).view(np.float16),
    "brain": np.arange(1 << 10, dtype=np.uint16).view(ml_dtypes.bfloat16),
}


def names(*iterations: int) -> list[str]:
    return sorted(f"ckpt-{iteration}.{suffix}" for iteration in iterations for suffix in bundles.SUFFIXES)


def listed(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def bits(values: dict[str, np.ndarray]) -> dict:
    return {name: (value.dtype, value.shape, value.tobytes()) for name, value in values.items()}


@pytest.fixture
def directory(tmp_path) -> Path:
    """Three checkpoints of before, of iterations 5, 10 and 100."""
    for iteration in (5, 10, 100):
        bundles.write(tmp_path, iteration, ARRAYS, {"iteration": iteration})
    return tmp_path


@pytest.fixture
def without_tensorflow(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.delitem(sys.modules, "keras_resnet.training.tensorflow.bundles", raising=False)


def test_every_bit_comes_back(directory):
    saved, messages = Checkpoints(directory).restore(lambda _: None)
    assert bits(saved.values) == bits(ARRAYS)
    assert (saved.progress, saved.path, messages) == ({"iteration": 100}, f"{directory}/ckpt-100.index", [])
    assert Checkpoints(directory).read(5, lambda _: None).progress == {"iteration": 5}


def test_today_s_take_their_place_by_the_same_rule_and_without_tensorflow(directory, without_tensorflow):
    checkpoints = Checkpoints(directory, keep=2)
    checkpoints.save(200, ARRAYS, {"iteration": 200}, best=5)
    assert listed(directory) == sorted([*names(5, 100), "ckpt-200.npz"])
    checkpoints.save(300, ARRAYS, {"iteration": 300}, best=5)
    assert listed(directory) == sorted([*names(5), "ckpt-200.npz", "ckpt-300.npz"])
    checkpoints.save(400, ARRAYS, {"iteration": 400}, best=400)
    assert listed(directory) == ["ckpt-300.npz", "ckpt-400.npz"]


def test_one_of_the_same_iteration_is_replaced(directory):
    Checkpoints(directory).save(100, ARRAYS, {"new": True})
    assert listed(directory) == sorted([*names(5, 10), "ckpt-100.npz"])
    assert Checkpoints(directory).restore(lambda _: None)[0].progress == {"new": True}


@pytest.mark.parametrize("suffix", bundles.SUFFIXES)
@pytest.mark.parametrize("share", [0, 0.3, 0.6])
def test_a_damaged_one_is_passed_over_and_named(directory, suffix, share):
    path = directory / f"ckpt-100.{suffix}"
    whole = path.read_bytes()
    place = int(share * (len(whole) - 1))
    for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]):
        path.write_bytes(damaged)
        saved, [message] = Checkpoints(directory).restore(lambda _: None)
        assert saved.progress == {"iteration": 10}
        assert message.startswith(f"{directory}/ckpt-100.index is damaged and was passed over: ")


def test_damage_to_one_block_of_a_long_index_is_not_taken_for_another_network(tmp_path):
    many = {f"{i:03}{'x' * 1000}": np.array(i) for i in range(700)}
    for iteration in (1, 2):
        bundles.write(tmp_path, iteration, many, {})
    index = tmp_path / "ckpt-2.index"
    whole = bytearray(index.read_bytes())
    shapes = dict.fromkeys(many, ())
    for share in np.linspace(0, 0.98, 9):
        place = int(share * len(whole))
        index.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        saved, [message] = Checkpoints(tmp_path).restore(lambda found: None if found == shapes else "another")
        assert saved.path.endswith("ckpt-1.index") and "ckpt-2.index is damaged" in message, share


def test_one_of_another_network_is_refused(directory):
    with pytest.raises(ValueError, match=r"ckpt-100.index is a checkpoint of another network: x. Choose another `dir"):
        Checkpoints(directory).restore(lambda _: "x")


def test_one_of_version_0_1_is_refused_by_that_name_and_left(tmp_path):
    tf.train.Checkpoint(kernel=tf.Variable([1.0])).write(str(tmp_path / "ckpt-100"))
    with pytest.raises(
        ValueError, match=r"ckpt-100.* is a checkpoint of version 0\.1\.0, which .* Choose another `dir"
    ):
        Checkpoints(tmp_path).restore(lambda shapes: None)
    assert (tmp_path / "ckpt-100.index").exists()


def test_without_tensorflow_one_line_says_what_is_needed(directory, without_tensorflow):
    before = listed(directory)
    message = (
        r"^.*ckpt-100\.index is of a version before 0\.4, .* to continue: pip install 'keras-residual.tensorflow.'$"
    )
    for call in (lambda checkpoints: checkpoints.restore(lambda _: None), lambda one: one.read(100, lambda _: None)):
        with pytest.raises(ValueError, match=message):
            call(Checkpoints(directory))
    assert listed(directory) == before


def test_without_tensorflow_they_are_no_matter_behind_one_of_today(directory, without_tensorflow):
    Checkpoints(directory).save(200, ARRAYS, {})
    saved, messages = Checkpoints(directory).restore(lambda _: None)
    assert bits(saved.values) == bits(ARRAYS) and not messages
