"""The command that exports a network: what it writes, what it refuses, and that it finds a broken file."""

from __future__ import annotations

import json

import numpy as np
import pytest

import asked_networks
import export
from commands import status
from keras_resnet.export import comparison, formats, runtimes, writers
from tiers import slow

pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """The command sets these for its own process."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setattr(export, "ROUNDS", 2)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """The path of a saved network, and the network."""
    path = tmp_path_factory.mktemp("source") / "network.keras"
    return path, asked_networks.save(path, names=("cat", "dog"))


@pytest.fixture
def source(network):
    return network[0]


@pytest.fixture(scope="module")
def logits(network):
    """From images to the logits of the network."""
    return runtimes.run_keras(network[1])


@pytest.fixture
def stand_in(logits, monkeypatch):
    """Makes litert a format whose files hold a word, and whose runtime is the network itself, off by an amount."""

    def install(amount: float) -> None:
        monkeypatch.setitem(writers.WRITERS, "litert", lambda network, path, batch_size: path.write_text(str(amount)))
        monkeypatch.setitem(runtimes.RUNTIMES, "litert", lambda path, threads: lambda images: logits(images) + amount)

    return install


def run(source, name, output, *flags) -> int:
    return status(export.main, source, "--format", name, "--output", output, *flags)


def refused(capsys, *arguments) -> str:
    assert run(*arguments) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    return line


def contents(folder) -> set[str]:
    return {file.name for file in folder.iterdir()}


@pytest.mark.parametrize(("name", "file"), [("saved-model", "served"), *slow([("litert", "network.tflite")])])
def test_a_network_is_exported_and_compared(source, tmp_path, capsys, name, file):
    assert run(source, name, tmp_path / file, "--fold") == 0
    assert contents(tmp_path) == {file, f"{file}.json"}
    report = json.loads((tmp_path / f"{file}.json").read_text())
    assert report["agrees"] and report["difference"] < 1e-5 and report["same_top_1"] == report["images"] == 8
    assert report["input"] == {"shape": [None, 8, 8, 3], "dtype": "uint8", "values": "0 to 255"}
    assert report["output"] == {"shape": [None, 2], "values": "logits"}
    assert report["class_names"] == ["cat", "dog"] and report["folded"]
    assert report["latency"]["images"] == 1 and report["latency"]["threads"] >= 1
    assert report["latency"]["milliseconds"].keys() == {"keras", name}
    assert all(time > 0 for time in report["latency"]["milliseconds"].values())
    told = capsys.readouterr().out
    assert "input     uint8 [any, 8, 8, 3], 0 to 255" in told and "equal     yes" in told and "top-1 on 8 of 8" in told


@pytest.mark.slow
def test_the_file_may_take_normalized_images_of_another_size_in_batches_and_return_scores(source, tmp_path, capsys):
    output = tmp_path / "network.tflite"
    flags = ("--no-normalization", "--scores", "--batch-size", "2", "--image-size", "12")
    assert run(source, "litert", output, *flags) == 0
    report = json.loads((tmp_path / "network.tflite.json").read_text())
    assert report["input"]["shape"] == [2, 12, 12, 3] and report["input"]["dtype"] == "float32"
    assert report["input"]["mean"] == [120.0] * 3 and report["input"]["deviation"] == [60.0] * 3
    assert report["output"] == {"shape": [2, 2], "values": "scores"}
    assert report["latency"]["images"] == report["images"] == 2
    images = np.zeros((2, 12, 12, 3), "float32")
    np.testing.assert_allclose(runtimes.RUNTIMES["litert"](output, 1)(images).sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("amount", [np.nan, *slow([1.0])])
def test_a_file_that_does_something_else_is_found_and_marked(source, tmp_path, capsys, stand_in, amount):
    good = tmp_path / "network.tflite"
    stand_in(0.0)
    assert run(source, "litert", good) == 0
    stand_in(amount)
    assert run(source, "litert", good, "--overwrite") == 1
    told = capsys.readouterr()
    assert "equal     NO" in told.out
    assert "network.differs.tflite does not do what the network does; do not use it" in told.err
    broken = {"network.differs.tflite", "network.differs.tflite.json"}
    assert contents(tmp_path) == {"network.tflite", "network.tflite.json"} | broken
    assert good.read_text() == "0.0"
    assert (tmp_path / "network.differs.tflite").read_text() == str(amount)
    report = json.loads((tmp_path / "network.differs.tflite.json").read_text())
    assert not report["agrees"]
    assert (report["difference"] is None) is bool(np.isnan(amount))


@pytest.mark.parametrize(("share", "status"), [(9e-5, 0), (1.1e-4, 1)])
def test_the_limit_is_a_ten_thousandth_of_the_range(network, logits, tmp_path, stand_in, share, status):
    stand_in(share * np.ptp(logits(comparison.pictures(network[1], 8))))
    assert run(network[0], "litert", tmp_path / "network.tflite") == status


@pytest.mark.slow
def test_what_torch_writes_is_folded(source, tmp_path):
    pytest.importorskip("torch")
    assert run(source, "torch", tmp_path / "network.pt2") == 0
    assert json.loads((tmp_path / "network.pt2.json").read_text())["folded"]


@pytest.mark.slow
def test_what_is_there_is_replaced_only_when_told_so(source, tmp_path, capsys):
    output = tmp_path / "served"
    assert run(source, "saved-model", output) == 0
    (output / "old").touch()
    assert f"{output} is there already. Choose another `output`, or replace it with `overwrite=True`" in refused(
        capsys, "none", "saved-model", output
    )
    assert (output / "old").exists()
    assert run(source, "saved-model", output, "--overwrite", "--scores") == 0
    assert not (output / "old").exists()
    assert json.loads((tmp_path / "served.json").read_text())["output"]["values"] == "scores"
    assert contents(tmp_path) == {"served", "served.json"}


def test_a_folder_of_something_else_is_not_replaced(source, tmp_path, capsys):
    (tmp_path / "photographs").mkdir()
    told = refused(capsys, source, "saved-model", tmp_path / "photographs", "--overwrite")
    assert "photographs has no saved_model.pb, and is not replaced" in told


def test_the_weights_of_openvino_are_not_replaced_either(source, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(formats, "find_spec", lambda name: True)
    (tmp_path / "network.bin").touch()
    assert "network.bin is there already" in refused(capsys, source, "openvino", tmp_path / "network.xml")


def test_without_tensorflow_no_format_is_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(export, "find_spec", lambda name: None)
    told = refused(capsys, "none", "litert", tmp_path / "network.tflite")
    assert "`format` litert needs tensorflow, which is not installed: pip install tensorflow" in told


@pytest.mark.parametrize(
    ("name", "missing"),
    [("onnx", ("tf2onnx", "onnxruntime")), ("openvino", ("openvino",)), ("torch", ("torch",))],
)
def test_a_package_that_is_missing_is_named_before_anything_is_written(tmp_path, capsys, monkeypatch, name, missing):
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name in missing else True)
    told = refused(capsys, "none", name, tmp_path / f"network{formats.FORMATS[name].suffix}")
    assert (
        f"`format` {name} needs {', '.join(missing)}, which is not installed: pip install {' '.join(missing)}" in told
    )
    assert not contents(tmp_path)


@pytest.mark.parametrize(
    ("name", "file", "flags", "told"),
    [
        ("litert", "network.onnx", (), "`output` must end in .tflite for `format` litert. Received: "),
        ("litert", "none/network.tflite", (), "Make it, or choose another `output` (--output)"),
        ("litert", "network.tflite", ("--batch-size", "0"), "`batch_size` must be at least 1. Received: batch_size=0"),
        (
            "litert",
            "network.tflite",
            ("--image-size", "few"),
            "`image_size` must be a whole number or None. Received: image_size='few'",
        ),
        ("litert", "network.tflite", ("--image-size", "3"), "`image_size` must be at least 4 in this network."),
        ("tflite", "network.tflite", (), "Received: format='tflite'. Did you mean 'litert'? (--format)"),
    ],
)
def test_what_cannot_be_done_is_refused(source, tmp_path, capsys, name, file, flags, told):
    assert told in refused(capsys, source, name, tmp_path / file, *flags)
    assert not contents(tmp_path)


def test_a_source_that_is_none_is_refused(tmp_path, capsys):
    assert "There is no file or directory" in refused(capsys, tmp_path / "none", "saved-model", tmp_path / "served")


def test_an_exporter_that_fails_leaves_nothing(source, tmp_path, capsys, monkeypatch):
    def fail(network, path, batch_size):
        path.write_text("half a file")
        raise KeyError("no such operation")

    monkeypatch.setitem(writers.WRITERS, "litert", fail)
    told = refused(capsys, source, "litert", tmp_path / "network.tflite")
    assert "cannot be exported to litert (KeyError: 'no such operation')" in told
    assert not contents(tmp_path)


def test_a_file_that_cannot_be_run_leaves_nothing(source, tmp_path, capsys, monkeypatch, stand_in):
    def fail(path, threads):
        raise TypeError("no such operation")

    stand_in(0.0)
    monkeypatch.setitem(runtimes.RUNTIMES, "litert", fail)
    told = refused(capsys, source, "litert", tmp_path / "network.tflite")
    assert "The file that was exported cannot be run (TypeError: no such operation)" in told
    assert not contents(tmp_path)
