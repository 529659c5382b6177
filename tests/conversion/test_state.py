"""Files of weights: what is read of them, and what is refused."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest

from keras_resnet.conversion import detect, read_state

torch = pytest.importorskip("torch", reason="the files are PyTorch's")

STATE = {"conv1.weight": torch.arange(24.0).reshape(2, 3, 2, 2), "bn1.num_batches_tracked": torch.tensor(5)}


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "best_prec1": 91.78},
        {"state_dict": {f"module.{name}": tensor for name, tensor in STATE.items()}},
    ],
    ids=["alone", "with more", "of several devices"],
)
@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_a_state_is_found_in_the_files_that_programs_save(tmp_path, content, new):
    torch.save(content, tmp_path / "a.th", _use_new_zipfile_serialization=new)
    found = read_state(tmp_path / "a.th")
    assert set(found) == set(STATE)
    np.testing.assert_array_equal(found["conv1.weight"], STATE["conv1.weight"].numpy())


def test_safetensors_are_read(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    arrays = {"fc.bias": np.arange(3, dtype="float32")}
    safetensors.save_file(arrays, tmp_path / "a.safetensors")
    np.testing.assert_array_equal(read_state(tmp_path / "a.safetensors")["fc.bias"], arrays["fc.bias"])
    content = (tmp_path / "a.safetensors").read_bytes()
    for damaged in (content[:-5], content[:4], b"", b"\xff" * 40):
        (tmp_path / "a.safetensors").write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{tmp_path}/a.safetensors is no file of safetensors, or damaged"):
            read_state(tmp_path / "a.safetensors")


class Hostile:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (self.file,)


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_nothing_in_a_hostile_file_is_executed(tmp_path, save):
    save({"state_dict": Hostile(str(tmp_path / "done"))}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=f"{tmp_path}/a.pth is refused: it must hold tensors and plain values alone"):
        read_state(tmp_path / "a.pth")
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_a_truncated_file_is_named(tmp_path, share, new):
    torch.save({"a": torch.zeros(1000)}, tmp_path / "a.pth", _use_new_zipfile_serialization=new)
    content = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "a.pth").write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=rf"{tmp_path}/a.pth is (no file of PyTorch, or damaged|refused)"):
        read_state(tmp_path / "a.pth")


@pytest.mark.parametrize("content", [{}, [1, 2], {"epoch": 3}, {"state_dict": {"a": 1}}], ids=str)
def test_a_file_of_something_else_is_named(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=f"{tmp_path}/a.pth must hold a dictionary of tensors"):
        read_state(tmp_path / "a.pth")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(tmp_path, value):
    torch.save({"a": torch.ones(3), "b": torch.tensor([1.0, value])}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match="must be finite. b is not"):
        read_state(tmp_path / "a.pth")


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"There is no file {tmp_path}/a.pth"):
        read_state(tmp_path / "a.pth")


def test_names_of_no_layout_are_refused():
    with pytest.raises(ValueError, match="must have the names of one of torchvision, akamaster. Received: a, b, …"):
        detect(["a", "b"])
