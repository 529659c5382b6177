from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import departures
from catalog import RECIPES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_list_of_departures_is_that_of_the_docstrings():
    listed = README.partition(departures.BEGIN)[2].partition(departures.END)[0]
    assert listed == departures.listing()
    assert len(listed.splitlines()) >= 4


def test_a_departure_is_found_in_classes_functions_and_modules(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    section = "Differs from the paper:\n    {} one\n    line.\n"
    (package / "parts.py").write_text(
        f'"""A module.\n\n{section.format("module")}"""\n\n'
        f"class Layer:\n"
        f'    """A class.\n\n    {section.format("class").replace(chr(10), chr(10) + "    ")}"""\n\n'
        f"def builder():\n"
        f'    """A function.\n\n    Raises:\n        ValueError: never.\n    """\n'
    )
    found = list(departures.departures(package))
    assert found == [("package.parts", "module one line."), ("package.parts.Layer", "class one line.")]


def test_every_recipe_that_the_readme_names_exists():
    named = re.findall(r"recipes/train\.py ([a-z][^\s/]+)\s", README)
    assert len(named) >= 3
    assert set(named) <= set(RECIPES)


def test_every_program_and_file_that_the_readme_names_exists():
    for file in {*re.findall(r"recipes/\w+\.py", README), *re.findall(r"\]\(([^)#:]+)\)", README)}:
        assert (ROOT / file).exists(), file


@pytest.mark.slow
@pytest.mark.parametrize("block", range(len(PYTHON_BLOCKS)))
def test_the_python_of_the_readme_runs(block):
    subprocess.run([sys.executable, "-c", PYTHON_BLOCKS[block]], check=True, timeout=250)


@pytest.mark.slow
def test_the_counts_in_the_readme_are_those_that_its_python_prints():
    [block] = [block for block in PYTHON_BLOCKS if "architectures.count" in block]
    run = subprocess.run([sys.executable, "-c", block], check=True, capture_output=True, text=True, timeout=60)
    assert f"# {run.stdout.strip()}" in block
