"""Which runs there are for a study, and what is left to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

import reproduce
from catalog import RECIPES
from cli import recipe_line
from invented_runs import invented_run
from keras_resnet.reproduction import plan
from keras_resnet.reproduction.items import ITEMS, attempts
from keras_resnet.reproduction.known_runs import find_runs
from keras_resnet.runs.history import Row

RECIPE = RECIPES["cifar10-resnet20"]
SCALED = replace(RECIPE, schedule=replace(RECIPE.schedule, scale=0.125))
OTHERS = {
    "scale": SCALED,
    "seed": replace(RECIPE, training=replace(RECIPE.training, seed=1)),
    "holdout": replace(RECIPE, data=replace(RECIPE.data, holdout=5000)),
    "precision": replace(RECIPE, training=replace(RECIPE.training, precision="mixed_bfloat16")),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_run_of_another_recipe_is_never_taken_even_under_the_right_name(tmp_path, other):
    path = tmp_path / f"{RECIPE.name}-{RECIPE.fingerprint}"
    invented_run(path, OTHERS[other])
    needed = plan.training(RECIPE, find_runs(tmp_path), tmp_path)
    assert (needed.finished, needed.iteration) == (False, 0)
    assert reproduce.training_words(needed)[-3:] == ["--run.directory", str(path), "--run.resume"], (
        "refused by the training"
    )


def test_a_run_is_found_by_its_recipe_whatever_its_directory_is_called(tmp_path):
    invented_run(tmp_path / "a-unfinished", RECIPE, None)
    run = invented_run(tmp_path / "b-finished", replace(RECIPE, name="renamed", description="and described anew"))
    invented_run(tmp_path / "c-again", RECIPE, 99.0)
    needed = plan.training(RECIPE, find_runs(tmp_path), tmp_path)
    assert needed.finished and needed.directory == run and needed.seconds == 0


def test_a_run_is_found_whatever_fingerprint_another_version_gave_it(tmp_path):
    invented_run(tmp_path / "run", RECIPE, fingerprint="0" * 12)
    assert plan.training(RECIPE, find_runs(tmp_path), tmp_path).finished


def test_a_run_whose_recipe_cannot_be_read_is_named(tmp_path):
    run = invented_run(tmp_path / "run", RECIPE)
    run.recipe.write_text('{"name": ')
    runs = find_runs(tmp_path)
    assert runs.every == ()
    assert runs.unreadable[0].startswith(f"{run.recipe}: The recipe must be JSON")


def test_the_time_left_is_that_of_the_images_left_at_the_median_speed_of_the_same_network(tmp_path):
    for place, speed in enumerate((10.0, 64.0, 999.0)):
        # Seed, scale and held-out images leave the work of an image as it is.
        kin = replace(
            SCALED, data=replace(RECIPE.data, holdout=5000), training=replace(RECIPE.training, seed=7 + place)
        )
        invented_run(tmp_path / str(place), kin, speed=speed)
    invented_run(tmp_path / "deeper", RECIPES["cifar10-resnet32"], speed=1.0)
    invented_run(tmp_path / "other precision", OTHERS["precision"], speed=1.0)
    unfinished = invented_run(tmp_path / "unfinished", RECIPE, None, rows=[Row(100, 0.1), Row(1000, 0.1)])
    without = plan.training(RECIPE, find_runs(tmp_path), tmp_path)
    assert (without.directory, without.iteration) == (unfinished, 0), "without a checkpoint it starts over"
    unfinished.checkpoints.mkdir()
    (unfinished.checkpoints / "ckpt-1000.npz").touch()
    needed = plan.training(RECIPE, find_runs(tmp_path), tmp_path)
    assert (needed.directory, needed.iteration) == (unfinished, 1000)
    assert needed.seconds == 63_000 * 128 / 64
    assert plan.training(RECIPES["cifar10-resnet44"], find_runs(tmp_path), tmp_path).seconds is None
    unfinished.history.unlink()
    assert plan.training(RECIPE, find_runs(tmp_path), tmp_path).iteration == 1000, "a checkpoint tells it as well"


def test_the_command_line_trains_the_recipe_that_was_asked_for(tmp_path):
    """Each recipe of any item once."""
    every = (
        attempt
        for item in ITEMS.values()
        for row in item.rows
        for attempt in attempts(item, row, RECIPES, seeds=2, scale=0.01, precision="mixed_float16")
    )
    trainings = plan.trainings(every, find_runs(tmp_path), tmp_path)
    assert len(trainings) > 30
    for needed in trainings:
        recipe, run = recipe_line.read(reproduce.training_words(needed), "")
        assert recipe.fingerprint == needed.recipe.fingerprint
        assert run.resume and run.directory == str(needed.directory.path)


def test_a_run_that_has_begun_is_continued_as_it_was_started(tmp_path):
    run = invented_run(tmp_path / "mine", RECIPE, None)
    assert reproduce.training_words(plan.training(RECIPE, find_runs(tmp_path), tmp_path)) == [str(run.path)]


def test_networks_that_are_needed_twice_are_trained_once(tmp_path):
    assert len(plan.trainings([(RECIPE,), (RECIPE, SCALED)], find_runs(tmp_path), tmp_path)) == 2


def test_what_is_measured_later_lies_with_the_run_or_in_a_directory_of_the_ensemble(tmp_path):
    runs = find_runs(tmp_path)
    assert plan.measurement(ITEMS["table6"], (RECIPE,), runs, tmp_path) is None
    one = RECIPES["imagenet-resnet50"]
    single = plan.measurement(ITEMS["table3"], (one,), runs, tmp_path)
    path = tmp_path / f"imagenet-resnet50-{one.fingerprint}"
    assert reproduce.evaluation_words(single) == [str(path), "--view", "10-crop", "--output", str(path / "evaluation")]
    assert single.file == path / "evaluation" / "result-10-crop.json"
    other = RECIPES["imagenet-resnet101"]
    together = plan.measurement(ITEMS["table5"], (one, other), runs, tmp_path)
    assert reproduce.evaluation_words(together)[:4] == [
        str(path),
        "--ensemble",
        str(together.members[1].path),
        "--view",
    ]
    assert together.directory.parent == tmp_path and together.directory.name.startswith("ensemble-")
    assert not single.trained and not together.trained
    invented_run(path, other)
    assert not plan.measurement(ITEMS["table3"], (one,), find_runs(tmp_path), tmp_path).trained, "of another recipe"
    invented_run(tmp_path / "one", one)
    assert plan.measurement(ITEMS["table3"], (one,), find_runs(tmp_path), tmp_path).trained
    swapped = plan.measurement(ITEMS["table5"], (one, RECIPES["imagenet-resnet152"]), runs, tmp_path)
    assert swapped.directory != together.directory
