"""Should TensorFlow or JAX have changed where they meet here, the error says so. Tests of the pre-flight compile it."""

from __future__ import annotations

import re

import keras
import pytest

from keras_resnet.training.tensorflow import precompile


@pytest.fixture
def network() -> keras.Model:
    image = keras.Input((4, 4, 1), dtype="uint8")
    return keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(keras.layers.Rescaling(1.0)(image))))


def lower(network: keras.Model) -> object:
    return precompile.lower_evaluation(network, None, per_replica_batch_size=2, image_shape=(4, 4, 1))


@pytest.mark.parametrize("error", [AttributeError("no such thing"), KeyError("f8"), TypeError("an argument more")])
def test_what_has_moved_is_named(network, monkeypatch, error):
    def moved(*args, **kwargs):
        raise error

    monkeypatch.setattr(precompile, "as_jax", moved)
    with pytest.raises(ValueError, match=r"TensorFlow .* and the JAX that is installed do not fit together") as refusal:
        lower(network)
    assert type(error).__name__ in str(refusal.value) and "JAX backend does not need this" in str(refusal.value)


def test_the_program_has_the_signature_that_is_looked_for(network, monkeypatch):
    programs = []
    monkeypatch.setattr(precompile, "as_jax", lambda text, mesh, given, donated: programs.append((text, given)))
    lower(network)
    ((text, given),) = programs
    arguments = re.findall(r"tensor<([^>]*)>", precompile.MAIN.search(text)["arguments"])
    assert given == 2
    assert arguments == ["2x4x4x1xui8", "2xi32", "16x3xf32", "3xf32"]
    results = precompile.MAIN.search(text)["results"]
    assert re.findall(r"tensor<([^>]*)>", results) == ["f32", "i32", "i32"]
    assert {each.split("x")[-1] for each in arguments} <= set(precompile.DTYPES)


def test_copies_become_what_stablehlo_has():
    line = "%4 = mhlo.copy %3 : tensor<3x16xf32> loc(#loc)"
    same = "%4 = stablehlo.reshape %3 : (tensor<3x16xf32>) -> tensor<3x16xf32> loc(#loc)"
    assert precompile.COPY.sub(precompile.RESHAPE, line) == same
