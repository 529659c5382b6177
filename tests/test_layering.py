"""Imports point only downward, and a framework comes in only where its floor may have one.

Reads the sources; runs nothing of them. An import inside a function counts as an edge like any other, but a framework
may be imported there where only the top level of a module must be free of it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import keras_resnet

ROOT = Path(__file__).parents[1]
FACTS, INTENT, PARTS, VERBS, JOINERY = range(5)

STANDARD_LIBRARY = frozenset[str]()  # the standard library alone, everywhere in the module
KERAS = frozenset({"keras", "numpy"})  # runs on every backend: no backend at the top level
ANYTHING = None


@dataclass(frozen=True)
class Place:
    """A module's floor, the modules on the same floor that it may import, and what else its top level may import."""

    floor: int
    beside: frozenset[str] = frozenset()
    libraries: frozenset[str] | None = ANYTHING


def place(floor: int, *beside: str, libraries: frozenset[str] | None = ANYTHING) -> Place:
    return Place(floor, frozenset(beside), libraries)


# A package stands for all that is in it, unless a module of it has a row of its own.
PLACES = {
    "__init__": place(FACTS, libraries=frozenset({"wrapt"})),
    "architectures": place(FACTS, libraries=STANDARD_LIBRARY),
    "datasets": place(FACTS, libraries=STANDARD_LIBRARY),
    "paper": place(FACTS, libraries=STANDARD_LIBRARY),
    "forms": place(FACTS, "architectures", libraries=STANDARD_LIBRARY),
    "checks": place(INTENT, libraries=STANDARD_LIBRARY),
    "config": place(INTENT, "checks", libraries=STANDARD_LIBRARY),
    "layers": place(PARTS, libraries=KERAS),
    "blocks": place(PARTS, "layers", libraries=KERAS),
    "carried": place(PARTS, libraries=KERAS),
    "residual_network": place(PARTS, "carried", libraries=KERAS),
    "conversion": place(PARTS, "layers", "residual_network", libraries=KERAS),
    "weights": place(PARTS, "carried", "conversion", "residual_network", libraries=KERAS),
    "pretrained": place(PARTS, "conversion", "weights", libraries=KERAS),
    "networks": place(PARTS, "layers", "blocks", "pretrained", "residual_network", "weights", libraries=KERAS),
    "preprocessing": place(PARTS, libraries=KERAS),
    "folding": place(PARTS, "layers", "residual_network", libraries=KERAS),
    "optimizers": place(PARTS, libraries=KERAS),
    "schedules": place(PARTS, libraries=KERAS),
    "metrics": place(PARTS),
    "files": place(PARTS, libraries=STANDARD_LIBRARY),
    "processors": place(PARTS, libraries=STANDARD_LIBRARY),
    "data": place(PARTS, "files", "processors"),
    "rendezvous": place(PARTS, libraries=STANDARD_LIBRARY),
    "distribution": place(PARTS, "processors", "rendezvous"),
    "runs": place(VERBS, libraries=STANDARD_LIBRARY),
    "evaluation": place(VERBS),
    "training": place(VERBS, "evaluation", "runs"),
    "training.history": place(VERBS, "runs", libraries=STANDARD_LIBRARY),
    "evaluation.agreement": place(VERBS, libraries=STANDARD_LIBRARY),
    "evaluation.intervals": place(VERBS, libraries=STANDARD_LIBRARY),
    "export": place(VERBS),
    "export.formats": place(VERBS, libraries=STANDARD_LIBRARY),
    "reporting": place(JOINERY),
    "reporting.architecture_table": place(JOINERY, libraries=STANDARD_LIBRARY),
    "reporting.departures": place(JOINERY, libraries=STANDARD_LIBRARY),
    "reporting.model_card": place(JOINERY, "reporting.departures", libraries=STANDARD_LIBRARY),
    "reporting.page": place(JOINERY, libraries=STANDARD_LIBRARY),
    "reporting.study_table": place(JOINERY, "reporting.architecture_table", "studies", libraries=STANDARD_LIBRARY),
    "studies": place(JOINERY, libraries=STANDARD_LIBRARY),
    "assembly": place(JOINERY),
    "trained": place(JOINERY, "assembly"),
    "experiment": place(JOINERY, "assembly", "jax_experiment", "reporting", "reporting.model_card"),
    "jax_experiment": place(JOINERY, "experiment"),
    "tuning": place(JOINERY, "assembly", "experiment", "reporting"),
}

RECIPES = {path.relative_to(ROOT / "recipes").parts[0].removesuffix(".py") for path in ROOT.glob("recipes/**/*.py")}
RECIPE_LIBRARIES = frozenset({"tyro"})
HOMELESS = {"utils", "util", "common", "helpers", "helper", "base", "misc"}


@dataclass(frozen=True)
class Import:
    """One imported module or name, and whether importing the importer runs the import."""

    name: str
    line: int
    top_level: bool


def imports(source: str) -> Iterator[Import]:
    """Every import of a source; `keras_resnet.name` written out is one as well, for the front door is lazy."""

    def visit(node: ast.AST, top_level: bool) -> Iterator[Import]:
        match node:
            case ast.Import(names=names):
                yield from (Import(alias.name, node.lineno, top_level) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                origin = "." * level + (module or "")
                yield from (Import(f"{origin}.{alias.name}", node.lineno, top_level) for alias in names)
            case ast.Attribute(value=ast.Name(id="keras_resnet"), attr=name):
                yield Import(f"keras_resnet.{name}", node.lineno, top_level)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda() | ast.If(test=ast.Name(id="TYPE_CHECKING")):
                top_level = False
        for child in ast.iter_child_nodes(node):
            yield from visit(child, top_level)

    return visit(ast.parse(source), True)


def row(name: str) -> str | None:
    """The row of PLACES that a full name such as `keras_resnet.layers.shortcuts.SHORTCUTS` belongs to."""
    parts = name.split(".")[1:] or ["__init__"]
    parts[0] = keras_resnet._MODULES.get(parts[0], parts[0])
    longest_first = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((prefix for prefix in longest_first if prefix in PLACES), None)


def offences(module: str, source: str) -> list[str]:
    """What a module of the package, such as `layers.shortcuts`, imports and must not, in a few words each."""
    importer = row(f"keras_resnet.{module}")
    if importer is None:
        return [f"{module} has no place in PLACES"]
    found = []
    for imported in imports(source):
        library = imported.name.split(".")[0]
        wrong = (
            edge(importer, imported) if library == "keras_resnet" else outside(importer, library, imported.top_level)
        )
        if wrong:
            found.append(f"{module}, line {imported.line}: {wrong}")
    return found


def outside(importer: str, library: str, top_level: bool) -> str | None:
    """What is wrong with importing a library, if anything."""
    allowed = PLACES[importer].libraries
    if not library:
        return "relative import"
    if library in RECIPES:
        return f"imports the recipe {library}"
    if allowed is ANYTHING or library in sys.stdlib_module_names or library in allowed:
        return None
    return f"imports {library}" if top_level or allowed == STANDARD_LIBRARY else None


def edge(importer: str, imported: Import) -> str | None:
    """What is wrong with an import inside the package, if anything."""
    target = row(imported.name) or "__init__"
    here, there = PLACES[importer], PLACES[target]
    if target == "__init__" or target.split(".")[0] == importer.split(".")[0]:
        return None
    if target == "config" and here.floor in (PARTS, VERBS):
        return f"{importer} -> config: a part or a verb takes plain arguments"
    if there.floor > here.floor:
        return f"{importer} -> {target} points upward"
    if there.floor == here.floor and target not in here.beside:
        return f"{importer} -> {target} points sideways"
    return None


def recipe_offences(recipe: str, source: str) -> list[str]:
    """What a recipe imports at its top level that would delay the answer to a wrong command line."""
    found = []
    for imported in imports(source):
        library = imported.name.split(".")[0]
        if library == "keras_resnet":
            quick = PLACES[row(imported.name) or "__init__"].libraries == STANDARD_LIBRARY
        else:
            quick = library in sys.stdlib_module_names or library in RECIPES | RECIPE_LIBRARIES
        if imported.top_level and not quick:
            found.append(f"{recipe}, line {imported.line}: imports {imported.name} before the command line is accepted")
    return found


def sources(folder: str) -> dict[str, str]:
    """The sources below a folder of the repository by dotted name; a package by its own."""
    start = ROOT / folder
    names = {path: ".".join(path.relative_to(start).with_suffix("").parts) for path in sorted(start.rglob("*.py"))}
    return {name.removesuffix(".__init__"): path.read_text(encoding="utf-8") for path, name in names.items()}


PACKAGE, SCRIPTS = sources("keras_resnet"), sources("recipes")


@pytest.mark.parametrize("module", PACKAGE)
def test_imports_point_downward(module):
    assert offences(module, PACKAGE[module]) == []


@pytest.mark.parametrize("recipe", SCRIPTS)
def test_recipes_answer_before_a_framework_is_imported(recipe):
    assert recipe_offences(recipe, SCRIPTS[recipe]) == []


@pytest.mark.parametrize("name", [*PACKAGE, *SCRIPTS])
def test_every_function_has_a_home(name):
    assert not HOMELESS & set(name.split("."))


def test_the_sources_were_found():
    assert {"__init__", "architectures", "layers", "layers.shortcuts"} <= set(PACKAGE)
    assert {"train", "summarize"} <= set(SCRIPTS)


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("nowhere", "", "nowhere has no place in PLACES"),
        ("layers.shortcuts", "from keras_resnet.blocks import conv", "layers -> blocks points sideways"),
        ("layers.shortcuts", "from keras_resnet import training", "layers -> training points upward"),
        ("layers.shortcuts", "def f():\n    import keras_resnet.training.loop", "layers -> training points upward"),
        ("layers.shortcuts", "import tensorflow as tf", "imports tensorflow"),
        ("layers.shortcuts", "from tensorflow.raw_ops import FusedBatchNormV3", "imports tensorflow"),
        ("layers.shortcuts", "try:\n    import jax\nexcept ImportError:\n    pass", "imports jax"),
        ("layers.shortcuts", "from .batch_normalization import BatchNormalization", "relative import"),
        ("blocks", "from keras_resnet import ResNet50", "blocks -> networks points sideways"),
        ("blocks", "import keras_resnet\nf = lambda: keras_resnet.ResNet50()", "blocks -> networks points sideways"),
        ("data.cifar", "from keras_resnet.config import DataConfig", "data -> config: a part or a verb takes plain"),
        ("training.loop", "from keras_resnet.config import Recipe", "training -> config: a part or a verb takes plain"),
        ("training.loop", "from keras_resnet.reporting import curves", "training -> reporting points upward"),
        ("config", "import numpy as np", "imports numpy"),
        ("config", "def f():\n    import keras", "imports keras"),
        ("config", "from keras_resnet.layers import SHORTCUTS", "config -> layers points upward"),
        ("paper", "from keras_resnet.architectures import IMAGENET", "paper -> architectures points sideways"),
        ("experiment", "from train import main", "imports the recipe train"),
    ],
)
def test_a_wrong_import_is_named(module, source, wrong):
    [found] = offences(module, source)
    assert wrong in found


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("layers.shortcuts", "import keras\nfrom keras_resnet.layers.batch_normalization import BatchNormalization"),
        ("layers.shortcuts", "def f():\n    import tensorflow as tf"),
        ("layers.shortcuts", "if TYPE_CHECKING:\n    import tensorflow as tf"),
        ("networks", "from keras_resnet import architectures, blocks, checks"),
        ("runs", "import keras_resnet\nversion = keras_resnet.__version__"),
        ("experiment", "import tensorflow\nfrom keras_resnet import SGD, config, training, data"),
    ],
)
def test_a_right_import_is_let_through(module, source):
    assert offences(module, source) == []


@pytest.mark.parametrize("line", ["import keras", "import numpy", "from keras_resnet import networks, ResNet50"])
def test_a_slow_recipe_is_named(line):
    assert all("before the command line is accepted" in offence for offence in recipe_offences("train", line))
    assert recipe_offences("train", line)
    assert not recipe_offences("train", f"def main():\n    {line}")
