from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from invented_runs import invented_evaluation, invented_result
from keras_resnet.runs import directory as runs
from keras_resnet.runs import environment
from keras_resnet.runs.directory import RunDirectory

VALUES = {"name": "tiny", "description": "", "model": {"depth": 8, "shortcut": "A"}}
RECIPE = json.dumps(VALUES)
OTHER = json.dumps({**VALUES, "model": {"depth": 8, "shortcut": None}})


@pytest.fixture
def directory(tmp_path) -> RunDirectory:
    return RunDirectory(tmp_path / "runs" / "tiny")


def contents(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_a_new_directory_holds_the_recipe_and_the_environment(directory):
    directory.create(RECIPE, {"python": "3"})
    assert directory.recipe.read_text() == RECIPE
    assert json.loads(directory.environment.read_text()) == [{"python": "3"}]
    assert sorted(contents(directory.path)) == ["environment.json", "recipe.json"]


def test_an_empty_directory_is_as_good_as_a_new_one(directory):
    directory.path.mkdir(parents=True)
    (directory.path / ".DS_Store").touch()
    directory.create(RECIPE, {})
    assert directory.recipe.exists()


def test_check_changes_nothing(directory):
    directory.check(RECIPE)
    assert not directory.path.parent.exists()


def test_another_recipe_is_refused_by_what_differs_and_nothing_is_overwritten(directory):
    directory.create(RECIPE, {})
    before = contents(directory.path)
    for resume in (False, True):
        with pytest.raises(
            ValueError, match=r"(?s)holds another recipe.*Choose another `directory`.*model\.shortcut: 'A' -> None"
        ):
            directory.create(OTHER, {}, resume=resume)
    assert contents(directory.path) == before


def test_the_same_recipe_is_refused_unless_it_resumes(directory):
    directory.create(RECIPE, {})
    before = contents(directory.path)
    with pytest.raises(FileExistsError, match="unfinished: continue it with `resume=True`"):
        directory.create(RECIPE, {})
    directory.write_result(invented_result())
    with pytest.raises(FileExistsError, match=r"finished\. Choose another `directory`"):
        directory.create(RECIPE, {})
    directory.result.unlink()
    assert contents(directory.path) == before


def test_a_resumed_run_keeps_its_recipe_and_adds_its_environment(directory):
    directory.create(RECIPE, {"start": 1})
    renamed = json.dumps({**VALUES, "name": "renamed", "description": "reworded"})
    directory.create(renamed, {"start": 2}, resume=True)
    assert directory.recipe.read_text() == RECIPE
    assert json.loads(directory.environment.read_text()) == [{"start": 1}, {"start": 2}]


def test_a_changed_recipe_is_accepted_when_asked_and_becomes_that_of_the_run(directory):
    directory.create(RECIPE, {"start": 1})
    directory.check(OTHER, resume=True, accept_changes=True)
    assert directory.recipe.read_text() == RECIPE, "check changes nothing"
    directory.create(OTHER, {"start": 2}, resume=True, accept_changes=True)
    assert directory.recipe.read_text() == OTHER
    directory.create(OTHER, {"start": 3}, resume=True)
    assert directory.starts() == [
        {"start": 1},
        {"start": 2, "changes": ["model.shortcut: 'A' -> None"]},
        {"start": 3},
    ]
    with pytest.raises(ValueError, match=r"model\.shortcut: None -> 'A'"):
        directory.create(RECIPE, {}, resume=True)


def test_what_changes_nothing_is_listed_as_no_change(directory):
    directory.create(RECIPE, {})
    directory.create(json.dumps({**VALUES, "description": "reworded"}), {}, resume=True, accept_changes=True)
    assert directory.recipe.read_text() == RECIPE
    assert directory.starts() == [{}, {}]


def images(digest: str, count: int = 6) -> dict:
    """The identity of images of one class."""
    split = {"images": count, "digest": digest, "images_by_class": [count], "digests_by_class": [digest]}
    return {"class_names": ["cat"], "splits": {"train": {**split, "first_by_class": [""], "manifest": None}}}


def test_other_images_are_refused_by_what_differs_and_nothing_is_overwritten(directory):
    directory.create(RECIPE, {}, data=images("a"))
    directory.create(RECIPE, {}, resume=True, data=images("a"))
    before = contents(directory.path)
    told = (
        r"(?s)trained on other images\. .*`accept_changes=True` .*train: 2 images fewer \(6 -> 4\)\n  train: other im"
    )
    with pytest.raises(ValueError, match=told):
        directory.check_data(images("b", 4))
    with pytest.raises(ValueError, match=told):
        directory.create(RECIPE, {}, resume=True, data=images("b", 4))
    assert contents(directory.path) == before


def test_other_images_are_accepted_when_asked_and_become_those_of_the_run(directory):
    directory.create(RECIPE, {"start": 1}, data=images("a"))
    directory.create(RECIPE, {"start": 2}, resume=True, accept_changes=True, data=images("b"))
    directory.create(RECIPE, {"start": 3}, resume=True, data=images("b"))
    assert directory.starts() == [{"start": 1}, {"start": 2, "changes": ["train: other images in cat"]}, {"start": 3}]
    assert json.loads(directory.data.read_text()) == images("b")


def test_a_run_of_an_earlier_version_takes_the_images_that_it_is_given(directory):
    directory.create(RECIPE, {})
    assert not directory.data.exists()
    directory.check_data(images("a"))
    directory.create(RECIPE, {}, resume=True, data=images("a"))
    with pytest.raises(ValueError, match="other images"):
        directory.check_data(images("b"))


def test_a_finished_run_accepts_no_changes(directory):
    directory.create(RECIPE, {})
    directory.write_result(invented_result())
    before = contents(directory.path)
    with pytest.raises(ValueError, match=r"(?s)holds another recipe\..* It is finished\. What differs"):
        directory.create(OTHER, {}, resume=True, accept_changes=True)
    assert contents(directory.path) == before


def test_the_refusal_names_the_way_to_continue_all_the_same(directory):
    directory.create(RECIPE, {})
    with pytest.raises(ValueError, match="`accept_changes=True` continues it"):
        directory.check(OTHER, resume=True)


def test_starts_are_the_entries_of_the_environment(directory):
    assert directory.starts() == []
    directory.create(RECIPE, {"run": {"strategy": "mirrored"}})
    assert directory.starts() == [{"run": {"strategy": "mirrored"}}]
    for damaged in ("[{", "3", "[1]", '{"run": {}}'):
        directory.environment.write_text(damaged)
        with pytest.raises(ValueError, match=r"environment\.json is damaged"):
            directory.starts()


def test_resuming_what_never_started_starts_it(directory):
    directory.create(RECIPE, {}, resume=True)
    assert directory.recipe.exists()


def test_a_directory_of_something_else_is_refused(directory):
    directory.path.mkdir(parents=True)
    (directory.path / "thesis.tex").write_text("years")
    for resume in (False, True):
        with pytest.raises(ValueError, match=r"has files but no recipe\.json"):
            directory.create(RECIPE, {}, resume=resume)
    assert contents(directory.path) == {"thesis.tex": b"years"}


def test_a_file_in_place_of_the_directory_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NotADirectoryError, match="is a file"):
        RunDirectory(tmp_path / "file").create(RECIPE, {})
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("damaged", [b"", b'{"name":', b"\xff\xfe\x00"])
def test_a_damaged_recipe_is_refused(directory, damaged):
    directory.path.mkdir(parents=True)
    directory.recipe.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"recipe\.json is damaged"):
        directory.create(RECIPE, {}, resume=True)
    assert directory.recipe.read_bytes() == damaged


def test_recipes_are_compared_by_what_they_mean_to_this_version(directory):
    """A key that came later reads as its default, and one that is unknown is refused by whoever knows recipes."""

    def read(values):
        if "removed" in values:
            raise ValueError("`removed` is unknown")
        return {"later": 1, **values}

    directory.create(RECIPE, {})
    grown = json.dumps({**VALUES, "later": 1})
    with pytest.raises(ValueError, match="later: absent -> 1"):
        directory.check(grown, resume=True)
    directory.check(grown, resume=True, read=read)
    directory.create(grown, {}, resume=True, read=read)
    assert directory.starts() == [{}, {}], "nothing has changed"
    directory.recipe.write_text(json.dumps({**VALUES, "removed": 1}))
    with pytest.raises(ValueError, match=r"recipe\.json: `removed` is unknown\. Choose another `directory`"):
        directory.check(grown, resume=True, read=read)


def test_later_evaluations_are_read_in_the_order_of_their_names(directory):
    assert directory.evaluations() == []
    files = [invented_evaluation(directory.evaluation, [], view, 1.0) for view in ("multi-scale", "10-crop")]
    (directory.evaluation / "predictions-center.csv").touch()
    assert [(file, values["view"]) for file, values in directory.evaluations()] == [
        (files[1], "10-crop"),
        (files[0], "multi-scale"),
    ]
    files[0].write_text("{}")
    with pytest.raises(ValueError, match=r"result-multi-scale\.json is damaged: it lacks `images`"):
        directory.evaluations()


def test_what_is_lacking_is_named_with_the_remedy(directory):
    for lacking, refuse in (
        ("the directory of a run. It has no recipe.json", directory.require_run),
        ("a finished run. It has no result.json. Finish its training with `resume=True`", directory.require_finished),
        (
            f"a run with its network. It has no model.keras. Train {directory.recipe} again, in another `directory`",
            directory.require_network,
        ),
    ):
        with pytest.raises(FileNotFoundError) as refused:
            refuse()
        assert str(refused.value).endswith(lacking)
        if not directory.recipe.exists():
            directory.create(RECIPE, {})
        else:
            directory.write_result(invented_result())
    directory.model.touch()
    directory.require_network()


def test_a_recipe_that_is_no_object_is_another_recipe(directory):
    directory.path.mkdir(parents=True)
    directory.recipe.write_text("[]")
    with pytest.raises(ValueError, match="holds another recipe"):
        directory.create(RECIPE, {}, resume=True)


def test_the_result_says_that_the_run_is_finished(directory):
    directory.create(RECIPE, {})
    assert not directory.finished
    with pytest.raises(FileNotFoundError):
        directory.read_result()
    result = invented_result(images_per_second=1 / 3)
    directory.write_result(result)
    assert directory.finished
    assert directory.read_result() == result


@pytest.mark.parametrize("failing", ["fsync", "rename"])
def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, failing):
    file = tmp_path / "result.json"
    runs.write(file, "old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if failing == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        runs.write(file, "new")
    assert contents(tmp_path) == {"result.json": b"old"}


def test_the_environment_is_json_and_names_what_somebody_needs_to_repeat_the_run():
    entry = json.loads(json.dumps(environment.environment(["CPU:0"], per_replica_batch_size=64)))
    assert entry["python"] == ".".join(map(str, sys.version_info[:3]))
    assert entry["devices"] == ["CPU:0"]
    assert entry["per_replica_batch_size"] == 64
    assert Path(sys.orig_argv[0]).name in entry["command"]
    assert {"started", "commit", "keras_resnet", "tensorflow", "keras", "platform", "processors"} < set(entry)


def test_versions_are_those_of_the_installed_distributions(monkeypatch):
    versions = {"tensorflow-cpu": "2.21.0"}

    def version(distribution):
        if distribution not in versions:
            raise environment.metadata.PackageNotFoundError(distribution)
        return versions[distribution]

    monkeypatch.setattr(environment.metadata, "version", version)
    assert environment.version("tensorflow") == "2.21.0"
    assert environment.version("keras") is None


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_is_that_of_this_source_and_of_no_repository_around_it(tmp_path, monkeypatch):
    source = tmp_path / "runs.py"
    source.write_text("old")
    monkeypatch.setattr(environment, "__file__", str(source))

    def git(*arguments):
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
        return subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.strip()

    assert environment.commit() is None
    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message", "somebody else's")
    assert environment.commit() is None
    git("add", "runs.py")
    git("commit", "--quiet", "--message", "ours")
    git("tag", "v1")
    assert environment.commit() == git("rev-parse", "HEAD")
    source.write_text("new")
    assert environment.commit() == git("rev-parse", "HEAD") + "-dirty"
