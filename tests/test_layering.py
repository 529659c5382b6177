"""Imports point only downward through the rooms, and a framework comes in only where its room may have one.

Reads the sources; runs nothing of them. An import inside a function counts as an edge like any other, but a framework
may be imported there where only the top level of a module must be free of it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import keras_resnet

ROOT = Path(__file__).parents[1]

STANDARD_LIBRARY = frozenset[str]()  # the standard library alone, everywhere in the room
NUMPY = frozenset({"numpy"})
KERAS = frozenset({"keras", "numpy"})  # runs on every backend: no backend at the top level
ANYTHING = None

RECIPES_ARE_READ_IN = {"experiment", "reproduction", "search", "reporting", "inference", "config"}
"""The rooms that know what a recipe is. A part takes plain arguments."""

NEVER = {("inference", "training")}
"""What would point downward, and must not be all the same: whoever uses a network does not train."""


@dataclass(frozen=True)
class Room:
    """A room, and what its modules may import from outside at their top level."""

    name: str
    libraries: frozenset[str] | None = ANYTHING


HOUSE = (
    Room("experiment"),
    Room("search", STANDARD_LIBRARY),
    Room("reproduction", STANDARD_LIBRARY),
    Room("reporting", STANDARD_LIBRARY),
    Room("inference"),
    Room("export"),
    Room("preflight", STANDARD_LIBRARY),
    Room("training"),
    Room("analysis"),
    Room("evaluation"),
    Room("runs", STANDARD_LIBRARY),
    Room("data"),
    Room("models", KERAS),
    Room("weights", NUMPY),
    Room("optimization", KERAS),
    Room("host", STANDARD_LIBRARY),
    Room("config", STANDARD_LIBRARY),
    Room("facts", STANDARD_LIBRARY),
    Room("validation", STANDARD_LIBRARY),
    Room("", frozenset({"wrapt"})),  # the front door
)
"""From the roof down: each may import those below it."""

MODULES_APART: dict[str, frozenset[str] | None] = {
    # a figure is drawn with matplotlib
    "reproduction.figure": ANYTHING,
    "reporting.curves_figure": ANYTHING,
    "reporting.html.curves": ANYTHING,
    "search.oracles": ANYTHING,
    "data.places": STANDARD_LIBRARY,
    "evaluation.ensembles": STANDARD_LIBRARY,
    "evaluation.error_rates": STANDARD_LIBRARY,
    "evaluation.intervals": STANDARD_LIBRARY,
    "export.formats": STANDARD_LIBRARY,
    "inference.labelled_images": STANDARD_LIBRARY,
}
"""Modules that differ from their room in what their top level may import."""

FLOORS = {room.name: floor for floor, room in enumerate(HOUSE)}
PROGRAMS = {path.relative_to(ROOT / "recipes").parts[0].removesuffix(".py") for path in ROOT.glob("recipes/**/*.py")}
PROGRAM_LIBRARIES = frozenset({"tyro"})
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


def place(name: str) -> list[str]:
    """The parts of a module's name within the package; a public name is that of the module which has it."""
    parts = name.split(".")[1:]
    if parts and parts[0] in keras_resnet._MODULES:
        parts = keras_resnet._MODULES[parts[0]].split(".")
    return parts


def room(name: str) -> str:
    """The room of a full name such as `keras_resnet.models.layers.shortcuts.SHORTCUTS`; `""` for the front door."""
    parts = place(name)
    return parts[0] if parts and (parts[0] in FLOORS or (ROOT / "keras_resnet" / parts[0]).exists()) else ""


def libraries(module: str) -> frozenset[str] | None:
    """What a module's top level may import from outside the package."""
    return MODULES_APART.get(module, HOUSE[FLOORS[module.split(".")[0]]].libraries)


def offences(module: str, source: str) -> list[str]:
    """What a module of the package, such as `models.blocks`, imports and must not, in a few words each."""
    here = module.split(".")[0]
    if here not in FLOORS:
        return [f"{module} is in no room"]
    found = []
    for imported in imports(source):
        library = imported.name.split(".")[0]
        wrong = edge(here, imported) if library == "keras_resnet" else outside(module, library, imported.top_level)
        if wrong:
            found.append(f"{module}, line {imported.line}: {wrong}")
    return found


def outside(module: str, library: str, top_level: bool) -> str | None:
    """What is wrong with importing a library, if anything."""
    allowed = libraries(module)
    if not library:
        return "relative import"
    if library in PROGRAMS:
        return f"imports the program {library}"
    if allowed is ANYTHING or library in sys.stdlib_module_names or library in allowed:
        return None
    return f"imports {library}" if top_level else None


def edge(here: str, imported: Import) -> str | None:
    """What is wrong with an import inside the package, if anything."""
    there = room(imported.name)
    if there in ("", here):
        return None
    if there == "config" and here not in RECIPES_ARE_READ_IN:
        return f"{here} -> config: a part takes plain arguments"
    if FLOORS[there] < FLOORS[here]:
        return f"{here} -> {there} points upward"
    return f"{here} -> {there} must not be" if (here, there) in NEVER else None


def program_offences(program: str, source: str) -> list[str]:
    """What a program imports at its top level that would delay the answer to a wrong command line."""
    found = []
    for imported in imports(source):
        library = imported.name.split(".")[0]
        if library == "keras_resnet":
            module = ".".join(place(imported.name))
            quick = not room(imported.name) or is_quick(module)
        else:
            quick = library in sys.stdlib_module_names or library in PROGRAMS | PROGRAM_LIBRARIES
        if imported.top_level and not quick:
            found.append(
                f"{program}, line {imported.line}: imports {imported.name} before the command line is accepted"
            )
    return found


def is_quick(name: str) -> bool:
    """Whether the module of a name within the package imports the standard library alone."""
    module = name if name in PACKAGE else name.rpartition(".")[0]
    return libraries(module) == STANDARD_LIBRARY


def circle() -> list[str]:
    """Modules that import one another in a circle, also inside functions; empty where there are none."""

    def module(name: str) -> str:
        parts = place(name)
        while parts and ".".join(parts) not in PACKAGE:
            parts = parts[:-1]
        return ".".join(parts)

    graph = {
        importer: {module(one.name) for one in imports(source) if one.name.split(".")[0] == "keras_resnet"}
        - {importer, ""}
        for importer, source in PACKAGE.items()
        if importer != "__init__"
    }
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def sources(folder: str) -> dict[str, str]:
    """The sources below a folder of the repository by dotted name; a package by its own."""
    start = ROOT / folder
    names = {path: ".".join(path.relative_to(start).with_suffix("").parts) for path in sorted(start.rglob("*.py"))}
    return {name.removesuffix(".__init__"): path.read_text(encoding="utf-8") for path, name in names.items()}


PACKAGE, SCRIPTS = sources("keras_resnet"), sources("recipes")
LATE = ("benchmarks.grain_input", "benchmarks.tensorflow_input")
"""Modules of programs that are imported by their names in a table, once the command line is accepted."""


def test_imports_point_downward():
    assert {"validation", "facts.architectures", "models.layers.shortcuts"} <= set(PACKAGE), "the sources were found"
    wrong = [wrong for module, source in PACKAGE.items() if module != "__init__" for wrong in offences(module, source)]
    assert wrong == []
    assert {room.name for room in HOUSE} == {room(f"keras_resnet.{module}") for module in PACKAGE}
    assert circle() == []
    assert [name for name in [*PACKAGE, *SCRIPTS] if HOMELESS & set(name.split("."))] == [], "a home is missing"


def test_images_are_read_without_tensorflow():
    """Not even inside functions, but for those that tf.data reads, and for the preparation of ImageNet."""
    apart = ("data.tensorflow", "data.preparation")
    wrong = [
        f"{module}, line {imported.line}: {imported.name}"
        for module, source in PACKAGE.items()
        if module.startswith("data.") and not module.startswith(apart)
        for imported in imports(source)
        if imported.name.startswith(("tensorflow", "keras_resnet.data.tensorflow"))
    ]
    assert wrong == []


def test_programs_answer_before_a_framework_is_imported():
    assert {"train", "summarize"} <= set(SCRIPTS), "the sources were found"
    programs = {name: source for name, source in SCRIPTS.items() if name not in LATE}
    assert len(programs) == len(SCRIPTS) - len(LATE), "the sources were found"
    assert [wrong for program, source in programs.items() for wrong in program_offences(program, source)] == []
    assert [one.name for source in programs.values() for one in imports(source) if one.name.startswith(LATE)] == []


WRONG = {
    ("nowhere", ""): "nowhere is in no room",
    ("models.blocks", "from keras_resnet import training"): "models -> training points upward",
    ("models.blocks", "def f():\n    import keras_resnet.training.trainer"): "models -> training points upward",
    ("models.blocks", "import tensorflow as tf"): "imports tensorflow",
    ("models.blocks", "from tensorflow.raw_ops import FusedBatchNormV3"): "imports tensorflow",
    ("models.blocks", "try:\n    import jax\nexcept ImportError:\n    pass"): "imports jax",
    ("models.blocks", "from .resnet import ResNet"): "relative import",
    ("weights.arrays", "from keras_resnet import ResNet50"): "weights -> models points upward",
    ("weights.arrays", "import keras_resnet\nf = lambda: keras_resnet.ResNet50()"): "weights -> models points upward",
    ("data.order", "from keras_resnet.config.recipe import DataConfig"): "data -> config: a part takes plain arguments",
    ("training.trainer", "from keras_resnet.config.recipe import Recipe"): "training -> config: a part takes plain",
    ("training.trainer", "from keras_resnet.reporting import curves_figure"): "training -> reporting points upward",
    ("inference.pictures", "from keras_resnet.training import trainer"): "inference -> training must not be",
    ("config.recipe", "import numpy as np"): "imports numpy",
    ("config.recipe", "from keras_resnet.models import resnet"): "config -> models points upward",
    ("experiment.run", "from train import main"): "imports the program train",
}
RIGHT = {
    ("models.blocks", "import keras\nfrom keras_resnet.models.layers import BatchNormalization"),
    ("models.blocks", "def f():\n    import tensorflow as tf"),
    ("models.blocks", "if TYPE_CHECKING:\n    import tensorflow as tf"),
    ("models.resnet", "from keras_resnet import validation\nfrom keras_resnet.facts import architectures"),
    ("runs.directory", "import keras_resnet\nversion = keras_resnet.__version__"),
    ("experiment.run", "import tensorflow\nfrom keras_resnet import SGD, config, training, data"),
}


def test_the_tests_above_see_what_is_wrong():
    for (module, source), wrong in WRONG.items():
        assert [wrong in found for found in offences(module, source)] == [True], (module, source)
    assert [offences(module, source) for module, source in RIGHT] == [[]] * len(RIGHT)
    for line in (
        "import keras",
        "import numpy",
        "from keras_resnet.models import resnet",
        "import keras_resnet.models",
    ):
        assert program_offences("train", line), line
        assert not program_offences("train", f"def main():\n    {line}")
