"""What is written of the studies is what the records beside it give."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean, stdev

import pytest

from catalog import RECIPES
from keras_resnet.config.recipe import Recipe
from keras_resnet.reproduction import table
from keras_resnet.reproduction.findings import finding
from keras_resnet.reproduction.items import ITEMS, attempts
from keras_resnet.reproduction.known_runs import find_runs

ROOT = Path(__file__).parents[2]
REPORTS = ROOT / "recipes/reports"
RESULTS = (ROOT / "docs/reproduction.md").read_text(encoding="utf-8")
SHORTCUTS = REPORTS / "shortcuts"
STUDIES = {"degradation": {"scale": 1 / 64}, "cifar10-half": {"scale": 1 / 2, "precision": "mixed_bfloat16"}}


def findings(study, item):
    runs = REPORTS / study / "runs"
    each = {row: attempts(item, row, RECIPES, **STUDIES[study]) for row in item.rows}
    return [finding(item, row, asked, find_runs(runs), runs) for row, asked in each.items()]


@pytest.mark.parametrize("name", ["figure1", "figure6"])
@pytest.mark.parametrize("study", STUDIES)
def test_the_figures_are_made_of_the_runs_beside_them(study, name):
    item = ITEMS[name]
    written = (REPORTS / study / f"{name}.csv").read_text(encoding="utf-8")
    assert table.table(item, findings(study, item)) == written


@pytest.mark.parametrize(("study", "networks"), [("degradation", 4), ("cifar10-half", 3)])
def test_the_errors_of_the_degradation_are_those_of_its_runs(study, networks):
    measured = [one for one in findings(study, ITEMS["figure6"]) if one.measured]
    assert len(measured) == networks
    beside = (REPORTS / study / "README.md").read_text(encoding="utf-8")
    for one in measured:
        line = f"| {one.row.paper.name} | {one.mean('training'):.1f}% | {one.mean('top1'):.1f}% |"
        assert line in RESULTS
        assert line in beside


def test_the_errors_of_the_shortcuts_are_those_of_its_trials():
    errors = {}
    for file in SHORTCUTS.glob("trials/*/result.json"):
        shortcut = Recipe.read(file.with_name("recipe.json")).model.shortcut
        result = json.loads(file.read_text(encoding="utf-8"))
        errors.setdefault(shortcut, []).append(result["splits"]["validation"]["top1_error"])
    assert {shortcut: len(three) for shortcut, three in errors.items()} == dict.fromkeys([None, "A", "B", "C"], 3)
    text = " ".join(RESULTS.split())
    for shortcut, three in errors.items():
        assert f"{shortcut or 'no shortcuts'} {fmean(three):.2f}% ± {stdev(three):.2f}" in text


def test_every_record_is_of_the_recipe_beside_it_by_the_fingerprint_of_its_version():
    records = list(REPORTS.rglob("result.json"))
    records.remove(REPORTS / "cifar10-resnet20-8k" / "result.json")  # older than some fields of version 0.1
    assert len(records) == 23
    for file in records:
        recorded = json.loads(file.read_text(encoding="utf-8"))["fingerprint"]
        assert recorded in Recipe.read(file.with_name("recipe.json")).fingerprints, file


def test_the_whole_schedule_has_the_error_of_its_record():
    folder = REPORTS / "cifar10-resnet20"
    recipe = Recipe.read(folder / "recipe.json")
    assert recipe.differences(RECIPES["cifar10-resnet20"]) == ["training.precision: 'mixed_bfloat16' -> 'float32'"]
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    error = f"{result['splits']['validation']['top1_error']:.2f}%"
    assert result["iterations"] == 64_000
    assert f"| **{error}** | 8.75% |" in RESULTS
    assert f"| {error} |" in (folder / "README.md").read_text(encoding="utf-8")
