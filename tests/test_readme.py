"""The README is short, and what it says is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

from catalog import RECIPES
from keras_resnet.facts import paper

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCHEDULES = {"whole": 1, "half": 1 / 2, "an eighth": 1 / 8}


def test_it_is_short():
    assert len(README.splitlines()) <= 150


def test_every_link_leads_somewhere():
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^):]+)\)", README)]
    assert len(targets) >= 10
    assert [target for target in targets if not (ROOT / target).is_file()] == []


def test_every_program_has_one_line():
    table = README.partition("## The programs")[2].partition("## ")[0]
    described = re.findall(r"^\| `(\w+\.py)", table, re.MULTILINE)
    files = {file.name: file.read_text(encoding="utf-8") for file in ROOT.glob("recipes/*.py")}
    programs = [name for name, text in files.items() if f"python recipes/{name}" in text]
    assert "train.py" in programs
    assert sorted(described) == sorted(programs)


def test_every_recipe_that_it_names_exists():
    named = re.findall(r"recipes/train\.py ([a-z][^\s/]+)\s", README)
    assert named
    assert set(named) <= set(RECIPES)


def test_the_commands_of_continuous_integration_are_those_of_the_readme():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = re.findall(r"\bmake ([a-z-]+)", README)
    assert {"train", "test", "setup", "docs"} <= set(named) <= set(targets)
    assert "make check test" in (ROOT / ".ci/run").read_text(encoding="utf-8")


def results():
    """The rows of the table of results: network, schedule, error here, images, error in the paper, record."""
    rows = [
        [cell.strip(" *") for cell in row.strip("|").split("|")] for row in README.splitlines() if "| 1,000 |" in row
    ]
    return [(*row[:5], ROOT / re.search(r"\((.*)/README\.md\)", row[5])[1]) for row in rows]


def recorded(record: Path, network: str):
    """The results of the runs of a network that a record holds."""
    name = "cifar10-" + network.lower().replace("-", "")
    found = [json.loads(file.read_text(encoding="utf-8")) for file in record.rglob("result.json")]
    return [result for result in found if result["recipe"] == name]


def test_every_result_is_that_of_its_record():
    assert len(results()) == 5
    for network, schedule, error, images, _, record in results():
        [result] = recorded(record, network)
        split = result["splits"].get("test", result["splits"]["validation"])
        assert f"{split['top1_error']:.2f}%" == error, network
        assert f"{split['images']:,}" == images, network
        assert result["schedule_scale"] == SCHEDULES[schedule], network


def test_every_number_of_the_paper_is_the_papers():
    printed = {result.name: f"{result.top1:.2f}%" for result in paper.TABLE_6.rows if result.top1}
    for network, _, _, _, error, _ in results():
        assert error == printed.get(network, "not printed"), network
