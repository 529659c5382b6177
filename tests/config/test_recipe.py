from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import get_args

import pytest

from keras_resnet.config import recipe
from keras_resnet.config.recipe import DataConfig, ModelConfig, OptimizerConfig, Recipe, ScheduleConfig, TrainingConfig
from keras_resnet.config.run import Run
from keras_resnet.facts import architectures
from keras_resnet.facts.datasets import DATASETS

RECIPE = Recipe("cifar10-resnet20", "A test")


def message(kind, **values) -> str:
    with pytest.raises(ValueError, match="Received: ") as error:
        kind(**values)
    return str(error.value)


@pytest.mark.parametrize("kind", [ModelConfig, DataConfig, OptimizerConfig, ScheduleConfig, TrainingConfig, Run])
def test_every_field_refuses_a_value_of_no_type_that_it_knows(kind):
    for each in fields(kind):
        assert f"`{each.name}` must be" in message(kind, **{each.name: object()})


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (ModelConfig, {"depth": 21}, "`depth` must be 6n+2 (20, 32, 44, 56, 110, 1202, …) with basic blocks"),
        (ModelConfig, {"depth": 32, "block": "bottleneck"}, "`depth` must be 9n+2"),
        (ModelConfig, {"family": "imagenet", "depth": 20}, "`depth` must be one of 18, 34, 50, 101, 152"),
        (ModelConfig, {"family": "imagenet", "depth": 18, "block": "bottleneck"}, "`block` must be 'basic' in an"),
        (ModelConfig, {"shortcut": "D"}, "`shortcut` must be one of 'A', 'B', 'C', None. Received: shortcut='D'"),
        (ModelConfig, {"space_to_depth": True}, "`space_to_depth` must be False with family='cifar'"),
        (ModelConfig, {"block": "botleneck"}, "Did you mean 'bottleneck'?"),
        (DataConfig, {"dataset": "cifar01"}, "Did you mean 'cifar10'?"),
        (DataConfig, {"holdout": -1}, "`holdout` must be at least 0"),
        (DataConfig, {"holdout": 50_000}, "`holdout` must be below the 50000 training images of cifar10"),
        (DataConfig, {"padding": -1}, "`padding` must be at least 0"),
        (DataConfig, {"augmentation": "crop-flip"}, "`augmentation` must be a list of 'pad-crop', 'random-scale-crop'"),
        (DataConfig, {"augmentation": ("pad-crop", "flop")}, "'flop'). Did you mean 'flip'?"),
        (DataConfig, {"augmentation": ("flip", "pad-crop")}, "without repetition, in the order pad-crop, flip. Receiv"),
        (DataConfig, {"augmentation": ("color-noise",)}, "operations for fixed-size images, any of pad-crop, flip. Re"),
        (DataConfig, {"dataset": "folder", "image_size": 8}, "operations for encoded images, any of random-scale-crop"),
        (DataConfig, {"image_size": 32}, "`image_size` must be None with dataset='cifar10'"),
        (DataConfig, {"dataset": "folder"}, "`image_size` must be positive with dataset='folder', such as 224"),
        (DataConfig, {"dataset": "folder", "image_size": 0}, "`image_size` must be positive"),
        (OptimizerConfig, {"momentum": 1.0}, "`momentum` must be at least 0 and below 1"),
        (OptimizerConfig, {"weight_decay": -1e-4}, "`weight_decay` must be at least 0"),
        (OptimizerConfig, {"momentum": 0, "nesterov": True}, "`momentum` must be positive with nesterov=True"),
        (OptimizerConfig, {"global_clipnorm": 0}, "`global_clipnorm` must be positive"),
        (OptimizerConfig, {"global_clipnorm": -1.0}, "`global_clipnorm` must be positive"),
        (OptimizerConfig, {"ema_momentum": 1}, "`ema_momentum` must be at least 0 and below 1"),
        (OptimizerConfig, {"ema_momentum": -0.1}, "`ema_momentum` must be at least 0 and below 1"),
        (ScheduleConfig, {"learning_rate": 0}, "`learning_rate` must be positive"),
        (ScheduleConfig, {"iterations": 0}, "`iterations` must be positive"),
        (ScheduleConfig, {"patience": 0}, "`patience` must be positive"),
        (ScheduleConfig, {"gate_learning_rate": -1}, "`gate_learning_rate` must be positive"),
        (ScheduleConfig, {"gate_error": 101}, "`gate_error` must be above 0 and at most 100 percent"),
        (ScheduleConfig, {"factor": 1.0}, "`factor` must be above 0 and below 1"),
        (ScheduleConfig, {"scale": -1.0}, "`scale` must be positive"),
        (ScheduleConfig, {"scale": 1e-6}, "`scale` must be large enough to leave one of the 64000 iterations"),
        (ScheduleConfig, {"scale": 2e-5}, "`scaled_boundaries` must be increasing"),
        (ScheduleConfig, {"boundaries": (48_000, 32_000)}, "`boundaries` must be increasing"),
        (ScheduleConfig, {"boundaries": (0, 32_000)}, "`boundaries` must be increasing, above 0"),
        (ScheduleConfig, {"boundaries": (64_000,)}, "below the 64000 iterations"),
        (ScheduleConfig, {"iterations": 8000}, "To shorten or stretch everything together, set `scale`"),
        (ScheduleConfig, {"warmup_iterations": 64_000}, "`warmup_iterations` must be at least 0 and below iterations="),
        (ScheduleConfig, {"warmup_learning_rate": 0.1}, "`warmup_learning_rate` must be at least 0 and below learning"),
        (ScheduleConfig, {"warmup_learning_rate": 0.01}, "`warmup_learning_rate` must be 0 without warmup_iterations"),
        (ScheduleConfig, {"power": 0.0}, "`power` must be positive"),
        (OptimizerConfig, {"trust_coefficient": 0.0}, "`trust_coefficient` must be positive"),
        (ScheduleConfig, {"name": "error-gate", "warmup_iterations": 5}, "0 with name='error-gate'"),
        (TrainingConfig, {"global_batch_size": 0}, "`global_batch_size` must be positive"),
        (TrainingConfig, {"log_every": 0}, "`log_every` must be positive"),
        (TrainingConfig, {"validate_every": -5}, "`validate_every` must be positive"),
        (TrainingConfig, {"seed": -1}, "`seed` must be at least 0"),
        (TrainingConfig, {"seed": 2**31}, "`seed` must be at least 0 and below 2**31"),
        (TrainingConfig, {"accumulation": 0}, "`accumulation` must be positive"),
        (TrainingConfig, {"accumulation": 3}, "`accumulation` must be a divisor of global_batch_size=128"),
        (TrainingConfig, {"normalization_batch_size": 0}, "`normalization_batch_size` must be a divisor of 128"),
        (TrainingConfig, {"normalization_batch_size": -64}, "`normalization_batch_size` must be a divisor of 128"),
        (TrainingConfig, {"normalization_batch_size": 48}, "a divisor of 128, the images of an iteration. Received"),
        (TrainingConfig, {"normalization_batch_size": 256}, "`normalization_batch_size` must be a divisor of 128"),
        (
            TrainingConfig,
            {"normalization_batch_size": 64, "accumulation": 4},
            "must be a divisor of 32, the images of an iteration in each of 4 parts. Received",
        ),
        (
            Run,
            {"strategy": "miror"},
            "`strategy` must be one of 'one_device', 'mirrored', 'multi_worker', 'multi_process', 'tpu', 'auto'",
        ),
        (Run, {"strategy": "mirrored", "replicas": 0}, "`replicas` must be positive"),
        *[
            (Run, {"strategy": word, "replicas": 2}, f"`replicas` must be None with strategy='{word}'")
            for word in ("one_device", "multi_worker", "multi_process", "tpu", "auto")
        ],
        (Run, {"accept_changes": True}, "`accept_changes` must be False without resume=True"),
        (Run, {"join_timeout": 0}, "`join_timeout` must be positive"),
        (Run, {"checkpoint_timeout": 0}, "`checkpoint_timeout` must be positive"),
        (Run, {"iterations_per_call": 0}, "`iterations_per_call` must be positive"),
        (Run, {"checkpoint_every": 0}, "`checkpoint_every` must be positive"),
        (Run, {"keep_checkpoints": 0}, "`keep_checkpoints` must be positive"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_its_name_and_rule(kind, values, expected):
    assert expected in message(kind, **values)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (OptimizerConfig, {"global_clipnorm": 1, "ema_momentum": 0.9999}),
        (OptimizerConfig, {"ema_momentum": 0}),
        (TrainingConfig, {"accumulation": 128, "normalization_batch_size": 1}),
        (TrainingConfig, {"accumulation": 4, "normalization_batch_size": 32}),
        (TrainingConfig, {"normalization_batch_size": 128}),
        (Run, {"strategy": "mirrored", "replicas": 1}),
        (Run, {"accept_changes": True, "resume": True}),
    ],
)
def test_values_at_the_edges_of_what_makes_sense_are_kept(kind, values):
    config = kind(**values)
    assert {name: getattr(config, name) for name in values} == values


@pytest.mark.parametrize("name", ["cosine", "plateau"])
def test_boundaries_matter_only_where_they_are_read(name):
    assert ScheduleConfig(name, iterations=1000).scaled_iterations == 1000


def test_a_scale_moves_everything_that_is_counted_in_iterations():
    schedule = ScheduleConfig(warmup_iterations=400, scale=0.125)
    assert schedule.scaled_iterations == 8000
    assert schedule.scaled_boundaries == (4000, 6000)
    assert schedule.scaled_warmup_iterations == 50
    assert schedule.boundaries == (32_000, 48_000)


def test_the_architecture_is_that_of_the_family():
    assert ModelConfig("imagenet", 50).architecture == architectures.imagenet(50)
    assert ModelConfig(depth=29, block="bottleneck").architecture == architectures.cifar(29, "bottleneck")


@pytest.mark.parametrize(("family", "depth"), [("imagenet", 18), ("cifar", 20)])
def test_images_smaller_than_the_strides_are_refused(family, depth):
    model = ModelConfig(family, depth)
    smallest = model.architecture.strides
    Recipe("fits", "", model, DataConfig("folder", augmentation=(), image_size=smallest))
    expected = f"at least {smallest} pixels with family='{family}'. Received: dataset='folder', {smallest - 1} pixels"
    assert expected in message(
        Recipe,
        name="small",
        description="",
        model=model,
        data=DataConfig("folder", augmentation=(), image_size=smallest - 1),
    )


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "two words", "line\n"])
def test_a_name_that_cannot_be_part_of_a_directory_is_refused(name):
    assert "`name` must be letters" in message(Recipe, name=name, description="")


def test_a_config_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        RECIPE.model.depth = 32


@pytest.mark.parametrize(
    "recipe",
    [
        RECIPE,
        replace(RECIPE, model=ModelConfig(shortcut=None, remat=True), description="Größe, “quoted”"),
        replace(RECIPE, schedule=ScheduleConfig("cosine", boundaries=(), learning_rate=1 / 3)),
        replace(RECIPE, data=DataConfig("folder", augmentation=(), image_size=224), training=TrainingConfig(seed=7)),
    ],
)
def test_a_recipe_survives_json(recipe):
    again = Recipe.from_json(recipe.to_json())
    assert again == recipe
    assert again.fingerprint == recipe.fingerprint


def test_the_fingerprint_forgets_name_and_description_and_nothing_else():
    assert replace(RECIPE, name="other", description="other").fingerprint == RECIPE.fingerprint
    changes = [
        replace(RECIPE, **{section: replace(getattr(RECIPE, section), **change)})
        for section, change in [
            ("model", {"shortcut": "B"}),
            ("data", {"holdout": 5000}),
            ("optimizer", {"nesterov": True}),
            ("schedule", {"scale": 0.5}),
            ("training", {"seed": 1}),
            ("optimizer", {"global_clipnorm": 1.0}),
            ("optimizer", {"ema_momentum": 0.9}),
            ("training", {"normalization_batch_size": 64}),
            ("training", {"accumulation": 2}),
            ("data", {"augmentation": ("pad-crop",)}),
        ]
    ]
    assert len({recipe.fingerprint for recipe in [RECIPE, *changes]}) == 1 + len(changes)


def test_the_fingerprint_covers_what_differs_from_the_defaults():
    """A new field with a default changes no fingerprint: it is in none. A change here moves old runs."""
    recipe = replace(RECIPE, model=ModelConfig(depth=56), training=TrainingConfig(seed=1))
    assert recipe.changes() == {"model": {"depth": 56}, "training": {"seed": 1}}
    assert recipe.fingerprint == "70d2a0390938"
    assert RECIPE.changes() == {}
    assert RECIPE.fingerprint == hashlib.sha256(b"{}").hexdigest()[:12]


def test_a_value_equal_to_its_default_may_be_written_or_not():
    written = Recipe.from_json(json.dumps({"name": "x", "model": {"depth": 20}, "schedule": {"power": 2}}))
    assert written == Recipe.from_json('{"name": "x"}') == Recipe("x")
    assert written.fingerprint == RECIPE.fingerprint


def test_a_number_has_one_spelling_in_the_fingerprint():
    whole, decimal = (replace(RECIPE, schedule=ScheduleConfig(scale=scale)) for scale in (1, 1.0))
    assert whole.fingerprint == decimal.fingerprint
    listed = replace(RECIPE, schedule=ScheduleConfig(boundaries=[32_000, 48_000]))
    assert listed == RECIPE
    assert hash(listed) == hash(RECIPE)


def test_differences_name_what_changed_and_in_which_direction():
    other = replace(RECIPE, name="other", model=ModelConfig(shortcut=None), training=TrainingConfig(seed=3))
    assert RECIPE.differences(other) == ["model.shortcut: 'A' -> None", "training.seed: 0 -> 3"]
    assert RECIPE.differences(RECIPE) == []


def edited(**sections) -> str:
    values = json.loads(RECIPE.to_json())
    for section, change in sections.items():
        values[section] = {**values[section], **change} if isinstance(change, dict) else change
    return json.dumps(values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "The recipe must be JSON."),
        ('{"name": "x",', "The recipe must be JSON."),
        ("[" * 100_000, "The recipe must be JSON."),
        ("[]", "`recipe` must be an object with the keys name, description, model"),
        ("{}", "The recipe lacks `name`."),
        ('{"name": "x", "colour": 1}', "`colour` is no key of a recipe. The keys are name, description, model"),
        (edited(model={"shortcutt": "B"}), "`model.shortcutt` is no key of a recipe. Did you mean 'model.shortcut'?"),
        (edited(model=[20]), "`model` must be an object with the keys model.family, model.depth"),
        (edited(model={"depth": "20"}), "`depth` must be a whole number. Received: depth='20'"),
        (edited(model={"depth": 21}), "`depth` must be 6n+2"),
        (edited(schedule={"learning_rate": float("nan")}), "`learning_rate` must be a finite number"),
        (edited(schedule={"boundaries": "soon"}), "`boundaries` must be a list of whole numbers"),
        (edited(name=3), "`name` must be text"),
    ],
)
def test_json_of_something_else_is_refused(text, expected):
    with pytest.raises(ValueError, match=re.escape(expected)):
        Recipe.from_json(text)


def test_an_absent_key_has_its_default():
    values = json.loads(replace(RECIPE, training=TrainingConfig(seed=3, log_every=7)).to_json())
    del values["training"]["seed"], values["data"], values["description"]
    assert Recipe.from_dict(values) == Recipe("cifar10-resnet20", training=TrainingConfig(log_every=7))


def test_a_recipe_is_read_from_a_file_which_is_named_where_it_is_wrong(tmp_path):
    file = tmp_path / "recipe.json"
    file.write_text(Recipe("mine", "").to_json(), encoding="utf-8")
    assert Recipe.read(file) == Recipe("mine", "")
    for content in (b"{", b"\xff", b"{}"):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=f"^{re.escape(str(file))}: "):
            Recipe.read(file)


def test_a_run_lies_in_a_directory_named_after_its_recipe_unless_told_otherwise():
    assert str(Run().directory_for(RECIPE)) == f"runs/cifar10-resnet20-{RECIPE.fingerprint}"
    assert str(Run(directory="elsewhere").directory_for(RECIPE)) == "elsewhere"


FOLDER = Recipe("pets", data=DataConfig("folder", augmentation=(), image_size=224))


def test_two_folders_of_pictures_do_not_meet_in_one_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places = ("a/My pets (2)", "b/My pets (2)", "b/dogs", "/")
    found = [str(Run(data_directory=place).directory_for(FOLDER)) for place in places]
    assert len(set(found)) == len(places)
    digits = "[0-9a-f]{6}"
    for place, name in zip(found, ("My-pets-2-", "My-pets-2-", "dogs-", ""), strict=True):
        assert re.fullmatch(f"runs/pets-{name}{digits}-{FOLDER.fingerprint}", place)
    assert str(Run(data_directory=str(tmp_path / "b/dogs")).directory_for(FOLDER)) == found[2]
    assert str(Run().directory_for(FOLDER)) == f"runs/pets-{FOLDER.fingerprint}"


def test_a_data_set_that_everybody_has_leaves_the_directory_as_it_is():
    assert Run(data_directory="anywhere").directory_for(RECIPE) == Run().directory_for(RECIPE)


def test_a_run_that_an_earlier_version_began_with_a_folder_is_found_for_that_folder_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    old = Path("runs", f"pets-{FOLDER.fingerprint}")
    old.mkdir(parents=True)
    (old / "environment.json").write_text(json.dumps([{"run": Run(data_directory="cats").remembered()}]))
    assert Run(data_directory="cats").directory_for(FOLDER) == old
    assert Run(data_directory="dogs").directory_for(FOLDER) != old
    for damaged in ("[]", "{", "[{}]", "[3]"):
        (old / "environment.json").write_text(damaged)
        assert Run(data_directory="cats").directory_for(FOLDER) != old


def test_a_run_remembers_how_it_was_started_but_not_where_nor_what_was_asked_for_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Run(
        "elsewhere",
        data_directory="images",
        strategy="mirrored",
        replicas=2,
        resume=True,
        accept_changes=True,
        checkpoint_every=7,
        checkpoint_directory="gs://bucket/run",
    )
    remembered = json.loads(json.dumps(run.remembered()))
    forgotten = {"directory", "resume", "accept_changes"}
    assert remembered.keys() == {each.name for each in fields(Run)} - forgotten
    # Whoever continues may be in another directory.
    assert remembered["data_directory"] == str(tmp_path / "images")
    again = Run(**remembered)
    assert again == replace(
        run, directory=None, resume=False, accept_changes=False, data_directory=str(tmp_path / "images")
    )
    assert again.remembered() == remembered


def test_a_home_directory_is_remembered_in_full(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Run(data_directory="~/images").remembered()["data_directory"] == str(tmp_path / "images")
    assert Run().remembered()["data_directory"] is None


def test_where_the_checkpoints_are_is_remembered_in_full(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert Run(checkpoint_directory="kept").remembered()["checkpoint_directory"] == str(tmp_path / "kept")
    assert Run(checkpoint_directory="gs://bucket/kept").remembered()["checkpoint_directory"] == "gs://bucket/kept"


def test_the_words_are_those_of_the_facts():
    assert get_args(recipe.DatasetName) == tuple(DATASETS)


def test_configuration_imports_no_framework():
    program = (
        "import sys, keras_resnet.config.recipe, keras_resnet.runs.directory;"
        "print(*{'tensorflow', 'keras', 'numpy', 'tyro'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout == "\n"
