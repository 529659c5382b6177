"""The command that makes one page about runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import report
from commands import status
from invented_runs import invented_evaluation, invented_run
from keras_resnet.config.recipe import DataConfig, ModelConfig, Recipe
from keras_resnet.runs.history import HEADER, Row

REPORT = Path(report.__file__)
DIGITS = Recipe("test", "a test", ModelConfig(depth=8), DataConfig("digits", augmentation=("pad-crop",)))
ROWS = (Row(10, 0.1, 2.0, 80.0), Row(20, 0.1, 1.0, 40.0, 1.5, 60.0))


@pytest.fixture
def run(tmp_path) -> Path:
    """The directory of a finished run that was evaluated again."""
    directory = invented_run(tmp_path / "runs" / "one", DIGITS, 2.5, rows=ROWS, iterations=20)
    invented_evaluation(directory.evaluation, [DIGITS], "center", 2.5, dataset="digits", split="test")
    return directory.path


def everything_in(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_page_is_written_and_the_runs_stay_as_they_are(capsys, tmp_path, run):
    before, output = everything_in(run), tmp_path / "page.html"
    assert report.main([str(run), "--output", str(output), "--title", "A & B"]) == 0
    assert capsys.readouterr().out == f"{output}\n"
    content = output.read_text(encoding="utf-8")
    for seen in ("<h1>A &amp; B</h1>", "2.50%", DIGITS.fingerprint, "result-center.json", "Started 2026"):
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
        f"error: {output} is there already. Choose another `output`, or replace it with `overwrite=True` "
        "(--output, --overwrite)\n"
    )
    assert output.read_text() == "mine"
    assert report.main([str(run), "--output", str(output), "--overwrite"]) == 0
    assert output.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("output", "wrong"),
    [
        ("runs", "runs is a directory. Choose another"),
        ("no/page.html", "There is no directory no. Make it, or choose another"),
    ],
)
def test_where_no_page_can_be_is_refused(capsys, monkeypatch, tmp_path, run, output, wrong):
    monkeypatch.chdir(tmp_path)
    assert report.main([str(run), "--output", output, "--overwrite"]) == 2
    assert capsys.readouterr().err == f"error: {wrong} `output` (--output)\n"


def test_what_is_no_run_is_refused_alone(capsys, tmp_path, run):
    for path in (tmp_path, run / "recipe.json"):
        assert report.main([str(path), "--output", str(tmp_path / "page.html")]) == 2
        assert capsys.readouterr().err.startswith(
            f"error: {path} must be the directory of a run. It has no recipe.json"
        )
    assert not (tmp_path / "page.html").exists()


def test_what_is_not_there_is_refused(capsys, tmp_path, run):
    assert report.main([str(run), str(tmp_path / "none"), "--output", str(tmp_path / "page.html")]) == 2
    assert capsys.readouterr().err == f"error: There is no file or directory {tmp_path / 'none'}\n"
    assert not (tmp_path / "page.html").exists()


def test_what_is_no_run_is_named_and_left_out_beside_runs(capsys, tmp_path, run):
    """As in `runs/*`: a search, its log, a text, an empty folder, a damaged run, and one of a newer version."""
    runs = run.parent
    search = invented_run(runs / "tune-test" / "trials" / "test-1", DIGITS).path
    (runs / "README.md").write_text("About the runs")
    (runs / "empty").mkdir()
    for name, recipe in {
        "damaged": "{",
        "null": "null",
        "newer": DIGITS.to_json().replace('"depth"', '"breadth"'),
    }.items():
        (runs / name).mkdir()
        (runs / name / "recipe.json").write_text(recipe)
    output = tmp_path / "page.html"
    assert report.main([*map(str, sorted(runs.iterdir())), "--output", str(output)]) == 0
    told = capsys.readouterr()
    assert told.out == f"{output}\n"
    lines = told.err.splitlines()
    assert [
        Path(line.removeprefix("left out: ").split()[0].rstrip(":")).relative_to(runs).parts[0] for line in lines
    ] == [
        "README.md",
        "damaged",
        "empty",
        "newer",
        "null",
        "tune-test",
    ]
    assert lines[-1].endswith(f"It has no recipe.json. Runs are below it, such as {search}")
    assert "One run of test" in output.read_text(encoding="utf-8")


def test_an_interrupted_run_shows_the_iterations_of_its_checkpoint(tmp_path, run):
    (run / "result.json").unlink()
    (run / "history.csv").write_text(HEADER + "\n")
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "ckpt-58.npz").write_text("")
    assert report.main([str(run), "--output", str(tmp_path / "page.html")]) == 0
    assert ">58 <" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "content", "wrong"),
    [
        ("recipe.json", "{", "The recipe must be JSON"),
        ("recipe.json", DIGITS.to_json().replace('"depth": 8', '"depth": 9'), "`depth` must be 6n+2"),
        ("recipe.json", b"\xff", "codec can't decode"),
        ("result.json", "[", "is damaged: Expecting value"),
        ("history.csv", "a,b\n", f"is damaged in line 1: it must be {HEADER}"),
        ("environment.json", "{}", "is damaged: it must be a list"),
        ("evaluation/result-center.json", "{}", "is damaged: it lacks `images`"),
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


def test_a_page_needs_no_framework_and_a_refusal_no_figures(tmp_path, run):
    program = (
        f"import sys; sys.path.insert(0, {str(REPORT.parent)!r}); import report; "
        "loaded = lambda: print({'numpy', 'matplotlib', 'keras', 'tensorflow'} & set(sys.modules)); "
        f"report.main(['nowhere']); loaded(); "
        f"report.main([{str(run)!r}, '--output', {str(tmp_path / 'page.html')!r}]); "
        "loaded()"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    refused, *_, written = found.stdout.splitlines()
    assert refused == "set()" and "keras" not in written and "tensorflow" not in written
