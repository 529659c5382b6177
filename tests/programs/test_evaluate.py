"""The command that measures as the paper did: what it keeps and prints, and what it refuses and leaves alone."""

from __future__ import annotations

import csv
import functools
import io
import json
import re
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import evaluate
from cli.progress import ImageProgress
from commands import status
from invented_runs import invented_result
from keras_resnet import CifarResNet
from keras_resnet.config.recipe import DataConfig, ModelConfig, Recipe
from keras_resnet.data.datasets import loading
from keras_resnet.data.tensorflow import batches
from keras_resnet.inference import labelled_images
from keras_resnet.models import input_normalization
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.training.tensorflow import strategies
from keras_resnet.training.tensorflow.evaluator import evaluator
from pictures import smooth

pytestmark = pytest.mark.usefixtures("loaded_once")

SIZE = 32
CLASSES = ("cat", "cow", "dog", "eel", "fox", "gnu")
RECIPE = Recipe(
    "tiny",
    "for tests",
    ModelConfig(depth=8),
    DataConfig("folder", augmentation=(), image_size=SIZE, normalization="per-channel"),
)


def write_network(file: Path, **network) -> None:
    file.write_bytes(network_file(**network))


@functools.cache
def network_file(*, seed: int = 0, classes: int = len(CLASSES), shape=(1, 1, 3)) -> bytes:
    """What the file of a network holds."""
    keras.utils.set_random_seed(seed)
    normalize = input_normalization.layer(np.full(shape, 120.0, "float32"), np.full((1, 1, 3), 40.0, "float32"))
    image = normalize(keras.Input((SIZE, SIZE, 3), dtype="uint8"))
    network = CifarResNet(8, input_tensor=image, classes=classes, classifier_activation=None)
    with tempfile.TemporaryDirectory() as folder:
        network.save(file := Path(folder) / "network.keras")
        return file.read_bytes()


def write_run(path: Path, data: Path, *, recipe: Recipe = RECIPE, names=CLASSES, **network) -> Path:
    """A finished run, without the training."""
    directory = RunDirectory(path)
    path.mkdir(parents=True)
    directory.recipe.write_text(recipe.to_json())
    directory.environment.write_text(json.dumps([{"run": {"data_directory": str(data)}}]))
    write_network(directory.model, **network)
    directory.write_result(invented_result(class_names=list(names)))
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """`pictures` of six animals, three of each in `train` and two in `validation`, and runs on them, `a` and `b`."""
    place = tmp_path_factory.mktemp("place")
    for number, animal in enumerate(CLASSES):
        for split, count in (("train", 3), ("validation", 2)):
            folder = place / "pictures" / split / animal
            folder.mkdir(parents=True)
            for index in range(count):
                image = smooth(40 + 5 * number, 70 - 6 * index, seed=10 * number + index)
                (folder / f"{index}.png").write_bytes(tf.io.encode_png(image).numpy())
    (place / "weights.pth").touch()
    for seed, name in enumerate("ab"):
        write_run(place / name, place / "pictures", seed=seed)
    return place


@pytest.fixture
def run(place, tmp_path) -> Path:
    """A run of one's own."""
    return Path(shutil.copytree(place / "a", tmp_path / "run"))


def kept(directory: Path, view: str) -> dict:
    return json.loads((directory / f"result-{view}.json").read_text())


def everything(place: Path) -> dict[str, int]:
    return {str(path.relative_to(place)): path.stat().st_mtime_ns for path in place.rglob("*")}


def center_crops(place: Path) -> tuple[np.ndarray, np.ndarray]:
    """What a training sees of the validation images, and their labels."""
    data = loading.load("folder", place / "pictures", image_size=SIZE)
    return next(batches.evaluation_batches(data.validation, batch_size=12).as_numpy_iterator())


def refusal(capsys, *arguments: object) -> str:
    code = status(evaluate.main, *arguments)
    output = capsys.readouterr()
    assert (code, output.out) == (2, "")
    assert output.err.startswith("error: ") and "Traceback" not in output.err
    return output.err


def test_the_center_crop_of_a_run_is_what_its_training_measured(run, place, capsys):
    assert evaluate.main([str(run), "--view", "center"]) == 0
    data = loading.load("folder", place / "pictures", image_size=SIZE)
    model = keras.saving.load_model(run / "model.keras")
    expected = evaluator(model, strategies.one_device())(batches.evaluation_batches(data.validation, batch_size=4), 12)
    result = kept(run / "evaluation", "center")
    assert {key: result[key] for key in vars(expected)} == pytest.approx(vars(expected), rel=1e-5)
    assert result["top1_interval"][0] < result["top1_error"] < result["top1_interval"][1]
    assert (result["dataset"], result["split"], result["split_images"], result["view"]) == (
        "folder",
        "validation",
        12,
        "center",
    )
    [network] = result["networks"]
    assert network["source"] == str(run) and network["fingerprint"] == RECIPE.fingerprint
    assert network["normalization"]["mean"] == [120.0] * 3 and network["precision"] == "float32"
    assert result["environment"]["keras_resnet"] and result["class_names"] == list(CLASSES)
    printed = capsys.readouterr().out
    assert f"center on 12 validation images of folder\ntop-1 error {expected.top1_error:7.2f}%" in printed
    assert str(run / "evaluation" / "result-center.json") in printed
    assert not (run / "evaluation" / "predictions-center.csv").exists()


def test_of_five_classes_there_is_no_top_5_error(place, tmp_path, capsys):
    pictures = shutil.copytree(place / "pictures", tmp_path / "pictures", ignore=shutil.ignore_patterns("gnu"))
    run = write_run(tmp_path / "run", Path(pictures), names=CLASSES[:5], classes=5)
    assert evaluate.main([str(run)]) == 0
    result, printed = kept(run / "evaluation", "center"), capsys.readouterr().out
    assert result["top5_error"] is None and "top5_interval" not in result
    assert "top-1 error" in printed and "top-5" not in printed


@pytest.mark.parametrize(
    ("view", "flags", "protocol"),
    [
        ("10-crop", ["--batch-size", "5"], {"shorter_sides": [37], "mirror": True}),
        ("multi-scale", ["--shorter-sides", "32", "48", "--mirror"], {"shorter_sides": [32, 48], "mirror": True}),
    ],
)
def test_the_other_views_are_kept_beside_it_with_their_protocol(run, view, flags, protocol):
    assert evaluate.main([str(run), "--view", view, *flags, "--split", "train", "--images", "7"]) == 0
    result = kept(run / "evaluation", view)
    assert (result["images"], result["split"], result["split_images"]) == (7, "train", 18)
    assert protocol.items() <= result["protocol"].items()


def test_predictions_are_in_the_order_of_the_split_with_the_largest_first(place, tmp_path):
    flags = ["--output", str(tmp_path), "--predictions", "--batch-size", "5"]
    assert evaluate.main([str(place / "a"), *flags]) == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "predictions-center.csv").read_text())))
    images, labels = center_crops(place)
    scores = tf.nn.softmax(keras.saving.load_model(place / "a" / "model.keras")(images)).numpy()
    assert [int(row["index"]) for row in rows] == list(range(12))
    assert [int(row["label"]) for row in rows] == labels.tolist()
    assert [CLASSES.index(Path(row["file"]).parent.name) for row in rows] == labels.tolist()
    assert len({row["file"] for row in rows}) == 12 and all(Path(row["file"]).is_file() for row in rows)
    for row, each in zip(rows, scores, strict=True):
        order = np.argsort(-each)[:5]
        assert [int(row[f"class_{rank}"]) for rank in range(1, 6)] == order.tolist()
        assert [float(row[f"score_{rank}"]) for rank in range(1, 6)] == pytest.approx(each[order], rel=1e-4)
    wrong = np.mean([row["class_1"] != row["label"] for row in rows])
    assert kept(tmp_path, "center")["top1_error"] == pytest.approx(100 * wrong)


def test_an_ensemble_is_kept_where_it_is_told_with_all_its_networks(place, tmp_path, capsys):
    assert evaluate.main([str(place / "a"), "--ensemble", str(place / "b"), "--output", str(tmp_path)]) == 0
    assert "validation images of folder, 2 networks together" in capsys.readouterr().out
    result = kept(tmp_path, "center")
    assert [network["source"] for network in result["networks"]] == [str(place / "a"), str(place / "b")]
    assert result["protocol"]["networks_averaged"] == 2
    images, labels = center_crops(place)
    models = [keras.saving.load_model(place / name / "model.keras") for name in "ab"]
    scores = np.mean([tf.nn.softmax(model(images)) for model in models], axis=0)
    assert result["loss"] == pytest.approx(-np.log(scores[np.arange(12), labels]).mean(), rel=1e-4)


def test_a_saved_network_needs_to_be_told_the_rest(place, tmp_path):
    flags = ["--dataset", "folder", "--data-directory", str(place / "pictures"), "--holdout", "4", "--split", "test"]
    assert evaluate.main([str(place / "a" / "model.keras"), *flags, "--output", str(tmp_path)]) == 0
    result = kept(tmp_path, "center")
    assert (result["holdout"], result["images"], result["networks"][0]["fingerprint"]) == (4, 12, None)


def test_an_earlier_result_is_replaced_only_if_it_may_be(run, capsys):
    assert evaluate.main([str(run), "--images", "3", "--predictions"]) == 0
    before = everything(run)
    capsys.readouterr()
    assert "predictions-center.csv are there already" in refusal(capsys, run)
    assert everything(run) == before
    assert evaluate.main([str(run), "--images", "4", "--overwrite"]) == 0
    assert kept(run / "evaluation", "center")["images"] == 4
    assert not (run / "evaluation" / "predictions-center.csv").exists()  # they were those of the earlier result


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("PLACE/nowhere --dataset folder --output OUT", "There is no file or directory"),
        ("PLACE/a/model.keras --output OUT", "`dataset` must be one of digits, cifar10"),
        ("PLACE/a/model.keras --dataset folder", "`output` must be a directory for what is written: "),
        (
            "PLACE/a/model.keras",
            "folder, and `output` a directory for what is written: PLACE/a/model.keras is no run, which would tell "
            "(--dataset, --output)",
        ),
        (
            "PLACE/weights.pth",
            "PLACE/weights.pth is no run, which would tell. `preprocessing`, too, must be given for a file that does "
            "not say how images are normalized (--dataset, --output, --preprocessing)",
        ),
        ("PLACE/none.pth", "There is no file or directory PLACE/none.pth"),
        ("PLACE/a --ensemble PLACE/b", "`output` must name a directory"),
        ("PLACE/a --output PLACE/a/recipe.json", "recipe.json is a file. Choose another `output` (--output)"),
        ("PLACE/a --view 5-crop", "Received: view='5-crop'. Did you mean '10-crop'? (--view)"),
        ("PLACE/a --view 10-crop --dataset cifar10", "`view` must be center with images of one size, such as those of"),
        ("PLACE/a --view multi-scale --dataset digits", "see the whole 8x8 image, once. Received: view='multi-scale'"),
        (
            "PLACE/a --view multi-scale --batch-size 2",
            "`batch_size` is for `view` center or 10-crop. Received: view='mul",
        ),
        (
            "PLACE/a --view 10-crop --mirror",
            "`mirror` is for `view` multi-scale. Received: view='10-crop' (--mirror, --view)",
        ),
        ("PLACE/a --shorter-sides 32", "`shorter_sides` is for `view` multi-scale. Received: view='center'"),
        ("PLACE/a --images 0", "`images` must be at least 1. Received: images=0 (--images)"),
        ("PLACE/a --batch-size -1", "`batch_size` must be at least 1. Received: batch_size=-1"),
    ],
)
def test_what_can_be_refused_without_tensorflow_is(place, tmp_path, capsys, monkeypatch, arguments, message):
    if "nowhere" not in arguments:
        monkeypatch.setattr(evaluate.startup, "loading", lambda: pytest.fail("TensorFlow was loaded"))
    before = everything(place)
    words = arguments.replace("PLACE", str(place)).replace("OUT", str(tmp_path / "out")).split()
    assert message.replace("PLACE", str(place)) in refusal(capsys, *words)
    assert everything(place) == before and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--images 13", "`images` must be at most 12, all there are. Received: images=13"),
        ("--split test", "`split` must be one of train, validation: without `holdout`, the test images are the valida"),
        ("--holdout 18", "`holdout` must be at least 0 and below 18"),
        ("--data-directory PLACE/none", "There is no directory"),
        ("--view multi-scale --shorter-sides 31", "`shorter_sides` must be different sizes of at least 32"),
        ("--dataset digits", "The shape of the images must be the same. Received: (32, 32, 3) in"),
        ("--dataset imagenet --data-directory PLACE/a", "Choose another `data_directory`"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(place, tmp_path, capsys, flags, message):
    words = flags.replace("PLACE", str(place)).split()
    said = refusal(capsys, place / "a", *words, "--output", tmp_path / "out")
    assert message in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 5, "names": CLASSES[:5]}, "The number of classes must be the same. Received: 6 in"),
        (
            {"names": ("cat", "dog", "cow", "eel", "fox", "gnu")},
            "The name of class 1 must be the same. Received: 'cow' in",
        ),
        ({"recipe": replace(RECIPE, data=DataConfig("cifar10"))}, "The data set must be the same. Received: folder in"),
        (
            {"recipe": replace(RECIPE, data=replace(RECIPE.data, holdout=2))},
            "The held-out images must be the same. Received: 0 in",
        ),
    ],
)
def test_networks_that_do_not_fit_together_are_refused(place, tmp_path, capsys, options, message):
    other = write_run(tmp_path / "other", place / "pictures", **options)
    assert message in refusal(capsys, place / "a", "--ensemble", other, "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 5, "names": CLASSES[:5]}, "The number of classes must be the same. Received: 5 in"),
        ({"names": CLASSES[::-1]}, "The name of class 0 must be the same. Received: 'gnu' in"),
    ],
)
def test_a_network_of_other_classes_than_the_images_is_refused(place, tmp_path, capsys, options, message):
    other = write_run(tmp_path / "other", place / "pictures", **options)
    assert message in refusal(capsys, other)
    assert not (other / "evaluation").exists()


@pytest.mark.slow
@pytest.mark.parametrize("view", ["10-crop", "multi-scale"])
def test_a_mean_image_is_told(place, tmp_path, view):
    run = write_run(tmp_path / "run", place / "pictures", shape=(SIZE, SIZE, 3))
    assert evaluate.main([str(run), "--view", view, "--images", "2"]) == 0
    assert kept(run / "evaluation", view)["networks"][0]["normalization"]["per_pixel"] is True


def test_a_damaged_recipe_is_named(run, capsys):
    (run / "recipe.json").write_text("{")
    assert f"{run / 'recipe.json'}: The recipe must be JSON" in refusal(capsys, run)


@pytest.mark.parametrize("when", ["before", "while it runs"])
def test_damaged_images_are_named_and_nothing_is_kept(place, run, tmp_path, capsys, monkeypatch, when):
    pictures = Path(shutil.copytree(place / "pictures", tmp_path / "pictures"))
    damaged, load = pictures / "validation" / "cat" / "0.png", labelled_images.load

    def damage() -> None:
        content = bytearray(damaged.read_bytes())
        content[60:90] = bytes(30)
        damaged.write_bytes(content)

    def load_and_damage(*arguments, **options):
        data = load(*arguments, **options)
        damage()
        return data

    if when == "before":
        damage()
    else:
        monkeypatch.setattr(labelled_images, "load", load_and_damage)
    assert evaluate.main([str(run), "--data-directory", str(pictures)]) == (2 if when == "before" else 1)
    assert f"{damaged}: damaged" in capsys.readouterr().err
    assert not (run / "evaluation").exists() or list((run / "evaluation").iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "stopped"),
        (
            tf.errors.ResourceExhaustedError(None, None, "OOM"),
            1,
            "error: the device has too little memory: choose smaller",
        ),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory while"), 1, "error: the device has too little memory: choose"),
        (RuntimeError("3 images were evaluated, but the split has 4"), 1, "error: 3 images were evaluated"),
    ],
)
def test_what_stops_an_evaluation_is_said_without_a_traceback(run, capsys, monkeypatch, error, code, said):
    def stop(*arguments):
        raise error

    monkeypatch.setattr("keras_resnet.evaluation.scoring.score", stop)
    assert evaluate.main([str(run)]) == code
    assert said in capsys.readouterr().err
    assert list((run / "evaluation").iterdir()) == []


@pytest.mark.slow
def test_real_photographs_in_every_view(shared_data, tmp_path):
    """1,000 classes and 100 images: the network knows nothing of them."""
    write_network(tmp_path / "model.keras", classes=1000)
    flags = ["--dataset", "imagenet", "--data-directory", str(shared_data / "tfds"), "--output", str(tmp_path)]
    results = []
    for view in ("center", "10-crop", "multi-scale"):
        assert evaluate.main([str(tmp_path / "model.keras"), "--view", view, *flags]) == 0
        results.append(kept(tmp_path, view))
    assert [result["images"] for result in results] == [100] * 3
    assert all(result["top1_error"] > 90 for result in results)
    assert len({result["loss"] for result in results}) == 3
    assert results[2]["protocol"]["shorter_sides"] == [32, 37, 55, 69, 91]


class Stream(io.StringIO):
    def __init__(self, terminal: bool):
        super().__init__()
        self.isatty = lambda: terminal


@pytest.mark.parametrize(
    ("terminal", "expected"),
    [
        (False, ["600 of 1,000 images, 45.5 images/s, 0:09 left"]),
        (
            True,
            [
                "200 of 1,000 images, 100.0 images/s, 0:08 left",
                "600 of 1,000 images, 45.5 images/s, 0:09 left",
                "1,000 of 1,000 images, 75.0 images/s, 0:00 left",
            ],
        ),
    ],
)
def test_progress_is_rewritten_on_a_terminal_and_told_every_ten_seconds_elsewhere(terminal, expected):
    stream, now = Stream(terminal), [0.0]
    progress = ImageProgress(1000, stream, lambda: now[0])
    for now[0], done in ((5.0, 100), (6.0, 200), (16.0, 600), (17.0, 1000)):
        progress(done)
    progress.end()
    assert [line.strip() for line in re.split(r"[\r\n]", stream.getvalue()) if line.strip()] == expected
    assert stream.getvalue().endswith("\r" if terminal else "\n")
