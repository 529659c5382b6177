"""What is said instead of a flag, a word or a run that there is not."""

from __future__ import annotations

import importlib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_args

import pytest

from catalog import RECIPES
from cli import command_line, evaluation_plan, recipe_line, suggestions
from cli.options import Options
from invented_runs import invented_run
from keras_resnet import validation

PROGRAMS = [path.stem for path in Path(suggestions.__file__).parents[1].glob("*.py") if path.stem != "__init__"]


def options_of(name: str) -> type:
    """The options of a program."""
    if name == "train":
        return recipe_line.Overrides
    module = importlib.import_module(name)
    return module.Options if isinstance(getattr(module, "Options", None), type) else evaluation_plan.Options


KINDS = {name: options_of(name) for name in PROGRAMS}
ARGUMENTS = {flag.argument for kind in KINDS.values() for flag in command_line.flags(kind)}
ARGUMENTS |= {argument for kind in KINDS.values() for argument in command_line.positionals(kind)}


def choices(kind: type) -> set[str]:
    """The words of all choices of a dataclass and of those in it."""
    found: set[str] = set()
    for flag in command_line.flags(kind):
        hints = get_args(flag.hint) if getattr(flag.hint, "__origin__", None) is tuple else (flag.hint,)
        for hint in hints:
            found |= {str(word) for word in validation.choices(hint) or ()}
    return found


def test_whatever_is_meant_exists_somewhere():
    assert all(is_dataclass(kind) and fields(kind) is not None for kind in KINDS.values())
    known = ARGUMENTS | {argument.rpartition(".")[2] for argument in ARGUMENTS}
    known |= set().union(*map(choices, KINDS.values()), suggestions.NOWHERE)
    meant = {name for names in validation.MEANT.values() for name in names}
    assert meant <= known
    assert {*suggestions.EXAMPLES, *suggestions.REMARKS} <= known


TYPED = """
--epochs --lr --batch_size --batch-size --wd --device --gpu --gpus --data_dir --data --amp --fp16 --bf16 --seed
--resume --output --output_dir --model --optimizer --scheduler --milestones --gamma --warmup --img_size --aug
--grad_clip --ema --log_interval --eval_every --save_every --val_split --steps --weight_decay --lr_scheduler -b
--schedule.lr --optimizer.lr --training.batch_size --run.gpus --strategy --learning-rate
""".split()


@pytest.mark.parametrize("typed", TYPED)
def test_a_training_has_a_flag_that_it_accepts_for_what_people_type(typed):
    with pytest.raises(ValueError, match=f"^There is no {typed}. Did you mean --") as refusal:
        command_line.check(recipe_line.Overrides, [typed, "1"])
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 200
    words = str(refusal.value).partition("Did you mean ")[2].partition("?")[0].partition(" (")[0].split()
    recipe, run = recipe_line.find("imagenet-resnet50")
    chosen = recipe_line.override(recipe_line.Overrides, recipe, run, words, "imagenet-resnet50")
    assert chosen.run.strategy in ("one_device", "mirrored")


@pytest.mark.parametrize(
    ("name", "typed", "told"),
    [
        (
            "train",
            "--epochs",
            "--schedule.iterations 2000 (trainings are counted in iterations, not in epochs; ",
        ),
        ("train", "--lr", "--schedule.learning-rate 0.1?"),
        ("train", "--schedule.lr", "--schedule.learning-rate 0.1?"),
        ("train", "--gpus", "--run.strategy mirrored?"),
        ("train", "--workers", "The input uses all cores that it may"),
        ("train", "--pretrained", "A training begins with random weights"),
        ("train", "--num-classes", "The classes are those of the images"),
        ("tune", "--n_trials", "--trials 20?"),
        ("tune", "--output", "--directory DIR?"),
        ("tune", "--grid", "--axes model.depth=20,32?"),
        ("evaluate", "--data_dir", "--data-directory DIR?"),
        ("evaluate", "--device", "CUDA_VISIBLE_DEVICES=0"),
        ("evaluate", "--weights", "RUN_OR_WEIGHTS has no flag"),
        ("evaluate", "--fp16", "The precision is that of the network"),
        ("predict", "--image", "PICTURE … has no flag"),
        ("predict", "--topk", "--top 5?"),
        ("predict", "--labels", "--class-names names.txt?"),
        ("export", "-o", "--output PATH?"),
        ("export", "-f", "--overwrite?"),
        ("prepare_imagenet", "-j", "--workers 4?"),
        ("reproduce", "--seed", "--seeds 5?"),
        ("summarize", "--model", "[DEPTH …] has no flag"),
        ("report", "--xyz", "--help lists the flags"),
    ],
)
def test_the_meaning_comes_before_the_spelling(name, typed, told):
    with pytest.raises(ValueError, match="^There is no ") as refusal:
        command_line.check(KINDS[name], [typed])
    assert str(refusal.value).startswith(f"There is no {typed}. ") and told in str(refusal.value)


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("typed", ["--epochs", "--device", "--output_dir", "--weights", "-v", "--verbose", "--x.y"])
def test_no_program_suggests_what_it_does_not_have(name, typed):
    kind = KINDS[name]
    with pytest.raises(ValueError, match="^There is no ") as refusal:
        command_line.check(kind, [typed])
    spellings = {spelling for flag in command_line.flags(kind) for spelling in flag.spellings} | {"--help"}
    suggested = {word for word in str(refusal.value).partition(". ")[2].split() if word.startswith("--")}
    assert {word.rstrip("?,") for word in suggested} <= spellings
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize(
    ("word", "words", "nearest"),
    [
        ("fp16", ("float32", "mixed_bfloat16", "mixed_float16"), "mixed_float16"),
        ("ddp", ("one_device", "mirrored"), "mirrored"),
        ("imagenet1k", ("cifar10", "imagenet"), "imagenet"),
        ("schedule.lr", ("schedule.power", "schedule.learning_rate"), "schedule.learning_rate"),
        ("lr", ("model.depth", "schedule.learning_rate"), "schedule.learning_rate"),
        ("onxn", ("onnx", "litert"), "onnx"),
    ],
)
def test_words_and_keys_are_suggested_by_meaning_too(word, words, nearest):
    assert validation.nearest(word, words) == f"Did you mean {nearest!r}?"


def test_a_run_is_looked_for_where_it_was_expected(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = RECIPES["digits-resnet8"]
    invented_run(Path("runs/digits-resnet8-0123"), recipe)
    invented_run(Path("search/trials/digits-resnet8-4567"), recipe)
    Path("empty").mkdir()
    told = {
        "runs/digits-resnet8-0124": "there is no run runs/digits-resnet8-0124. Near it: runs/digits-resnet8-0123",
        "runs": "holds no run: there is no runs/recipe.json. Runs are below it, such as runs/digits-resnet8-0123",
        "search": "Runs are below it, such as search/trials/digits-resnet8-4567",
        "empty": "'empty' is no recipe, and holds no run: there is no empty/recipe.json",
    }
    for word, expected in told.items():
        with pytest.raises(ValueError, match="is no recipe") as refusal:
            recipe_line.find(word)
        assert expected in str(refusal.value)
        assert len(str(refusal.value)) < 200


def test_options_are_named_as_the_help_names_them():
    assert command_line.positionals(KINDS["predict"]) == {"network": "NETWORK", "pictures": "PICTURE …"}
    assert issubclass(KINDS["evaluate"], Options)
