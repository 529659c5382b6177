"""The examples in the help of every program: each is a command line that the program accepts."""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import re
import shlex
from pathlib import Path

import pytest

import report
import tune
from catalog import RECIPES
from catalog.studies import STUDIES
from cli import program, recipe_line, suggestions
from invented_runs import invented_run

FOLDER = Path(suggestions.__file__).parents[1]
PROGRAMS = {path.stem: path for path in sorted(FOLDER.glob("*.py")) if path.stem != "__init__"}
EXAMPLE = re.compile(r" {4,}python recipes/(\w+)\.py(.*)")
OPEN = re.compile(r"\[flags of [\w/.]+\]|…")
"""What stands for more flags."""
STANDS_FOR = {"RECIPE": "cifar10-resnet20", "DEPTH": "20"}


def examples() -> list[tuple[str, str]]:
    """(program, words) of each example, with what is in brackets, and without it."""
    found = []
    for file in PROGRAMS.values():
        for line in (ast.get_docstring(ast.parse(file.read_bytes()), clean=False) or "").splitlines():
            if match := EXAMPLE.fullmatch(line):
                words = OPEN.sub("", re.split(r"\s{2,}", match[2].rstrip())[0])
                for given in dict.fromkeys((re.sub(r"\[.*?\]", "", words), words.replace("[", "").replace("]", ""))):
                    found.append((match[1], " ".join(given.split())))
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_shows_examples_of_itself(name):
    text = PROGRAMS[name].read_text(encoding="utf-8").partition('"""\n\nfrom')[0]
    assert {match[1] for match in map(EXAMPLE.fullmatch, text.splitlines()) if match} == {name}


@pytest.mark.parametrize(("name", "words"), examples())
def test_an_example_is_accepted(monkeypatch, tmp_path, name, words):
    """As far as the words go: what they name is not there."""
    monkeypatch.chdir(tmp_path)
    invented_run(Path("DIR"), RECIPES["digits-resnet8"])
    taken = []
    monkeypatch.setattr(program, "answer", lambda work, options, **_: taken.append(options) or 0)
    monkeypatch.setattr(recipe_line, "read", taking(recipe_line.read, taken))
    monkeypatch.setattr("train.main", lambda words: taken.append(recipe_line.read(words, "")) or 0)
    for function in ("prepare_imagenet.prepare", "prepare_imagenet.verify"):
        monkeypatch.setattr(function, lambda options: taken.append(options) or 0)
    given = [STANDS_FOR.get(word, word) for word in shlex.split(words)]
    with contextlib.redirect_stdout(io.StringIO()) as told, contextlib.redirect_stderr(io.StringIO()) as refused:
        try:
            status = importlib.import_module(name).main(given)
        except SystemExit as end:
            status = end.code
    assert (status, refused.getvalue()) == (0, "")
    assert taken or "--list" in words or "--help" in words
    assert taken or told.getvalue()


def taking(read, taken):
    def wrapped(*arguments):
        taken.append(read(*arguments))
        return taken[-1]

    return wrapped


def test_the_example_of_all_runs_makes_a_page(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        invented_run(Path("runs") / f"run-{number}", RECIPES["digits-resnet8"])
    Path("runs/README.md").write_text("About the runs")
    invented_run(Path("runs/tune-digits/trials/one"), RECIPES["digits-resnet8"])
    [words] = [words for name, words in examples() if name == "report" and "runs/*" in words]
    given = [str(path) for path in sorted(Path("runs").iterdir())]
    assert report.main([word for each in shlex.split(words) for word in (given if each == "runs/*" else [each])]) == 0
    assert Path("shortcuts.html").is_file()


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_can_be_searched_by_its_name_alone(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert tune.read(name, [], "").plan.name == STUDIES[name].recipe
