"""From a recipe to a trained network, end to end on real digits."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

import small_trainings
import train
from catalog import RECIPES
from keras_resnet.config.recipe import DataConfig, ModelConfig, Recipe, ScheduleConfig, TrainingConfig
from keras_resnet.config.run import Run
from keras_resnet.data import identity
from keras_resnet.data.datasets import loading
from keras_resnet.data.datasets.loading import Data
from keras_resnet.data.tensorflow.batches import evaluation_batches
from keras_resnet.experiment import build
from keras_resnet.experiment import run as experiment
from keras_resnet.facts import architectures
from keras_resnet.reporting import console
from keras_resnet.runs import lock
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.runs.history import History
from keras_resnet.training.tensorflow import strategies
from stand_ins import stand_in

ROOT = Path(__file__).parents[2]

RECIPE = replace(
    RECIPES["digits-resnet8"],
    data=DataConfig("digits", augmentation=("pad-crop",), padding=1, normalization="per-channel", holdout=137),
    schedule=ScheduleConfig(iterations=60, boundaries=(40,)),
    training=TrainingConfig(global_batch_size=32, log_every=10, validate_every=30),
)


def run(directory: Path, **changes) -> Run:
    return Run(directory=str(directory), iterations_per_call=20, checkpoint_every=20, **changes)


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


class At(keras.callbacks.Callback):
    """Does something after a call."""

    def __init__(self, iteration: int, action):
        super().__init__()
        self.iteration, self.action = iteration, action

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 == self.iteration:
            self.action()


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The directory of a run that nothing disturbed."""
    directory = tmp_path_factory.mktemp("finished")
    assert experiment.train(RECIPE, run(directory)) == 0
    return directory


@pytest.fixture(scope="module")
def digits() -> Data:
    return loading.load("digits", holdout=137)


@pytest.fixture
def shallow(monkeypatch):
    """A network that is traced sooner than a residual one, where only the way of a run matters."""

    def build_network(recipe: Recipe, data: Data) -> keras.Model:
        pixels = keras.Input(data.image_shape, dtype="uint8")
        return small_trainings.shallow(keras.layers.Rescaling(1 / 128, offset=-1, dtype="float32")(pixels))

    monkeypatch.setattr(build, "build_network", build_network)


def test_the_directory_holds_what_was_promised(finished):
    assert {path.name for path in finished.iterdir()} == {
        "recipe.json",
        "environment.json",
        "data.json",
        "history.csv",
        "checkpoints",
        "logs",
        "model.keras",
        "model_card.md",
        "curve.png",
        "result.json",
    }
    assert Recipe.from_json((finished / "recipe.json").read_text()) == RECIPE
    assert (finished / "curve.png").read_bytes().startswith(b"\x89PNG")
    [start] = json.loads((finished / "environment.json").read_text())
    assert (start["per_replica_batch_size"], start["replicas"], start["workers"]) == (32, 1, 1)
    assert start["run"] == run(finished).remembered()
    rows = History(finished / "history.csv").rows()
    assert [row.iteration for row in rows] == [10, 20, 30, 40, 50, 60]
    assert [row.learning_rate for row in rows] == pytest.approx([0.1] * 4 + [0.01] * 2)
    assert rows[-1].training_error < 50, "it has learned something"


def test_the_result_says_what_was_measured_on_what(finished):
    result = json.loads((finished / "result.json").read_text())
    last = History(finished / "history.csv").rows()[-1]
    assert result["recipe"] == "digits-resnet8"
    assert result["fingerprint"] == RECIPE.fingerprint
    assert (result["iterations"], result["schedule_scale"], result["view"]) == (60, 1.0, "whole image")
    assert {name: split["images"] for name, split in result["splits"].items()} == {"validation": 137, "test": 360}
    assert result["splits"]["validation"]["top1_error"] == last.validation_error
    assert result["splits"]["validation"]["loss"] == last.validation_loss
    assert result["class_names"] == list("0123456789")
    assert result["images_per_second"] > 0


@pytest.mark.slow
def test_the_model_is_right_about_the_same_images_in_a_new_process(finished, digits, tmp_path):
    """On images of 0 to 255: what normalizes them is inside."""
    np.savez(tmp_path / "images.npz", **{name: split.images for name, split in digits.splits.items()})
    program = (
        "import sys, numpy, keras, keras_resnet\n"
        "model = keras.saving.load_model(sys.argv[1])\n"
        "images = numpy.load(sys.argv[2])\n"
        "assert not any(f'keras_resnet.{name}' in sys.modules for name in ('experiment.run', 'config.recipe'))\n"
        "numpy.savez(sys.argv[3], **{name: model.predict(images[name], verbose=0) for name in images})\n"
    )
    files = [str(finished / "model.keras"), str(tmp_path / "images.npz"), str(tmp_path / "logits.npz")]
    subprocess.run([sys.executable, "-c", program, *files], check=True, cwd=ROOT, env=os.environ)
    logits = np.load(tmp_path / "logits.npz")
    measured = json.loads((finished / "result.json").read_text())["splits"]
    for name, split in digits.splits.items():
        if name != "train":
            wrong = np.count_nonzero(logits[name].argmax(-1) != split.labels)
            assert wrong == round(measured[name]["top1_error"] * split.size / 100), name


def test_a_finished_run_says_so_and_does_nothing(finished, capsys):
    before = contents(finished)
    assert experiment.train(RECIPE, run(finished, resume=True)) == 0
    told = capsys.readouterr().out
    assert told.startswith("This run is finished.")
    assert all(str(finished / name) in told for name in ("model.keras", "curve.png", "result.json", "history.csv"))
    assert contents(finished) == before


@pytest.mark.parametrize(
    ("recipe", "resume", "told"),
    [
        (replace(RECIPE, model=ModelConfig(depth=8, shortcut="B")), True, r"model\.shortcut: 'A' -> 'B'"),
        (RECIPE, False, "already holds this recipe, finished"),
    ],
)
def test_a_directory_of_another_run_is_refused_and_nothing_changes(finished, recipe, resume, told):
    before = contents(finished)
    with pytest.raises((ValueError, FileExistsError), match=told):
        experiment.train(recipe, run(finished, resume=resume))
    assert contents(finished) == before


def as_version_0_1(recipe: Recipe) -> dict:
    """What it wrote of a recipe of digits."""
    values = json.loads(recipe.to_json())
    values["data"]["augmentation"] = "crop"
    return values


def test_a_finished_run_of_version_0_1_is_this_recipe_s(finished, tmp_path, capsys):
    shutil.copytree(finished, tmp_path / "old")
    (tmp_path / "old" / "recipe.json").write_text(json.dumps(as_version_0_1(RECIPE)))
    before = contents(tmp_path / "old")
    assert experiment.train(RECIPE, run(tmp_path / "old", resume=True)) == 0
    assert capsys.readouterr().out.startswith("This run is finished.")
    assert contents(tmp_path / "old") == before


def test_checkpoints_of_version_0_1_are_this_recipe_s_and_those_of_another_are_not(tmp_path):
    asked = SimpleNamespace(recipe=RECIPE, run=run(tmp_path, resume=True))
    recorded = {name: value for name, value in as_version_0_1(RECIPE).items() if name not in ("name", "description")}
    experiment.Experiment._accept(asked, {"recipe": recorded})
    other = {**recorded, "data": {**recorded["data"], "augmentation": "none"}}
    with pytest.raises(ValueError, match=r"data\.augmentation: \(\) -> \('pad-crop',\)"):
        experiment.Experiment._accept(asked, {"recipe": other})


def test_checkpoints_of_other_images_are_refused_wherever_they_lie(digits, tmp_path):
    images = identity.of(digits)
    of_others = identity.of(replace(digits, test=digits.validation))
    about = {"recipe": RECIPE.hyperparameters()}
    for known in (about, {**about, "data": images}):  # those of earlier versions do not say
        asked = SimpleNamespace(recipe=RECIPE, run=run(tmp_path, resume=True), images=images)
        experiment.Experiment._accept(asked, known)
    with pytest.raises(ValueError, match=r"(?s)the checkpoints was trained on other images.*test: 223 images fewer"):
        experiment.Experiment._accept(SimpleNamespace(**vars(asked) | {"images": of_others}), known)
    accepting = run(tmp_path, resume=True, accept_changes=True)
    experiment.Experiment._accept(SimpleNamespace(recipe=RECIPE, run=accepting, images=of_others), known)


@dataclass
class OneOfThree:
    """A process of three, in which the chief and another one have done the same before."""

    is_chief: bool
    sent: list[bytes]
    differs: bool
    count = 3

    def broadcast(self, message: bytes | None) -> bytes:
        if self.is_chief:
            self.sent.append(message)
            return message
        return self.sent.pop(0)

    def maximum(self, values):
        return [max(float(self.differs), *values)]


@pytest.mark.parametrize("one_differs", [False, True])
def test_all_workers_have_the_images_of_the_chief_or_none_begins(digits, tmp_path, one_differs):
    of_chief, of_other = (identity.of(data) for data in (digits, replace(digits, test=digits.validation)))
    directory, asked, sent = RunDirectory(tmp_path / "run"), run(tmp_path), []
    refusals = []
    for is_chief, images in ((True, of_chief), (False, of_other if one_differs else of_chief)):
        try:
            experiment.check_images(directory, images, asked, OneOfThree(is_chief, sent, one_differs))
        except ValueError as error:
            refusals.append(str(error))
    assert sent == []
    if one_differs:
        assert refusals == [
            "all workers must have the images of worker 0. Another says what differs",
            "this worker must have the images of worker 0, in its `data_directory`. What differs:\n"
            "  test: 223 images fewer (360 -> 137)\n"
            f"  test: other images in {refusals[1].rpartition('other images in ')[2]}",
        ]
    assert bool(refusals) == one_differs


OTHER = replace(RECIPE, optimizer=replace(RECIPE.optimizer, momentum=0.8))


@pytest.mark.parametrize(
    ("recipe", "changes", "listed"),
    [
        (RECIPE, {"strategy": "multi_process", "join_timeout": 1.0, "cache": "encoded", "keep_checkpoints": 9}, []),
        (OTHER, {}, ["optimizer.momentum: 0.9 -> 0.8"]),
        (RECIPE, {"iterations_per_call": 7}, ["iterations_per_call: 20 -> 7"]),
        (RECIPE, {"checkpoint_every": 6}, ["checkpoint_every: 10 -> 6"]),
        (OTHER, {"resume": True}, ["optimizer.momentum: 0.9 -> 0.8", "resume: False -> True"]),
        (RECIPE, {"resume": True, "accept_changes": True}, ["resume: False -> True", "accept_changes: False -> True"]),
    ],
)
def test_all_workers_have_the_recipe_and_the_run_of_the_chief_or_none_begins(tmp_path, recipe, changes, listed):
    of_chief = replace(run(tmp_path), iterations_per_call=20, checkpoint_every=10)
    sent, refusals = [], []
    for is_chief, words in ((True, (RECIPE, of_chief)), (False, (recipe, replace(of_chief, **changes)))):
        try:
            experiment.check_same(*words, OneOfThree(is_chief, sent, bool(listed)))
        except ValueError as error:
            refusals.append(str(error).splitlines())
    assert sent == []
    if listed:
        assert refusals == [
            ["all workers must have the recipe and the run of worker 0. Another says what differs"],
            [
                "this worker must have the recipe and the run of worker 0. What differs:",
                *(f"  {change}" for change in listed),
            ],
        ]
    assert bool(refusals) == bool(listed)


@pytest.mark.slow
def test_a_directory_that_another_process_trains_in_is_left_alone(tmp_path, monkeypatch):
    """Also where both began at once, before there was a recipe in it."""
    monkeypatch.setattr(experiment, "prepare", lambda *_: SimpleNamespace(begin=lambda _: pytest.fail("it began")))
    run = Run(directory=str(tmp_path / "run"))
    with lock.writing(tmp_path / "run"):
        with pytest.raises(BlockingIOError, match="is being trained by process"):
            experiment.train(RECIPES["digits-resnet8"], run)
        assert [file.name for file in (tmp_path / "run").iterdir()] == [lock.NAME]


def test_a_run_that_ctrl_c_stopped_is_resumed_to_the_same_record_and_result(finished, tmp_path, capsys):
    directory = RunDirectory(tmp_path / "run")
    stop = At(30, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert experiment.train(RECIPE, run(directory.path), [stop]) == experiment.INTERRUPTED == 130
    told = capsys.readouterr().out
    assert f"stopped after iteration 30. To continue: {console.command(directory)}\n" in told
    assert not (directory.path / "result.json").exists() and not (directory.path / "model.keras").exists()
    assert experiment.train(RECIPE, run(directory.path, resume=True)) == 0
    assert "continues after iteration 30" in capsys.readouterr().out
    assert (directory.path / "history.csv").read_bytes() == (finished / "history.csv").read_bytes()
    result, expected = (json.loads((path / "result.json").read_text()) for path in (directory.path, finished))
    assert {**result, "images_per_second": 0} == {**expected, "images_per_second": 0}
    assert len(json.loads((directory.path / "environment.json").read_text())) == 2


def test_a_run_that_diverges_says_so_and_leaves_no_result(shallow, tmp_path, capsys):
    recipe = replace(RECIPE, schedule=ScheduleConfig(learning_rate=1e38, iterations=60, boundaries=(40,)))
    assert experiment.train(recipe, run(tmp_path)) == experiment.DIVERGED == 3
    assert "error: the loss of iteration 1 is nan. No checkpoint has been written yet." in capsys.readouterr().out
    assert not {"result.json", "model.keras", "curve.png", "checkpoints"} & {path.name for path in tmp_path.iterdir()}


def test_a_run_without_tensorboard_says_so_and_goes_on(shallow, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    recipe = replace(RECIPE, schedule=ScheduleConfig(learning_rate=1e38, iterations=60, boundaries=(40,)))
    assert experiment.train(recipe, run(tmp_path)) == experiment.DIVERGED
    assert capsys.readouterr().out.count("there will be no logs for it (pip install tensorboard)") == 1
    assert not (tmp_path / "logs").exists()


def test_a_batch_that_the_replicas_do_not_divide_is_refused_before_anything_is_written(
    tmp_path, monkeypatch, two_devices
):
    monkeypatch.setitem(strategies.STRATEGIES, "one_device", lambda *_: two_devices)
    recipe = replace(RECIPE, training=TrainingConfig(global_batch_size=33))
    with pytest.raises(ValueError, match="must be a multiple of the 2 replicas. Received: global_batch_size=33"):
        experiment.train(recipe, run(tmp_path / "run"))
    recipe = replace(RECIPE, training=TrainingConfig(global_batch_size=36, accumulation=12))
    with pytest.raises(ValueError, match="the 2 replicas, times 12 parts of the accumulation"):
        experiment.train(recipe, run(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_data_that_is_not_there_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"cifar10 is not in .* another `data_directory`"):
        experiment.train(RECIPES["cifar10-resnet20"], run(tmp_path / "run", data_directory=str(tmp_path)))
    assert not (tmp_path / "run").exists()


FOLDER = Recipe(
    "pictures",
    "",
    ModelConfig(depth=8),
    DataConfig("folder", augmentation=("random-resized-crop", "flip"), normalization="per-channel", image_size=16),
    schedule=ScheduleConfig(iterations=6, boundaries=()),
    training=TrainingConfig(global_batch_size=4, log_every=3, validate_every=3),
)


@pytest.fixture
def pictures(tmp_path) -> Path:
    """A directory with six training and two validation pictures of each of two classes."""
    noise = np.random.default_rng(0)
    for name, count in {"train": 6, "validation": 2}.items():
        for animal in ("cat", "dog"):
            (folder := tmp_path / "pictures" / name / animal).mkdir(parents=True)
            for index in range(count):
                image = tf.constant(noise.integers(0, 256, (20, 24, 3), np.uint8))
                (folder / f"{index}.png").write_bytes(tf.io.encode_png(image).numpy())
    return tmp_path / "pictures"


def damage(path: Path) -> None:
    """Flips a byte in the middle: both ends of the file are whole."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def test_a_folder_of_pictures_trains(shallow, pictures, tmp_path):
    assert experiment.train(FOLDER, run(tmp_path / "run", data_directory=str(pictures))) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["class_names"] == ["cat", "dog"]
    assert result["splits"]["validation"]["images"] == 4


def test_a_run_is_not_continued_with_other_pictures_unless_that_is_accepted(shallow, pictures, tmp_path, capsys):
    asked = run(tmp_path / "run", data_directory=str(pictures))
    stop = At(3, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert experiment.train(FOLDER, asked, [stop]) == experiment.INTERRUPTED
    (pictures / "train" / "cat" / "0.png").unlink()
    for split in ("train", "validation"):
        cat, dog, x = (pictures / split / name for name in ("cat", "dog", "x"))
        for one, other in ((cat, x), (dog, cat), (x, dog)):
            one.rename(other)
    before = contents(tmp_path / "run")
    with pytest.raises(ValueError, match="was trained on other images") as refusal:
        experiment.train(FOLDER, replace(asked, resume=True))
    assert str(refusal.value).splitlines()[1:] == [
        "  train: 1 image fewer (12 -> 11)",
        "  train: other images in cat, dog (6 -> 5)",
        "  validation: the classes cat and dog are swapped",
    ]
    assert contents(tmp_path / "run") == before
    assert experiment.train(FOLDER, replace(asked, resume=True, accept_changes=True)) == 0
    assert "continues after iteration 3" in capsys.readouterr().out
    assert RunDirectory(tmp_path / "run").starts()[1]["changes"][0] == "train: 1 image fewer (12 -> 11)"


@pytest.mark.parametrize("keep", ["last", "best"])
def test_the_network_that_is_asked_for_is_measured_and_kept(shallow, digits, tmp_path, capsys, keep):
    training = replace(RECIPE.training, validate_every=10, keep=keep)
    recipe = replace(RECIPE, training=training, schedule=ScheduleConfig(iterations=40, boundaries=(25,), factor=1e-6))
    forget = At(30, lambda: forget.model.get_layer("predictions").kernel.assign(np.zeros((64, 10))))
    assert experiment.train(recipe, run(tmp_path / "run"), [forget]) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    best, error = result["best_iteration"], result["splits"]["validation"]["top1_error"]
    assert result["iterations"] == 40 and best < 30
    assert result["kept_iteration"] == (best if keep == "best" else 40)
    if keep == "best":
        assert error == result["best_validation_error"]
        assert f"iteration {best} is kept, of the smallest validation error" in capsys.readouterr().out
    logits = keras.saving.load_model(tmp_path / "run" / "model.keras").predict(digits.validation.images, verbose=0)
    assert np.count_nonzero(logits.argmax(-1) != digits.validation.labels) == round(error * 137 / 100)


def test_a_training_picture_that_is_damaged_is_named_before_anything_is_written(pictures, tmp_path):
    damage(pictures / "train" / "cat" / "1.png")
    with pytest.raises(ValueError, match="1 of 16 images cannot be used") as error:
        experiment.train(FOLDER, run(tmp_path / "run", data_directory=str(pictures)))
    assert f"{pictures / 'train' / 'cat' / '1.png'}: damaged" in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_picture_that_is_damaged_during_training_is_named(pictures, tmp_path, capsys):
    at = At(3, lambda: damage(pictures / "validation" / "dog" / "0.png"))
    asked = run(tmp_path / "run", data_directory=str(pictures))
    assert experiment.train(FOLDER, asked, [at]) == experiment.FAILED == 1
    told = capsys.readouterr().out
    assert "error: 1 of 16 images cannot be used" in told
    assert f"{pictures / 'validation' / 'dog' / '0.png'}: damaged" in told
    assert not (tmp_path / "run" / "result.json").exists()


def test_every_exit_status_is_documented():
    for status in (experiment.FAILED, experiment.DIVERGED, experiment.AGAIN, experiment.INTERRUPTED):
        assert re.search(rf"\b{status} \w", train.__doc__), status


@pytest.mark.slow
@pytest.mark.timeout(1200)  # ResNet-1202
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_two_iterations_and_is_measured(name, tmp_path, request, monkeypatch):
    """The network at its full depth, on a few images: real ones where there are some, small photographs mostly."""
    recipe = RECIPES[name]
    directory = None
    if recipe.data.dataset in ("cifar10", "imagenet"):
        directory = request.getfixturevalue("shared_data") / "tfds"
    elif recipe.data.dataset == "folder":
        directory = request.getfixturevalue("pictures")
    small = recipe.data.dataset == "imagenet" and name != "imagenet-resnet50"
    normalized = recipe.training.normalization_batch_size and 2
    recipe = replace(
        recipe,
        data=replace(recipe.data, image_size=64) if small else recipe.data,
        schedule=replace(recipe.schedule, iterations=2, boundaries=(), warmup_iterations=0, warmup_learning_rate=0.0),
        training=replace(
            recipe.training,
            global_batch_size=4,
            normalization_batch_size=normalized,
            precise_statistics=min(recipe.training.precise_statistics, 4),
        ),
    )
    load = build.load_data

    def few(recipe: Recipe, run: Run, tell: loading.Tell) -> Data:
        if recipe.data.dataset == "cifar100":  # no copy lies beside the repository
            return stand_in(recipe)
        data = load(recipe, run, tell)
        return replace(data, train=data.train.part(0, 50), validation=data.validation.part(0, 6))

    monkeypatch.setattr(build, "load_data", few)
    asked = Run(directory=str(tmp_path / "run"), data_directory=str(directory) if directory else None)
    assert experiment.train(recipe, asked) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["splits"]["validation"]["images"] > 0
    row = History(tmp_path / "run" / "history.csv").rows()[-1]
    assert row.iteration == 2 and row.loss > 0
    model = keras.saving.load_model(tmp_path / "run" / "model.keras")
    counts = architectures.count(
        recipe.model.architecture,
        shortcut=recipe.model.shortcut,
        input_shape=model.input_shape[1:],
        classes=len(result["class_names"]),
    )
    assert model.count_params() == counts.total


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_imagenet_recipe_learns_fifty_photographs_by_heart(shared_data, tmp_path):
    """The whole path, from a JPEG in a shard to a gradient and back to the classes of the saved network."""
    recipe = RECIPES["imagenet-resnet50"]
    recipe = replace(
        recipe,
        data=replace(recipe.data, holdout=150, image_size=64, augmentation=()),
        schedule=ScheduleConfig("steps", learning_rate=0.02, iterations=60, boundaries=(25,)),
        training=TrainingConfig(global_batch_size=50, precise_statistics=50, log_every=2, validate_every=60),
    )
    asked = Run(directory=str(tmp_path), data_directory=str(shared_data / "tfds"))
    assert experiment.train(recipe, asked) == 0
    last = History(tmp_path / "history.csv").rows()[-1]
    assert last.loss < 0.1 and last.training_error == 0

    train = loading.load("imagenet", asked.data_directory, holdout=150, image_size=64).train
    [(images, labels)] = evaluation_batches(train, batch_size=50).as_numpy_iterator()
    model = keras.saving.load_model(tmp_path / "model.keras")
    assert (model.predict(images, verbose=0).argmax(-1) == labels).mean() > 0.9
