"""The runs below a directory: what is none is passed over, and what is damaged is named."""

from __future__ import annotations

import json

import pytest

from keras_resnet.runs.directory import RunDirectory
from keras_resnet.runs.find import find


def name(directory: RunDirectory) -> str:
    return json.loads(directory.recipe.read_text())["name"]


def test_runs_come_in_the_order_of_their_directories(tmp_path):
    for label in ("b", "a"):
        RunDirectory(tmp_path / label).create(json.dumps({"name": f"recipe {label}"}), {})
    assert find(tmp_path, name).runs == ("recipe a", "recipe b")


def test_what_is_no_run_is_passed_over(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.tex").touch()
    (tmp_path / "file").touch()
    assert find(tmp_path, name) == find(tmp_path / "nowhere", name)
    assert find(tmp_path, name).runs == find(tmp_path, name).unreadable == ()


def test_what_is_damaged_is_named_and_the_others_are_found(tmp_path):
    for label, recipe in (("broken", "{"), ("whole", '{"name": "x"}')):
        (tmp_path / label).mkdir()
        (tmp_path / label / "recipe.json").write_text(recipe)
    lost = tmp_path / "without a recipe"
    lost.mkdir()
    (lost / "history.csv").touch()
    found = find(tmp_path, name)
    assert found.runs == ("x",)
    broken, no_recipe = found.unreadable
    assert "Expecting property name" in broken
    assert no_recipe == f"{lost} must be the directory of a run. It has no recipe.json"


def test_a_file_holds_no_runs(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        find(tmp_path / "file", name)
