"""The guides and the reference: what they link, name, print and run is there."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

import departures
import keras_resnet
from catalog import RECIPES
from keras_resnet.facts import architectures

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {str(page.relative_to(DOCS)): page.read_text(encoding="utf-8") for page in sorted(DOCS.rglob("*.md"))}
REFERENCE = "\n".join(text for page, text in PAGES.items() if page.startswith("reference/"))
GUIDES = {"README.md": (ROOT / "README.md").read_text(encoding="utf-8"), **PAGES}
LAYERING = (ROOT / "tests/test_layering.py").read_text(encoding="utf-8")
PYTHON = [
    (name, block) for name, text in GUIDES.items() for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)
]


def without_code(text: str) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def anchor(heading: str) -> str:
    """What a heading is linked by, in the site and on the pages of a repository alike."""
    plain = unicodedata.normalize("NFKD", heading.replace("`", "")).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", plain).strip())


def anchors(page: str) -> set[str]:
    return {anchor(heading) for heading in re.findall(r"^#+ (.*)$", PAGES[page], re.MULTILINE)}


def definition(path: str) -> ast.FunctionDef | ast.ClassDef:
    """What a directive of the reference names, read off the sources as the generator reads it."""
    module, _, name = path.rpartition(".")
    tree = ast.parse((ROOT / module.replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8"))
    [found] = [node for node in tree.body if getattr(node, "name", None) == name]
    return found


def test_the_site_has_every_page_once():
    configuration = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"- (?:[A-Z]\w+: )?(\S+\.md)$", configuration, re.MULTILINE)
    assert "index.md" in listed
    assert sorted(listed) == sorted(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere_in_the_site(page):
    for target in re.findall(r"\]\(([^)]+)\)", without_code(PAGES[page])):
        file, _, part = target.partition("#")
        place = (DOCS / page).parent / file if file else DOCS / page
        assert place.is_file(), target
        assert place.resolve().is_relative_to(DOCS), f"{target} is outside of the site"
        assert not part or part in anchors(str(place.resolve().relative_to(DOCS))), target


def test_every_file_that_is_named_exists():
    named = {(page, file) for page, text in PAGES.items() for file in re.findall(r"\brecipes/[\w./-]+\w", text)}
    assert len(named) >= 20
    assert [(page, file) for page, file in sorted(named) if not (ROOT / file).exists()] == []


def test_the_architecture_names_rooms_that_exist_and_no_other():
    text = PAGES["architecture.md"].partition("## The rooms")[2].partition("Outside of the package")[0]
    rows = re.findall(
        r'^    Room\("(\w+)"', (ROOT / "tests/test_layering.py").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len(rows) > 10
    assert re.findall(r"^\| `(\w+)(?:/|\.py)`", text, re.MULTILINE) == rows


def test_the_architecture_names_files_that_exist():
    files = set(re.findall(r"`([\w/]+\.py)[:`]", PAGES["architecture.md"]))
    assert len(files) >= 30
    places = [ROOT, ROOT / "keras_resnet"]
    assert [file for file in sorted(files) if not any((place / file).is_file() for place in places)] == []


def test_the_journeys_stop_where_something_is():
    stops = re.findall(r"^\d+\. `([\w/]+\.py):([\w.]+)`", PAGES["architecture.md"], re.MULTILINE)
    assert len(stops) >= 25
    for file, name in stops:
        source = ROOT / file if file.startswith("recipes/") else ROOT / "keras_resnet" / file
        assert name in defined(source), f"{file}:{name}"


def defined(source: Path) -> set[str]:
    """The names that a source defines at its top level, and in its classes as `Class.method`."""
    names = set()
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name=name):
                names.add(name)
            case ast.ClassDef(name=name, body=body):
                names |= {name, *(f"{name}.{inner.name}" for inner in body if isinstance(inner, ast.FunctionDef))}
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return names


def test_every_recipe_that_is_named_exists():
    text = "\n".join(PAGES.values())
    named = set(re.findall(r"recipes/\w+\.py(?: input)? ([a-z][a-z0-9]+-[a-z]+[0-9]+)\b", text))
    named |= set(re.findall(r"`([a-z0-9]+-(?:resnet|plain)[0-9]+[a-z0-9-]*)`", text))
    assert len(named) >= 8
    assert named <= set(RECIPES)


def test_every_public_name_is_in_the_reference():
    public = set(keras_resnet.__all__) - {"__version__"}
    described = set(re.findall(r"^::: [\w.]+\.(\w+)$", REFERENCE, re.MULTILINE)) | set(
        re.findall(r"`(?:keras_resnet\.)?(\w+)`", REFERENCE)
    )
    assert "ResNet50" in public
    assert public - described == set()


def test_the_reference_takes_every_public_name_from_where_it_is():
    directives = re.findall(r"^::: (\S+)$", REFERENCE, re.MULTILINE)
    assert len(directives) >= 15
    assert [path for path in directives if not ast.get_docstring(definition(path))] == []


@pytest.mark.parametrize(
    "name", [name for name in keras_resnet.__all__ if re.fullmatch(r"(Cifar)?(Res|Plain)Net\d+", name)]
)
def test_the_weights_of_each_network_are_those_of_the_arithmetic(name):
    cifar, kind, depth = re.fullmatch(r"(Cifar)?(Res|Plain)Net(\d+)", name).groups()
    architecture = architectures.cifar(int(depth)) if cifar else architectures.imagenet(int(depth))
    shortcut = None if kind == "Plain" else "A" if cifar else "B"
    trained = architectures.count(architecture, shortcut=shortcut).trainable
    assert f"| `{name}` | {trained:,} |" in REFERENCE


def test_the_list_of_departures_is_that_of_the_docstrings():
    listed = PAGES["departures.md"].partition(departures.BEGIN)[2].partition(departures.END)[0]
    assert listed == departures.listing()
    assert len(listed.splitlines()) >= 4


def test_the_figure_of_the_site_is_that_of_the_record():
    assert (DOCS / "images/figure6.png").read_bytes() == (
        ROOT / "recipes/reports/cifar10-half/figure6.png"
    ).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("page", "block"), PYTHON)
def test_the_python_of_the_guides_runs(page, block):
    subprocess.run([sys.executable, "-c", block], check=True, timeout=250)


@pytest.mark.slow
def test_the_counts_in_the_guides_are_those_that_their_python_prints():
    [block] = [block for _, block in PYTHON if "architectures.count" in block]
    run = subprocess.run([sys.executable, "-c", block], check=True, capture_output=True, text=True, timeout=60)
    assert f"# {run.stdout.strip()}" in block
