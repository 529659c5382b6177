"""The command that finds what a network mistakes for what."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import asked_networks
import mistakes
from invented_runs import invented_result
from keras_resnet.analysis import confusion_figure, mistakes_figure
from keras_resnet.config.recipe import DataConfig, Recipe
from keras_resnet.config.run import Run
from keras_resnet.data.datasets import loading
from keras_resnet.runs.directory import RunDirectory
from tiers import slow

DIGITS = tuple(map(str, range(10)))
RECIPE = Recipe("digits", "", data=DataConfig("digits", holdout=37, augmentation=(), normalization="per-channel"))


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    """An untrained network for digits."""
    file = tmp_path_factory.mktemp("network") / "network.keras"
    asked_networks.save(file, channels=1, names=DIGITS)
    return file


@pytest.fixture(autouse=True)
def drawn(monkeypatch) -> list:
    """(counts, class names, title) of every picture that is drawn; it is a picture of few bytes."""
    calls = []
    monkeypatch.setattr(confusion_figure, "draw", lambda *parts: calls.append(parts) or b"picture")
    monkeypatch.setattr(mistakes_figure, "draw", lambda *parts: b"mistakes")
    return calls


@pytest.fixture
def drawn_mistakes(monkeypatch) -> list:
    """(images, captions, title) of every picture of mistakes that is drawn."""
    calls = []
    monkeypatch.setattr(mistakes_figure, "draw", lambda *parts: calls.append(parts) or b"mistakes")
    return calls


@pytest.fixture
def run(tmp_path, network) -> RunDirectory:
    """A finished run of it, whose last 37 training images serve as validation."""
    return finished(tmp_path / "run", network, RECIPE, DIGITS)


def finished(path: Path, network: Path, recipe: Recipe, names: tuple[str, ...], **remembered: str) -> RunDirectory:
    directory = RunDirectory(path)
    directory.create(recipe.to_json(), {"run": Run(**remembered).remembered()})
    directory.model.write_bytes(network.read_bytes())
    directory.write_result(invented_result(class_names=list(names)))
    return directory


def rows(file: Path) -> list[list[str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines))


def ask(run: RunDirectory, output: Path, *flags: str) -> int:
    return mistakes.main([str(run.path), "--output", str(output), *flags])


def expected_counts(network: Path, split) -> np.ndarray:
    import keras

    logits = keras.saving.load_model(network, compile=False)(split.images, training=False).numpy()
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (split.labels, logits.argmax(-1)), 1)
    return counts


@pytest.mark.parametrize("split", ["validation", *slow(["test"])])
def test_a_run_is_asked_about_its_own_split(capsys, tmp_path, run, network, drawn, split):
    assert ask(run, tmp_path / "out", "--split", split, "--batch-size", "50") == 0
    images = loading.load("digits", holdout=37).splits[split]
    expected = expected_counts(network, images)
    header, *body = rows(tmp_path / "out" / "confusion.csv")
    assert header == ["true class", *DIGITS]
    assert [row[0] for row in body] == list(DIGITS)
    np.testing.assert_array_equal(np.array([row[1:] for row in body], int), expected)

    header, *body = rows(tmp_path / "out" / "classes.csv")
    assert header == ["class", "images", "wrong", "error (%)"]
    assert {row[0]: int(row[1]) for row in body} == dict(zip(DIGITS, expected.sum(1), strict=True))
    for name, count, wrong, error in body:
        assert int(wrong) == expected[int(name)].sum() - expected[int(name), int(name)]
        assert float(error) == pytest.approx(100 * int(wrong) / int(count), abs=0.005)
    assert [float(row[3]) for row in body] == sorted((float(row[3]) for row in body), reverse=True)

    header, *body = rows(tmp_path / "out" / "confusions.csv")
    assert header == ["true class", "predicted class", "images"]
    off_diagonal = expected - np.diag(expected.diagonal())
    assert {(int(true), int(seen)): int(n) for true, seen, n in body} == {
        (int(i), int(j)): off_diagonal[i, j] for i, j in np.argwhere(off_diagonal)
    }
    assert [int(row[2]) for row in body] == sorted((int(row[2]) for row in body), reverse=True)

    assert (tmp_path / "out" / "confusion.png").read_bytes() == b"picture"
    [(counts, names, title)] = drawn
    np.testing.assert_array_equal(counts, expected)
    assert (names, title) == (DIGITS, f"run, {split} images")
    wrong = off_diagonal.sum()
    printed = capsys.readouterr().out
    assert f"{images.size} {split} images (whole image)" in printed
    assert f"top-1 error {100 * wrong / images.size:.2f}%: {wrong} of {images.size} images" in printed
    assert f"all of it is in {tmp_path / 'out'}" in printed


def test_the_mistaken_images_are_listed_the_surest_first(capsys, tmp_path, run, network, drawn_mistakes):
    import keras

    assert ask(run, tmp_path / "out") == 0
    images = loading.load("digits", holdout=37).validation
    logits = keras.saving.load_model(network, compile=False)(images.images, training=False).numpy()
    scores = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    wrong = np.flatnonzero(scores.argmax(-1) != images.labels)
    order = wrong[np.argsort(-scores[wrong].max(-1))]
    header, *body = rows(tmp_path / "out" / "mistakes.csv")
    assert header == [
        "image",
        "true class",
        "predicted class",
        "score of the predicted class",
        "score of the true class",
    ]
    assert [int(row[0]) for row in body] == order.tolist()
    assert [(int(row[1]), int(row[2])) for row in body] == [(images.labels[n], logits[n].argmax()) for n in order]
    given = np.array([row[3:] for row in body], float)
    expected = np.stack([scores[order].max(-1), scores[order, images.labels[order]]], axis=1)
    np.testing.assert_allclose(given, expected, atol=1e-4)

    printed = capsys.readouterr().out.partition("surest mistakes")[2].splitlines()
    assert [line.split()[0] for line in printed[1:11]] == list(map(str, order[:10]))
    [(pixels, captions, title)] = drawn_mistakes
    np.testing.assert_array_equal(pixels, images.images[order[:20]])
    assert captions[0].splitlines()[:2] == [str(order[0]), str(images.labels[order[0]])]
    assert title == f"run, validation images: {len(order)} mistakes, the surest 20"


def test_mistaken_images_are_named_by_their_files(capsys, tmp_path, own):
    assert ask(own, tmp_path / "out") == 0
    _, *body = rows(tmp_path / "out" / "mistakes.csv")
    assert body, "a network that was not trained is wrong about some of three images"
    printed = capsys.readouterr().out
    for file, true, predicted, *_ in body:
        assert Path(file).is_file() and Path(file).parent.name == true != predicted
        assert f"\n{file}  {true:10}  {predicted}" in printed


def test_names_that_do_not_print_are_escaped_where_they_are_printed_and_whole_in_the_files():
    mistake = mistakes.Mistake(0, "a\udce9\n.png", 0, 1, 0.75, 0.25)
    [_, line] = mistakes.mistakes_summary([mistake], ["cat", "dog"]).strip().splitlines()
    assert line.split() == ["a\\xe9\\n.png", "cat", "dog", "75.00%", "25.00%"]
    assert b'"a\\udce9\n.png",cat,dog' in mistakes.mistakes_table([mistake], ["cat", "dog"])


def test_a_table_that_is_not_ascii_tells_spreadsheets_that_it_is_utf_8():
    assert mistakes.as_csv(["class"], [["dog"]]) == b"class\ndog\n"
    assert mistakes.as_csv(["class"], [["Löwe"]]) == "\ufeffclass\nLöwe\n".encode()


def test_weights_are_asked_about_a_data_set(tmp_path, network):
    arguments = [str(network), "--dataset", "digits", "--output", str(tmp_path / "out")]
    assert mistakes.main(arguments) == 0
    _, *body = rows(tmp_path / "out" / "confusion.csv")
    assert sum(int(number) for row in body for number in row[1:]) == 360


def test_another_holdout(capsys, tmp_path, run):
    assert ask(run, tmp_path / "out", "--holdout", "50") == 0
    assert "50 validation images" in capsys.readouterr().out


def test_without_a_holdout_the_test_images_are_the_validation_images(capsys, tmp_path, run):
    assert ask(run, tmp_path / "out", "--holdout", "0") == 0
    assert "360 validation images" in capsys.readouterr().out


def test_a_network_of_any_size_is_shown_the_size_of_its_architecture(capsys, tmp_path):
    write_folder(tmp_path / "data", ("cat", "dog", "fox"))
    asked_networks.save(tmp_path / "network.keras", size=None, names=None)
    arguments = [tmp_path / "network.keras", "--dataset", "folder", "--data-directory", tmp_path / "data"]
    assert mistakes.main([*map(str, arguments), "--output", str(tmp_path / "out")]) == 0
    assert "3 validation images (center 32x32" in capsys.readouterr().out


def test_a_network_without_mistakes(capsys):
    assert mistakes.summary(np.diag([3, 4]), "ab") == "top-1 error 0.00%: 0 of 7 images"
    assert mistakes.mistakes_summary([], "ab") == ""
    assert mistakes.mistakes_picture([], None, "ab", "run") == b"mistakes"


def test_the_summary_shows_the_worst_of_many():
    counts = np.full((30, 30), 2) + np.diag(np.arange(30))
    lines = mistakes.summary(counts, [f"class {number}" for number in range(30)]).splitlines()
    assert len(lines) == 3 + 10 + 2 + 10
    assert lines[3].split() == ["class", "0", "58", "60", "96.67%"]


def test_names_with_commas_survive(tmp_path):
    content = mistakes.tables(np.array([[1, 2], [0, 4]]), ("great white, shark", 'the "fish"'))
    (tmp_path / "confusion.csv").write_bytes(content["confusion.csv"])
    assert rows(tmp_path / "confusion.csv") == [
        ["true class", "great white, shark", 'the "fish"'],
        ["great white, shark", "1", "2"],
        ['the "fish"', "0", "4"],
    ]


def test_files_that_are_there_are_replaced_only_when_asked(capsys, tmp_path, run):
    output = tmp_path / "out"
    output.mkdir()
    (output / "classes.csv").write_text("theirs")
    assert ask(run, output) == 2
    assert (
        f"{output / 'classes.csv'} is there already. Choose another `output`, or replace it with"
        in capsys.readouterr().err
    )
    assert [path.name for path in output.iterdir()] == ["classes.csv"]
    assert (output / "classes.csv").read_text() == "theirs"
    assert ask(run, output, "--overwrite") == 0
    assert len(rows(output / "classes.csv")) == 11


def write_folder(directory: Path, names: tuple[str, ...]) -> None:
    for split in ("train", "validation"):
        for label, name in enumerate(names):
            file = directory / split / name / "0.png"
            file.parent.mkdir(parents=True)
            file.write_bytes(tf.io.encode_png(np.full((9, 9, 3), 50 * label, np.uint8)).numpy())


@pytest.fixture
def own(tmp_path) -> RunDirectory:
    """A run on a folder of the user's, remembered by the run."""
    write_folder(tmp_path / "data", ("cat", "dog", "fox"))
    asked_networks.save(tmp_path / "network.keras", names=("cat", "dog", "fox"))
    recipe = Recipe("own", "", data=DataConfig("folder", augmentation=(), image_size=8))
    return finished(
        tmp_path / "run",
        tmp_path / "network.keras",
        recipe,
        ("cat", "dog", "fox"),
        data_directory=str(tmp_path / "data"),
    )


def test_a_run_remembers_where_its_data_lie(tmp_path, own):
    assert ask(own, tmp_path / "out") == 0
    header, *body = rows(tmp_path / "out" / "confusion.csv")
    assert header == ["true class", "cat", "dog", "fox"]
    assert [sum(map(int, row[1:])) for row in body] == [1, 1, 1]


def test_the_folders_may_have_moved(tmp_path, own):
    (tmp_path / "data").rename(tmp_path / "moved")
    assert ask(own, tmp_path / "out") == 2
    assert ask(own, tmp_path / "out", "--data-directory", str(tmp_path / "moved")) == 0


def test_a_folder_of_other_classes_is_refused(capsys, tmp_path, own):
    write_folder(tmp_path / "others", ("cat", "dog", "yak"))
    assert ask(own, tmp_path / "out", "--data-directory", str(tmp_path / "others")) == 2
    assert "The name of class 2 must be the same. Received: 'fox'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_damaged_image_is_named_and_nothing_is_written(capsys, tmp_path, own):
    file = tmp_path / "data" / "validation" / "dog" / "0.png"
    content = file.read_bytes()
    file.write_bytes(content[:40] + bytes(10) + content[50:])  # both ends are whole
    assert ask(own, tmp_path / "out") == 2
    assert f"{file}: damaged" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_does_not_fit_is_refused_and_nothing_is_written(capsys, tmp_path, network, run):
    other = tmp_path / "colours.keras"
    asked_networks.save(other, names=DIGITS)
    fewer = tmp_path / "fewer.keras"
    asked_networks.save(fewer, channels=1, names=DIGITS[:9])
    (tmp_path / "file").touch()
    for arguments, wrong in [
        ([network], "`dataset` must be one of digits, cifar10, cifar100, imagenet, folder"),
        ([other, "--dataset", "digits"], "The shape of the images must be the same. Received: (8, 8, 3) in"),
        ([fewer, "--dataset", "digits"], "The number of classes must be the same. Received: 9 in"),
        ([network, "--dataset", "digits", "--split", "test"], "`split` must be one of train, validation"),
        ([network, "--dataset", "digits", "--holdout", "1437"], "`holdout` must be at least 0 and below 1437"),
        ([network, "--dataset", "folder"], "must be a directory of class folders"),
        (
            [run.path, "--data-directory", tmp_path, "--output", tmp_path / "file"],
            "is a file. Choose another `output` (--output)",
        ),
        ([tmp_path / "missing"], f"There is no file or directory {tmp_path / 'missing'}"),
    ]:
        output = [] if "--output" in arguments else ["--output", tmp_path / "out"]
        assert mistakes.main([*map(str, [*arguments, *output])]) == 2
        assert wrong in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
