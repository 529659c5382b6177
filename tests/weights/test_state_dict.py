"""Files of weights: what is read of them, and what is refused."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest

from keras_resnet.weights.readers.state_dict import READERS, read_state_dict

torch = pytest.importorskip("torch", reason="the files are PyTorch's")

STATE = {"conv1.weight": torch.arange(24.0).reshape(2, 3, 2, 2), "bn1.num_batches_tracked": torch.tensor(5)}


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "best_prec1": 91.78},
        {"model": STATE, "epoch": 90},
        {"state_dict": {f"module.{name}": tensor for name, tensor in STATE.items()}},
    ],
    ids=["alone", "with more", "of torchvision", "of several devices"],
)
@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_a_state_is_found_in_the_files_that_programs_save(tmp_path, content, new):
    torch.save(content, tmp_path / "a.th", _use_new_zipfile_serialization=new)
    found = read_state_dict(tmp_path / "a.th")
    assert set(found) == set(STATE)
    np.testing.assert_array_equal(found["conv1.weight"], STATE["conv1.weight"].numpy())


def test_safetensors_are_read(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    arrays = {"fc.bias": np.arange(3, dtype="float32")}
    safetensors.save_file(arrays, tmp_path / "a.safetensors")
    np.testing.assert_array_equal(read_state_dict(tmp_path / "a.safetensors")["fc.bias"], arrays["fc.bias"])
    content = (tmp_path / "a.safetensors").read_bytes()
    for damaged in (content[:-5], content[:4], b"", b"\xff" * 40):
        (tmp_path / "a.safetensors").write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{tmp_path}/a.safetensors is no file of safetensors, or damaged"):
            read_state_dict(tmp_path / "a.safetensors")


class Hostile:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (self.file,)


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_nothing_in_a_hostile_file_is_executed(tmp_path, save):
    save({"state_dict": Hostile(str(tmp_path / "done"))}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=f"{tmp_path}/a.pth is refused: it must hold tensors and plain values alone"):
        read_state_dict(tmp_path / "a.pth")
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_a_truncated_file_is_named(tmp_path, share, new):
    torch.save({"a": torch.zeros(1000)}, tmp_path / "a.pth", _use_new_zipfile_serialization=new)
    content = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "a.pth").write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=rf"{tmp_path}/a.pth is (no file of PyTorch, or damaged|refused)"):
        read_state_dict(tmp_path / "a.pth")


@pytest.mark.parametrize("content", [{}, [1, 2], {"epoch": 3}, {"state_dict": {"a": 1}}], ids=str)
def test_a_file_of_something_else_is_named(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=f"{tmp_path}/a.pth must hold a dictionary of tensors"):
        read_state_dict(tmp_path / "a.pth")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(tmp_path, value):
    torch.save({"a": torch.ones(3), "b": torch.tensor([1.0, value])}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match="must be finite. b is not"):
        read_state_dict(tmp_path / "a.pth")


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"There is no file {tmp_path}/a.pth"):
        read_state_dict(tmp_path / "a.pth")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_any_precision_becomes_float32(tmp_path, dtype, suffix):
    values = torch.tensor([0.1, -2.5, 1e-3]).to(dtype)
    if suffix == "pth":
        torch.save({"a": values}, tmp_path / "a.pth")
    else:
        pytest.importorskip("safetensors", reason="safetensors is not installed")
        from safetensors.torch import save_file

        save_file({"a": values}, tmp_path / "a.safetensors")
    found = read_state_dict(tmp_path / f"a.{suffix}")["a"]
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found, values.to(torch.float32).numpy())


def test_a_value_too_great_for_float32_is_refused(tmp_path):
    torch.save({"a": torch.tensor([1e300], dtype=torch.float64)}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match="must be finite. a is not"):
        read_state_dict(tmp_path / "a.pth")


@pytest.mark.parametrize("name", ["weights", "weights.npz", "weights.PTH.zip"])
def test_a_file_of_another_suffix_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"1")
    with pytest.raises(ValueError, match=f"must end in one of .pth, .*, .caffemodel. Received: {tmp_path}/{name}"):
        read_state_dict(tmp_path / name)


@pytest.mark.parametrize("suffix", READERS)
def test_a_file_of_no_bytes_is_refused_whatever_its_suffix(tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_bytes(b"")
    with pytest.raises(ValueError, match=f"{tmp_path}/a{suffix} is (no|refused)"):
        read_state_dict(tmp_path / f"a{suffix}")
