"""The command that makes one page about runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import report
from commands import status
from keras_resnet.config.recipe import DataConfig, ModelConfig, Recipe
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.runs.history import HEADER, Row

REPORT = Path(report.__file__)
DIGITS = Recipe("test", "a test", ModelConfig(depth=8), DataConfig("digits", augmentation=("pad-crop",)))
ERRORS = {"images": 360, "loss": 0.5, "top1_error": 2.5, "top5_error": 0.0}
RESULT = {
    "fingerprint": DIGITS.fingerprint,
    "iterations": 20,
    "view": "whole image",
    "splits": {"validation": ERRORS},
    "images_per_second": None,
    "class_names": list("0123456789"),
}
ROWS = (Row(10, 0.1, 2.0, 80.0), Row(20, 0.1, 1.0, 40.0, 1.5, 60.0))


@pytest.fixture
def run(tmp_path) -> Path:
    """The directory of a finished run that was evaluated again."""
    directory = RunDirectory(tmp_path / "runs" / "one")
    directory.create(DIGITS.to_json(), {"started": "2026-01-02T03:04:05+00:00", "command": "train"})
    directory.history.write_text("\n".join([HEADER, *(row.to_line() for row in ROWS), ""]))
    directory.write_result(RESULT)
    (directory.path / "evaluation").mkdir()
    (directory.path / "evaluation" / "result-center.json").write_text(
        json.dumps(ERRORS | {"view": "center", "split": "test"})
    )
    return directory.path


def everything_in(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_page_is_written_and_the_runs_stay_as_they_are(capsys, tmp_path, run):
    before, output = everything_in(run), tmp_path / "page.html"
    assert report.main([str(run), "--output", str(output), "--title", "A & B"]) == 0
    assert capsys.readouterr().out == f"{output}\n"
    content = output.read_text(encoding="utf-8")
    for seen in ("<h1>A &amp; B</h1>", "2.50%", DIGITS.fingerprint, "result-center.json", "2026-01-02", "[20,60.0]"):
        assert seen in content
    assert everything_in(run) == before


def test_the_page_has_a_name_of_its_own(monkeypatch, tmp_path, run):
    monkeypatch.chdir(tmp_path)
    assert report.main(["runs/one"]) == 0
    assert (tmp_path / "report.html").is_file()


def test_a_run_that_is_going_on_is_read_up_to_its_last_whole_line(tmp_path, run):
    (run / "result.json").unlink()
    with (run / "history.csv").open("a") as history:
        history.write("30,0.1,0.123")
    assert report.main([str(run), "--output", str(tmp_path / "page.html")]) == 0
    content = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "unfinished" in content and "0.123" not in content
    assert (run / "history.csv").read_text().endswith("30,0.1,0.123")


@pytest.mark.parametrize("history", [None, "", "iterat", HEADER + "\n"])
def test_a_run_that_has_just_begun(tmp_path, run, history):
    for name in ("result.json", "environment.json", "evaluation/result-center.json"):
        (run / name).unlink()
    (run / "history.csv").unlink()
    if history is not None:
        (run / "history.csv").write_text(history)
    assert report.main([str(run), "--output", str(tmp_path / "page.html")]) == 0
    assert "unfinished" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_run_that_is_named_twice_is_there_once(tmp_path, run):
    output = tmp_path / "page.html"
    assert report.main([str(run), f"{run}/../one", "--output", str(output)]) == 0
    assert "One run of test" in output.read_text(encoding="utf-8")


def test_a_page_is_replaced_only_if_it_may_be(capsys, tmp_path, run):
    output = tmp_path / "page.html"
    output.write_text("mine")
    assert report.main([str(run), "--output", str(output)]) == 2
    assert capsys.readouterr().err == (
        f"error: {output} is there already. Choose another --output, or replace it with --overwrite\n"
    )
    assert output.read_text() == "mine"
    assert report.main([str(run), "--output", str(output), "--overwrite"]) == 0
    assert output.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(("output", "wrong"), [("runs", "is a directory"), ("no/page.html", "cannot be written")])
def test_where_no_page_can_be_is_refused(capsys, monkeypatch, tmp_path, run, output, wrong):
    monkeypatch.chdir(tmp_path)
    assert report.main([str(run), "--output", output, "--overwrite"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {output} {wrong}") and "Choose another --output" in error


def test_a_directory_without_a_run_is_refused(capsys, tmp_path, run):
    for path in (tmp_path, tmp_path / "none", run / "recipe.json"):
        assert report.main([str(run), str(path), "--output", str(tmp_path / "page.html")]) == 2
        assert capsys.readouterr().err == f"error: {path} must be the directory of a run. It has no recipe.json\n"
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("name", "content", "wrong"),
    [
        ("recipe.json", "{", "The recipe must be JSON"),
        ("recipe.json", DIGITS.to_json().replace('"depth": 8', '"depth": 9'), "`depth` must be 6n+2"),
        ("recipe.json", b"\xff", "codec can't decode"),
        ("result.json", "[", "Expecting value"),
        ("result.json", "[" * 100_000, "recursion"),
        ("result.json", "[]", "it must be an object"),
        ("result.json", json.dumps({**RESULT, "iterations": "20"}), "`iterations` must be a whole number, at least 1"),
        ("result.json", json.dumps({**RESULT, "splits": {"test": 3}}), "splits.test must be an object"),
        (
            "result.json",
            json.dumps({**RESULT, "splits": {"test": {**ERRORS, "images": 0}}}),
            "`splits.test.images` must be a whole number, at least 1. Received: 0",
        ),
        (
            "result.json",
            json.dumps({**RESULT, "splits": {"test": {**ERRORS, "top1_error": float("nan")}}}),
            "`splits.test.top1_error` must be a number from 0 to 100. Received: nan",
        ),
        ("result.json", json.dumps({"fingerprint": ""}), "it lacks `iterations`"),
        ("history.csv", "a,b\n", f"it must begin with {HEADER}"),
        ("history.csv", f"{HEADER}\n10,0.1,2.0\n", "line 2: a row must have 6 cells"),
        ("history.csv", f"{HEADER}\n10,,,,,\n20,x,,,,\n", "line 3: could not convert"),
        ("history.csv", f"{HEADER}\n20,,,,,\n10,,,,,\n", "line 3: its iteration must come after"),
        ("environment.json", "{}", "it must hold a list"),
        ("environment.json", "[{}]", "it lacks `started`"),
        ("environment.json", "[3]", "it must be an object"),
        ("evaluation/result-center.json", json.dumps({**ERRORS, "view": "center"}), "it lacks `split`"),
        ("evaluation/result-center.json", json.dumps({**ERRORS, "view": 1}), "`view` must be text. Received: 1"),
    ],
)
def test_a_damaged_file_is_named(capsys, tmp_path, run, name, content, wrong):
    (run / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert report.main([str(run), "--output", str(tmp_path / "page.html")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {run / name}") and wrong in error
    assert error.count("\n") == 1
    assert not (tmp_path / "page.html").exists()


def test_a_finished_run_without_its_history_is_refused(capsys, tmp_path, run):
    (run / "history.csv").unlink()
    assert report.main([str(run), "--output", str(tmp_path / "page.html")]) == 2
    assert capsys.readouterr().err == f"error: {run / 'history.csv'} is missing, and the run is finished\n"


def test_a_wrong_command_line_is_refused(capsys):
    assert status(report.main) == 2
    assert status(report.main, "run", "--titel", "x") == 2
    assert capsys.readouterr().err.count("error: ") == 2


def test_the_command_answers_without_a_framework(tmp_path, run):
    program = (
        f"import sys; sys.path.insert(0, {str(REPORT.parent)!r}); import report; "
        f"report.main([{str(run)!r}, '--output', {str(tmp_path / 'page.html')!r}]); "
        "print({'numpy', 'keras', 'tensorflow', 'matplotlib'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "set()"
