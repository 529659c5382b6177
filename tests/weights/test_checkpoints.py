"""What training programs save beside the weights: which weights are taken, and what is believed of the rest."""

from __future__ import annotations

import argparse
import copy
import datetime as dt
import os
import pathlib
import re

import numpy as np
import pytest

import keras_resnet
from keras_resnet.models import weights_loading
from keras_resnet.weights import conversion
from keras_resnet.weights.conversion import architecture_names
from keras_resnet.weights.readers.checkpoint import AVERAGES, ENTRIES, WRAPPERS
from keras_resnet.weights.readers.state_dict import read_checkpoint, read_state_dict

torch = pytest.importorskip("torch", reason="the files are PyTorch's")

from torch_networks import Network, stirred  # noqa: E402  # after torch is known to be there

STATE = {"conv1.weight": torch.arange(24.0).reshape(2, 3, 2, 2), "fc.bias": torch.arange(3.0)}
AVERAGE = {name: tensor + 1 for name, tensor in STATE.items()}
PLAIN_VALUES = argparse.Namespace(
    lr=0.1,
    best=np.float64(76.1),
    count=np.int64(3),
    table=np.arange(3.0),
    output=pathlib.PosixPath("runs"),
    device=torch.device("cpu"),
    milestones=[30, 60],
    mean=None,
    std=None,
    model_kwargs={},
)


def saved(folder, content, name="a.pth"):
    torch.save(content, folder / name)
    return folder / name


def assert_read(found, state):
    assert set(found) == set(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name], tensor.numpy(), err_msg=name)


@pytest.fixture(scope="module")
def trained():
    """A network with its average, an optimizer and a schedule after a step, as training programs have them."""
    network = Network((1, 1, 1), 1, "A", 10, "linear")
    average = torch.optim.swa_utils.AveragedModel(network)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    warmup = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=2)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [warmup, cosine], [2])
    network(torch.zeros(2, 3, 32, 32)).sum().backward()
    optimizer.step()
    average.update_parameters(network)
    schedule.step()
    rest = {"optimizer": optimizer.state_dict(), "lr_scheduler": schedule.state_dict(), "epoch": 3}
    return network.state_dict(), average.state_dict(), rest


def test_a_checkpoint_of_torchvision_s_training(trained, tmp_path):
    """Its average has a counter beside, and `module.` in front of every name."""
    state, average, rest = trained
    content = {"model": state, "args": PLAIN_VALUES, "scaler": torch.amp.GradScaler("cpu").state_dict(), **rest}
    path = saved(tmp_path, content, "a.pth")
    assert_read(read_state_dict(path), state)
    assert "n_averaged" in average
    path = saved(tmp_path, content | {"model_ema": average}, "b.pth")
    assert_read(read_state_dict(path), average_of(average))
    with pytest.warns(UserWarning, match="holds the weights model_ema, which are taken, and model. To choose: "):
        network = keras_resnet.CifarResNet(8, weights=path)
    chosen = keras_resnet.CifarResNet(8, weights=weights_loading.read(path, entry="model"))
    kernels = [each["layer1.0.conv1.weight"].permute(2, 3, 1, 0).numpy() for each in (average_of(average), state)]
    for built, kernel in zip((network, chosen), kernels, strict=True):
        np.testing.assert_array_equal(built.get_layer("conv2_block1_1_conv").kernel, kernel)


def average_of(average):
    return {name.removeprefix("module."): tensor for name, tensor in average.items() if name != "n_averaged"}


def test_a_checkpoint_of_timm_s_training(tmp_path):
    content = {"arch": "resnet18", "epoch": 3, "version": 2, "args": PLAIN_VALUES, "metric": 71.2}
    path = saved(tmp_path, content | {"state_dict": STATE, "state_dict_ema": AVERAGE}, "a.pth.tar")
    found = read_checkpoint(path)
    assert_read(found.state_dict, AVERAGE)
    assert (found.entry, found.others, found.architecture) == ("state_dict_ema", ("state_dict",), "resnet18")
    assert_read(read_checkpoint(path, "state_dict").state_dict, STATE)
    with pytest.raises(ValueError, match="`entry` must be one of state_dict, state_dict_ema, where .*a.pth.tar holds"):
        read_checkpoint(path, "ema")


@pytest.mark.parametrize("key", [*ENTRIES, *AVERAGES, "generator"])
def test_weights_are_found_under_any_key_when_they_are_alone(tmp_path, key):
    path = saved(tmp_path, {key: STATE, "epoch": 3, "optimizer": {"state": {}, "param_groups": []}})
    assert_read(read_state_dict(path), STATE)


@pytest.mark.parametrize("key", AVERAGES)
def test_an_average_goes_before_what_it_is_of(tmp_path, key):
    assert read_checkpoint(saved(tmp_path, {"net": STATE, key: AVERAGE})).entry == key


def test_of_several_that_none_is_the_usual_one_a_person_chooses(tmp_path):
    path = saved(tmp_path, {"student": STATE, "teacher": AVERAGE})
    with pytest.raises(ValueError, match=r"a.pth holds the weights student, teacher. Choose one of them by `entry`"):
        read_checkpoint(path)
    assert_read(read_checkpoint(path, "teacher").state_dict, AVERAGE)


@pytest.mark.parametrize("wrappers", [*WRAPPERS, "module._orig_mod.", "model.backbone."])
@pytest.mark.parametrize("suffix", ["pth", "safetensors", "memory"])
def test_names_lose_the_wrappers_of_their_network(tmp_path, wrappers, suffix):
    """In every kind of file, and in memory."""
    theirs = stirred(Network((1, 1, 1), 1, "A", 10, "linear")) if suffix == "memory" else None
    state = theirs.state_dict() if theirs else STATE
    wrapped = {f"{wrappers}{name}": tensor for name, tensor in state.items()}
    if theirs:
        found = weights_loading.find(wrapped)
        np.testing.assert_array_equal(found.arrays["predictions/bias"], state["linear.bias"].numpy())
        return
    if suffix == "pth":
        path = saved(tmp_path, {"state_dict": wrapped})
    else:
        save_file = pytest.importorskip("safetensors.torch", reason="safetensors is not installed").save_file
        save_file(wrapped, path := tmp_path / "a.safetensors")
    assert_read(read_state_dict(path), STATE)


def test_a_compiled_part_is_unwrapped_within_the_names(tmp_path):
    path = saved(tmp_path, {"layer1._orig_mod.0.conv1.weight": torch.ones(2), "fc.bias": torch.ones(1)})
    assert set(read_state_dict(path)) == {"layer1.0.conv1.weight", "fc.bias"}


def test_parameters_with_gradients_are_read(tmp_path):
    """As `state_dict(keep_vars=True)` has them, in a file and in memory."""
    theirs = stirred(Network((1, 1, 1), 1, "A", 10, "linear"))
    kept = theirs.state_dict(keep_vars=True)
    assert kept["linear.bias"].requires_grad
    for source in (kept, saved(tmp_path, dict(kept))):
        found = weights_loading.find(source)
        np.testing.assert_array_equal(found.arrays["predictions/bias"], theirs.state_dict()["linear.bias"].numpy())


@pytest.mark.filterwarnings("ignore:.*(deprecated|beta state)")
@pytest.mark.parametrize(
    "stored",
    [
        lambda t: t.to(torch.float8_e4m3fn),
        lambda t: t.to(torch.bfloat16),
        lambda t: t.to_sparse(),
        lambda t: t.to_sparse_csr(),
        lambda t: torch.quantize_per_tensor(t, 0.5, 0, torch.qint8),
        lambda t: t.to(torch.int64),
        lambda t: t.to(torch.uint16),
    ],
    ids=["float8", "bfloat16", "sparse", "sparse rows", "quantized", "int64", "uint16"],
)
def test_tensors_of_every_kind_are_read(tmp_path, stored):
    values = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    np.testing.assert_array_equal(read_state_dict(saved(tmp_path, {"a": stored(values)}))["a"], values)


@pytest.mark.parametrize(
    ("tensor", "received"),
    [
        (torch.ones(2, dtype=torch.complex64), "dtype=torch.complex64"),
        (torch.ones(2, device="meta"), "on the device 'meta', without values"),
    ],
    ids=["complex", "meta"],
)
def test_a_tensor_without_real_values_is_named_with_its_file(tmp_path, tensor, received):
    path = saved(tmp_path, {"conv1.weight": torch.ones(2), "fc.bias": tensor})
    with pytest.raises(ValueError, match=f"in {path} must hold real numbers. Received: 'fc.bias', {received}"):
        read_state_dict(path)
    with pytest.raises(ValueError, match=f"in `weights` must hold real numbers. Received: 'fc.bias', {received}"):
        weights_loading.find({"conv1.weight": torch.ones(2), "fc.bias": tensor})


@pytest.mark.parametrize("value", ["text", None, {"a": 1}, np.array(["x"]), np.array([1j])], ids=str)
def test_what_is_no_array_is_named_in_memory(value):
    with pytest.raises(ValueError, match="in `weights` must hold real numbers. Received: 'fc.bias', "):
        weights_loading.find({"fc.bias": value})


def test_safetensors_of_every_kind_are_read(tmp_path):
    save_file = pytest.importorskip("safetensors.torch", reason="safetensors is not installed").save_file
    values = torch.tensor([[0.0, 1.0], [2.0, -3.0]])
    dtypes = (torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16, torch.float16, torch.float64, torch.int8)
    save_file({str(dtype): values.to(dtype) for dtype in dtypes}, tmp_path / "a.safetensors")
    for name, array in read_state_dict(tmp_path / "a.safetensors").items():
        np.testing.assert_array_equal(array, values, err_msg=name)
    save_file({"fc.bias": torch.ones(2, dtype=torch.complex64)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="a.safetensors must hold real numbers. Received: 'fc.bias', dtype=C64"):
        read_state_dict(tmp_path / "a.safetensors")


def test_a_class_in_a_file_is_named_with_the_remedy(tmp_path):
    for content, name in (
        (torch.nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        ({"state_dict": STATE, "began": dt.timedelta(1)}, "datetime.timedelta"),
    ):
        with pytest.raises(ValueError, match=rf"a.pth is refused: .* \(it holds a {re.escape(name)}\)") as raised:
            read_state_dict(saved(tmp_path, content))
        assert "torch.save(network.state_dict(), 'weights.pth')" in str(raised.value)
        assert "\x1b" not in str(raised.value) and "\n" not in str(raised.value)


def test_what_other_versions_of_numpy_and_python_call_otherwise_is_read(tmp_path):
    """The names that they write, put into a file of this version."""
    path = tmp_path / "a.pth"
    torch.save(
        {"state_dict": STATE, "best": np.float64(1), "table": np.arange(3.0)},
        path,
        _use_new_zipfile_serialization=False,
    )
    content = path.read_bytes()
    assert b"cnumpy._core.multiarray\n" in content
    path.write_bytes(content.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
    assert_read(read_state_dict(path), STATE)


class Reducing(argparse.Namespace):
    """Has the name of an allowed class beside what it does."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("place", ["args", "state_dict"])
def test_what_is_allowed_opens_no_door(tmp_path, place):
    content = {"state_dict": STATE, "args": argparse.Namespace()}
    content[place] = argparse.Namespace(value=Reducing(str(tmp_path / "done")))
    with pytest.raises(ValueError, match=r"is refused: .*it holds a (posix|os)\.mkdir"):
        read_state_dict(saved(tmp_path, content))
    assert not (tmp_path / "done").exists()


@pytest.mark.filterwarnings("ignore:.*`torch.jit.trace(_method)?` is deprecated", "ignore:.*torch.jit")
def test_a_torchscript_program_is_called_by_its_name(tmp_path):
    traced = torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2), check_trace=False)
    traced.save(str(tmp_path / "a.pth"))
    with pytest.raises(ValueError, match=r"a.pth is refused: it is a TorchScript program.*torch.jit.load\(file\)"):
        read_state_dict(tmp_path / "a.pth")


def test_packed_weights_are_called_quantized(tmp_path):
    path = saved(tmp_path, {"fc.scale": torch.ones(1), "fc._packed_params._packed_params": (torch.ones(2), None)})
    with pytest.raises(ValueError, match="a.pth holds a quantized network"):
        read_state_dict(path)


def state_of_resnet8():
    network = keras_resnet.CifarResNet(8)
    state = conversion.from_ours(weights_loading.state_dict(network), "akamaster", network.spec)
    return {name: torch.from_numpy(array) for name, array in state.items()}


@pytest.fixture(scope="module")
def resnet8():
    return state_of_resnet8()


@pytest.mark.parametrize(
    "name", ["resnet18", "ResNet-50", "resnet50.a1_in1k", "tv_resnet50", "gluon_resnet50_v1b", "resnet20", "mine", ""]
)
def test_names_of_the_paper_s_networks_and_of_none_are_let_through(name):
    architecture_names.check(name, {"zero_init_last": True, "drop_rate": 0.1}, "")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"arch": "resnetblur50"}, "says that they are of 'resnetblur50', which may compute otherwise"),
        ({"args": argparse.Namespace(model="resnetaa50")}, "says that they are of 'resnetaa50'"),
        ({"args": {"arch": "resnet50_dilated"}}, "says that they are of 'resnet50_dilated'"),
        (
            {"arch": "resnet50", "args": argparse.Namespace(model_kwargs={"output_stride": 8, "drop_rate": 0.1})},
            r"says that resnet50 was built with output_stride=8\. If",
        ),
    ],
    ids=["arch", "model", "dictionary", "options"],
)
def test_a_network_of_another_name_is_not_taken_for_the_paper_s(tmp_path, resnet8, said, message):
    path = saved(tmp_path, {"state_dict": resnet8, **copy.deepcopy(said)})
    with pytest.raises(ValueError, match=message) as raised:
        keras_resnet.CifarResNet(8, weights=path)
    assert str(path) in str(raised.value) and "weights=torch.load(file, weights_only=True)" in str(raised.value)
    assert keras_resnet.CifarResNet(8, weights=torch.load(path, weights_only=False)["state_dict"]).preprocessing


@pytest.mark.parametrize(
    ("mean", "std", "name"),
    [((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "tf"), ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], "torch")],
)
def test_the_normalization_that_a_trainer_was_given_is_said(tmp_path, resnet8, mean, std, name):
    path = saved(tmp_path, {"state_dict": resnet8, "args": argparse.Namespace(mean=mean, std=std)})
    found = weights_loading.read(path)
    assert found.metadata.preprocessing == name and "preprocessing" not in found.assumed
    with pytest.raises(ValueError, match=f"`preprocessing` must be None or '{name}', which {path} says of its weights"):
        found.stated(path, preprocessing="caffe")


def test_a_normalization_without_a_name_is_kept_and_not_contradicted(tmp_path, resnet8):
    arguments = argparse.Namespace(mean=[0.4914, 0.4822, 0.4465], std=[0.2, 0.2, 0.2])
    found = weights_loading.read(saved(tmp_path, {"state_dict": resnet8, "args": arguments}))
    assert found.metadata.preprocessing is None
    np.testing.assert_allclose(found.preprocessing.mean, [125.307, 122.961, 113.8575])
    with pytest.raises(ValueError, match="`preprocessing` must be None: a.pth says how images are normalized for it"):
        found.stated("a.pth", preprocessing="tf")


def test_weights_of_another_depth_than_their_file_says_are_refused():
    architecture_names.check_depth("resnet18", 18, "Remedy")
    architecture_names.check_depth("my_network", 18, "Remedy")
    with pytest.raises(
        ValueError, match="The weights are of ResNet-18, and their file says that they are of 'resnet34'"
    ):
        architecture_names.check_depth("resnet34", 18, "Remedy")


@pytest.mark.parametrize(("content", "reason"), [(b"", "it is empty"), (b"<html>404</html>", "it begins otherwise")])
def test_what_a_failed_download_leaves_is_no_file_of_pytorch(tmp_path, content, reason):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a.pth is no file of PyTorch, or damaged \({reason}\); get it again"):
        read_state_dict(tmp_path / "a.pth")
