"""All programs: their help, their refusals, and the command of an installation."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from catalog import RECIPES as RECIPES_BY_NAME
from cli import command_line, launcher, program, recipe_line, refusal
from cli.options import Options
from cli.progress import ShardProgress
from invented_runs import invented_run

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes"
PROGRAMS = {path.stem: path for path in RECIPES.glob("*.py") if path.stem != "__init__"}

REFUSALS = {
    "benchmark": (["training", "21"], "`depth` must be 6n+2"),
    "convert": (["a.pth", "--output", "b.onnx"], "(--output)"),
    "departures": (["--wirte"], "Did you mean --write?"),
    "evaluate": (["/missing"], "There is no file or directory /missing"),
    "explain": (["/missing", "/picture", "--output", "new"], "There is no file or directory /missing"),
    "export": (["a", "--format", "onxn", "--output", "b"], "Did you mean 'onnx'? (--format)"),
    "layer_responses": (["/missing", "--output", "new"], "There is no file or directory /missing"),
    "mistakes": (["/missing"], "There is no file or directory /missing"),
    "model_card": (["/missing"], "must be the directory of a run"),
    "precise_bn": (["/missing"], "There is no directory /missing"),
    "predict": (["/missing", "/picture"], "There is no file or directory /missing"),
    "preflight": (["digits-resnet8", "--topology", "v5e:3x3"], "(--topology)"),
    "prepare_imagenet": (["/missing"], "two directories are needed"),
    "report": (["/missing"], "There is no file or directory /missing"),
    "reproduce": (["tabel6"], "Did you mean 'table6'?"),
    "summarize": (["21"], "`depth` must be"),
    "train": (["cifar10-resnet20", "--model.shortcut", "D"], "(--model.shortcut)"),
    "tune": (["digits-resnet8", "--axes", "model.depth=8,9"], "(--axes, --model.depth)"),
}

ONE_PROCESS = """
import contextlib, io, json, sys
from pathlib import Path
from cli import launcher

def answer(name, words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = launcher.run(launcher.programs()[name], words)
        except SystemExit as end:
            status = end.code
    return status, out.getvalue(), err.getvalue()

stdout, asked = sys.stdout, json.loads(sys.argv[1])
answers = {name: [answer(name, ["--help"]), answer(name, words)] for name, words in asked.items()}
frameworks = sorted({"tensorflow", "keras", "numpy", "matplotlib"} & set(sys.modules))
print(json.dumps([answers, frameworks]), file=stdout)
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> tuple[dict, list[str]]:
    """What each program answers to `--help` and to a wrong command line, and the frameworks that it loaded for that."""
    asked = json.dumps({name: words for name, (words, _) in REFUSALS.items()})
    run = subprocess.run(
        [sys.executable, "-c", ONE_PROCESS, asked],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{RECIPES}:{ROOT}"},
        cwd=tmp_path_factory.mktemp("empty"),
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_every_program_is_asked():
    assert set(REFUSALS) == set(PROGRAMS)


def test_no_answer_takes_a_framework(answers):
    assert answers[1] == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_help_has_the_docstring_with_its_commands_as_they_are_called(answers, name):
    (status, told, errors), _ = answers[0][name]
    assert (status, errors) == (0, "")
    first, *_ = PROGRAMS[name].read_text(encoding="utf-8").removeprefix('"""').partition("\n")
    assert first in told
    assert f"    keras-resnet {name}" in told and "recipes/" not in told


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_wrong_command_line_is_refused_in_one_line_and_changes_nothing(answers, name):
    _, (status, told, errors) = answers[0][name]
    assert status == 2
    assert told == ""
    assert errors.startswith("error: ") and errors.count("\n") == 1
    assert REFUSALS[name][1] in errors


def test_a_program_is_a_file_that_python_runs(tmp_path):
    command = [sys.executable, str(RECIPES / "train.py"), "cifar10-resnet20", "--model.shortcut", "D"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.endswith("Received: shortcut='D' (--model.shortcut)\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["train", "--list"], ["--help"]])
def test_output_that_nobody_reads_is_no_error(words):
    command = [sys.executable, "-m", "cli.launcher", *words]
    environment = {**os.environ, "PYTHONPATH": f"{RECIPES}:{ROOT}"}
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    os.close(write)
    assert (run.returncode, run.stderr) == (program.CLOSED_PIPE, "")


def test_the_launcher_lists_the_programs(capsys):
    assert set(launcher.programs()) == set(PROGRAMS)
    listed = launcher.usage()
    lines = [line.split(maxsplit=1) for line in listed.splitlines()]
    assert all([name, launcher.first_line(file)] in lines for name, file in PROGRAMS.items())
    assert launcher.main([]) == 2
    assert capsys.readouterr().err == f"{listed}\n"


@pytest.mark.parametrize(
    ("name", "hint"), [("trian", "Did you mean 'train'?"), ("xyz", "keras-resnet --help lists them")]
)
def test_an_unknown_program_is_refused(capsys, name, hint):
    assert launcher.main([name]) == 2
    assert capsys.readouterr().err == f"error: {name!r} is no program. {hint}\n"


@dataclass(frozen=True)
class OfNetworks:
    """Options that name networks."""

    network: str
    ensemble: tuple[str, ...] = ()


def test_a_network_that_cannot_be_there_is_refused_before_anything_loads(tmp_path, capsys):
    (tmp_path / "weights.pth").write_bytes(b"")
    unfinished = invented_run(tmp_path / "unfinished", RECIPES_BY_NAME["digits-resnet8"], None).path
    worked = []
    for source, told in {
        "weights.pth": None,
        "missing": "There is no file or directory",
        "unfinished": "It has no result.json. Finish its training with `resume=True` (python ",
        ".": f"It has no recipe.json. Runs are below it, such as {unfinished}",
    }.items():
        for options in (
            OfNetworks(str(tmp_path / source)),
            OfNetworks(str(tmp_path / "weights.pth"), (str(tmp_path / source),)),
        ):
            assert program.answer(lambda options: worked.append(options) or 0, options, flags={}) == (2 if told else 0)
            assert (told or "") in capsys.readouterr().err
    assert [Path(options.network).name for options in worked] == ["weights.pth"] * 2


# Reading


@dataclass(frozen=True, kw_only=True)
class Example(Options):
    """Options for these tests."""

    count: int = 1
    """A number."""
    share: float | None = 0.5
    """Another."""
    kind: Literal["one", "two"] | None = None
    """A word."""
    mirror: bool = True
    """Yes or no."""
    sizes: tuple[int, ...] = ()
    """Numbers."""
    kinds: tuple[Literal["a", "b", None], ...] = ()
    """Words."""
    output: Path | None = None
    """A file."""

    def _check(self) -> None:
        self._at_least(1, "count")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", Example()),
        ("--count 3 --share=2 --kind two", Example(count=3, share=2.0, kind="two")),
        ("--no-mirror --sizes 3 4 --kinds a None", Example(mirror=False, sizes=(3, 4), kinds=("a", None))),
        ("--share None --output a/b", Example(share=None, output=Path("a/b"))),
        ("--sizes", Example()),
    ],
)
def test_words_become_values(words, expected):
    read = command_line.read(Example, "A program.", words.split())
    assert read == expected
    assert isinstance(read.share, float | None)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--cuont 3", "There is no --cuont. Did you mean --count?"),
        ("--xyz 3", "There is no --xyz. --help lists the flags"),
        ("--count 3 --count=3", "--count must be given once. Received: twice"),
        ("--mirror --no_mirror", "--mirror must be given once. Received: twice"),
        ("--count", "--count needs a value"),
        ("--count --mirror", "--count needs a value"),
        ("--count none", "`count` must be a whole number. Received: count='none' (--count)"),
        ("--count 0", "`count` must be at least 1. Received: count=0 (--count)"),
        ("--share nan", "`share` must be a finite number or None. Received: share=nan (--share)"),
        ("--share none", "`share` must be a finite number or None. Received: share='none' (--share)"),
        ("--kind tow", "`kind` must be one of 'one', 'two', None. Received: kind='tow'. Did you mean 'two'? (--kind)"),
        ("--kinds a c", "`kinds` must be one of 'a', 'b', None. Received: kinds='c' (--kinds)"),
        ("--sizes 1 x", "`sizes` must be a list of whole numbers. Received: sizes=(1, 'x') (--sizes)"),
        ("word", "Unrecognized options: word. --help shows the usage"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(capsys, words, told):
    with pytest.raises(SystemExit, match="2"):
        command_line.read(Example, "A program.", words.split())
    assert capsys.readouterr().err == f"error: {told}\n"


@pytest.mark.parametrize(("border", "line"), [("│", "─"), (" ", "-")])
def test_a_box_is_one_line_however_it_is_drawn(border, line):
    def box(title: str, *texts: str) -> str:
        rows = [*texts, line * 30, "For full helptext, run x"]
        top = [f"╭─ {title} ───╮"] if border == "│" else [f" {title} ", f" {line * 30} "]
        return "\n".join([*top, *(f"{border} {row:30} {border}" for row in rows)])

    missing = box("Required options", "Missing from x:", "    SOURCE", "        What. (required)", "    --output PATH")
    told = "what must be given is missing: SOURCE, --output PATH. --help shows the usage"
    assert str(command_line.refused_by_tyro(missing)) == told
    other = box("Value error", "Two", "lines.")
    assert str(command_line.refused_by_tyro(other)) == "Two lines. --help shows the usage"


# Flags in the errors of the library


FLAGS = {"output": "--output", "overwrite": "--overwrite", "run.resume": "--run.resume", "resume": "--run.resume"}


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("nothing is named", "nothing is named"),
        ("`other` must be 3", "`other` must be 3"),
        ("output must be 3", "output must be 3"),
        ("`output` must be 3. Choose another `output`", "`output` must be 3. Choose another `output` (--output)"),
        ("another `output`, or `overwrite=True`", "another `output`, or `overwrite=True` (--output, --overwrite)"),
        ("continue with `run.resume`", "continue with `run.resume` (--run.resume)"),
        ("`resume=True` and `run.resume`", "`resume=True` and `run.resume` (--run.resume)"),
        ("`output`, that is --output", "`output`, that is --output"),
        ("`output` is missing. Get it by\n  a command", "`output` is missing. Get it by (--output)\n  a command"),
        ("`output` is missing. To get it:\n  a command", "`output` is missing (--output). To get it:\n  a command"),
    ],
)
def test_an_error_gets_the_flags_of_the_arguments_that_it_names(message, told):
    assert refusal.with_flags(message, FLAGS) == told


def test_a_name_of_several_sections_means_the_flag_that_was_given():
    names = command_line.flags_by_argument(recipe_line.Overrides)
    assert names["shortcut"] == names["model.shortcut"] == "--model.shortcut"
    assert names["learning_rate"] == "--schedule.learning-rate"
    assert "name" not in names and names["schedule.name"] == "--schedule.name"
    given = command_line.flags_by_argument(recipe_line.Overrides, ["--optimizer.name", "adam"])
    assert given["name"] == "--optimizer.name"


def test_errors_go_to_standard_error(capsys):
    with pytest.raises(SystemExit, match="2"):
        refusal.refuse(ValueError("`output` is wrong"), FLAGS)
    assert capsys.readouterr() == ("", "error: `output` is wrong (--output)\n")


def test_shards_are_told_with_the_speed_of_the_new_ones():
    stream, now = io.StringIO(), [0.0]
    progress = ShardProgress(4, stream, lambda: now[0])
    for now[0], new in ((0.0, False), (40.0, True), (50.0, True), (100.0, True)):
        progress({"images": 1000}, new)
    progress.end()
    assert stream.getvalue().splitlines() == [
        "2 of 4 shards, 2,000 images, 25 images/s, 0 h 01 min left",
        "4 of 4 shards, 4,000 images, 30 images/s, 0 h 00 min left",
    ]
