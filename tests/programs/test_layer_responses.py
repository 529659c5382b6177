"""The command that draws Figure 7."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import keras
import pytest

import layer_responses as command
from catalog import RECIPES
from finished_runs import finished_run
from keras_resnet.analysis.layer_responses import layer_responses
from keras_resnet.data.datasets import loading
from keras_resnet.runs.directory import RunDirectory

RESIDUAL = RECIPES["digits-resnet8"]
PLAIN = replace(RESIDUAL, name="digits-plain8", model=replace(RESIDUAL.model, shortcut=None))


pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[RunDirectory]:
    directory = tmp_path_factory.mktemp("runs")
    return [finished_run(directory / recipe.name, recipe) for recipe in (RESIDUAL, PLAIN)]


def rows(directory: Path) -> dict[str, list[tuple[str, float]]]:
    """The table: (layer, standard deviation) by network, in order."""
    with (directory / "responses.csv").open() as file:
        table = list(csv.DictReader(file))
    networks = dict.fromkeys(row["network"] for row in table)
    found = {
        name: [(row["layer"], float(row["standard_deviation"])) for row in table if row["network"] == name]
        for name in networks
    }
    orders = [int(row["order"]) for row in table]
    assert orders == [order for layers in found.values() for order in range(1, len(layers) + 1)]
    return found


def test_runs_are_measured_on_their_own_test_images_drawn_and_told(runs, tmp_path, capsys):
    output = tmp_path / "figure"
    names = [str(run.path) for run in runs]
    assert command.main([*names, "--output", str(output), "--images", "50", "--batch-size", "20"]) == 0
    found = rows(output)
    assert list(found) == ["digits-resnet8", "digits-plain8"]
    images = loading.load("digits").validation.images[:50]
    for run, layers in zip(runs, found.values(), strict=True):
        expected = layer_responses(keras.saving.load_model(run.model), [images])
        assert [layer for layer, _ in layers] == [layer for layer, _ in expected]
        assert [value for _, value in layers] == pytest.approx([value for _, value in expected], rel=1e-6)
    told = capsys.readouterr().out.splitlines()
    assert told[0].split() == ["network", "layers", "mean", "standard", "deviation"]
    for line, (name, layers) in zip(told[1:], found.items(), strict=True):
        assert line.split() == [name, "7", f"{sum(value for _, value in layers) / 7:.4f}"]
    assert (output / "responses.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (output / "responses.svg").read_text()


def test_a_saved_network_needs_the_name_of_the_data_set(runs, tmp_path, capsys):
    output = tmp_path / "figure"
    assert command.main([str(runs[0].model), "--output", str(output)]) == 2
    assert "`dataset` must be one of digits, cifar10" in capsys.readouterr().err
    told = refused(capsys, runs[0].model)
    assert "`dataset` must be one of digits" in told and told.endswith("would tell (--dataset, --output)")
    assert refused(capsys, runs[0].path).startswith("`output` must be a directory for the pictures")
    assert not output.exists()
    one, other = tmp_path / "one", tmp_path / "other"
    for directory in (one, other):
        directory.mkdir()
        (directory / "model.keras").write_bytes(runs[0].model.read_bytes())
    files = [str(directory / "model.keras") for directory in (one, other)]
    arguments = [*files, "--output", str(output), "--dataset", "digits", "--images", "10"]
    assert command.main(arguments) == 0
    first, second = rows(output).values()
    assert list(rows(output)) == files, "two files of one name are told apart"
    assert first == second


def refused(capsys, *arguments: object) -> str:
    assert command.main([str(argument) for argument in arguments]) == 2
    return capsys.readouterr().err.removeprefix("error: ").removesuffix("\n")


def test_what_makes_no_sense_is_refused_before_anything_is_written(runs, tmp_path, capsys):
    run, output = runs[0].path, tmp_path / "figure"
    output.write_text("a letter")
    assert refused(capsys, run, "--output", output) == f"{output} is a file. Choose another `output` (--output)"
    output.unlink()
    assert "Received several times" in refused(capsys, run, run, "--output", output)
    assert "There is no file or directory" in refused(
        capsys, tmp_path / "no", "--output", output, "--dataset", "digits"
    )
    for flag in ("--images", "--batch-size"):
        with pytest.raises(SystemExit, match="2"):
            command.main([str(run), "--output", str(output), flag, "0"])
        assert f"must be at least 1. Received: {flag[2:].replace('-', '_')}=0 ({flag})" in capsys.readouterr().err
    assert not output.exists()
    output.mkdir()
    (output / "responses.csv").write_text("kept")
    assert "responses.csv is there already. Choose another `output`, or replace it with `overwrite=True`" in refused(
        capsys, run, "--output", output
    )
    assert (output / "responses.csv").read_text() == "kept"


@pytest.mark.slow
def test_images_of_another_shape_are_refused(runs, shared_data, tmp_path, capsys):
    arguments = (runs[0].path, "--dataset", "cifar10", "--data-directory", shared_data / "tfds")
    told = refused(capsys, *arguments, "--output", tmp_path / "figure")
    assert "The shape of the images must be the same. Received: (8, 8, 1) in" in told
    assert "(32, 32, 3) in cifar10" in told
    assert not (tmp_path / "figure").exists()
