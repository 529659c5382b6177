"""The front door: what `import keras_resnet` costs and offers."""

from __future__ import annotations

import configparser
import importlib
import inspect
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import keras_resnet
from tiers import slow

ROOT = Path(__file__).parents[1]
NAMES = [name for name in keras_resnet.__all__ if name != "__version__"]


def run(program, **environment):
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, **environment)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_the_import_brings_no_framework():
    program = 'import sys, keras_resnet; dir(keras_resnet); print({"keras", "tensorflow", "numpy"} & set(sys.modules))'
    assert run(program) == "set()"


def test_facts_and_intent_bring_no_framework():
    program = """
import importlib, sys, keras_resnet
for module in ("facts.architectures", "facts.datasets", "facts.paper", "validation", "config.recipe", "runs.directory"):
    importlib.import_module(f"keras_resnet.{module}")
print({"keras", "tensorflow", "numpy"} & set(sys.modules))
"""
    assert run(program) == "set()"


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_exists_and_is_documented(name):
    value = getattr(keras_resnet, name)
    # A class that reads the weights of Keras's class has its name, in front of which stands what it does otherwise.
    assert name.endswith(value.__name__)
    assert inspect.getdoc(value)


def test_every_builder_is_public():
    networks = keras_resnet.models.resnet
    builders = {name for name in vars(networks) if name[0].isupper() and inspect.isfunction(getattr(networks, name))}
    assert builders == set(keras_resnet._NAMES["models.resnet"])


@pytest.mark.parametrize("module", ["models.layers", "optimization.optimizers"])
def test_every_registered_class_is_public(module):
    contents = vars(importlib.import_module(f"keras_resnet.{module}")).items()
    home = f"keras_resnet.{module}"
    ours = {name for name, value in contents if inspect.isclass(value) and value.__module__.startswith(home)}
    assert ours == set(keras_resnet._NAMES[module])


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "network.keras"
    keras_resnet.CifarResNet(depth=8, shortcut="A").save(path)
    return path


@pytest.mark.parametrize("order", ["import keras_resnet, keras", *slow(["import keras, keras_resnet"])])
def test_a_saved_network_loads_where_only_the_package_was_imported(saved, order):
    program = f"{order}; print(type(keras.saving.load_model({str(saved)!r})).__name__)"
    assert run(program) == "ResidualNetwork"


@pytest.mark.parametrize(
    "module", ["models.layers", *slow(sorted({*keras_resnet._MODULES.values()} - {"models.layers"}))]
)
def test_a_module_can_be_the_first_that_is_imported(module):
    """Before Keras, whose import registers our classes in the middle of that."""
    assert run(f"import keras_resnet.{module}; print('imported')") == "imported"


def test_every_module_that_registers_classes_is_brought_along_by_keras():
    sources = {path: path.read_text(encoding="utf-8") for path in (ROOT / "keras_resnet").rglob("*.py")}
    files = (path for path, text in sources.items() if "@keras.saving.register" in text)
    registering = {".".join(path.relative_to(ROOT / "keras_resnet").with_suffix("").parts) for path in files}
    assert {re.sub(r"(models.layers)\..*", r"\1", name) for name in registering} == set(keras_resnet._REGISTERING)


def test_dir_lists_names_and_modules():
    modules = {module.name for module in pkgutil.iter_modules(keras_resnet.__path__)}
    assert {*NAMES, *modules} <= set(dir(keras_resnet))
    assert {"facts", "models", "training"} <= modules


def test_modules_are_imported_when_first_used():
    assert run("import keras_resnet; print(keras_resnet.paper.TABLE_6.number)") == "6"


@pytest.mark.parametrize("name", ["ResNet35", "utils", "_private", "__wrapped__"])
def test_an_unknown_name_is_an_attribute_error(name):
    with pytest.raises(AttributeError, match=f"module 'keras_resnet' has no attribute '{name}'"):
        getattr(keras_resnet, name)


def test_an_error_inside_a_module_is_not_hidden(tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text("import a_module_that_nobody_has\n")
    monkeypatch.setattr(keras_resnet, "__path__", [*keras_resnet.__path__, str(tmp_path)])
    with pytest.raises(ModuleNotFoundError, match="a_module_that_nobody_has"):
        keras_resnet.broken  # noqa: B018


def test_types_are_shipped():
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    assert "py.typed" in metadata["options.package_data"]["keras_resnet"]
    assert (ROOT / "keras_resnet" / "py.typed").is_file()


def test_every_package_is_installed_and_the_programs_are_one_of_them():
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    options = metadata["options"]
    assert options["package_dir"].split() == ["keras_resnet_recipes", "=", "recipes"]
    folders = {
        file.parent.relative_to(ROOT) for room in ("keras_resnet", "recipes") for file in (ROOT / room).rglob("*.py")
    }
    names = {".".join(folder.parts) for folder in folders}
    assert set(options["packages"].split()) == {re.sub(r"^recipes\b", "keras_resnet_recipes", name) for name in names}
    assert all((ROOT / folder / "__init__.py").is_file() for folder in folders)
    assert metadata["options.entry_points"]["console_scripts"].split() == [
        "keras-resnet",
        "=",
        "keras_resnet_recipes.cli.launcher:main",
    ]


@pytest.mark.slow
def test_a_wheel_has_the_programs_and_its_command_runs_them(tmp_path):
    pytest.importorskip("setuptools", minversion="77", reason="it builds the wheel")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not in a repository")
    for name in filter(None, tracked.stdout.split("\0")):
        if not name.startswith("recipes/reports/") and (ROOT / name).is_file():
            (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tmp_path / "source" / name)
    build = f"from setuptools.build_meta import build_wheel; print(build_wheel({str(tmp_path)!r}))"
    built = subprocess.run(
        [sys.executable, "-c", build], cwd=tmp_path / "source", capture_output=True, text=True, check=True
    )
    with zipfile.ZipFile(tmp_path / built.stdout.splitlines()[-1]) as wheel:
        wheel.extractall(tmp_path / "installed")
    assert not list((tmp_path / "installed").rglob("reports")) + list((tmp_path / "installed").rglob("cluster"))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    code = "import sys; from keras_resnet_recipes.cli.launcher import main; sys.exit(main())"
    words = ["summarize", "20", "--no-built"]
    ran = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert "269,722" in ran.stdout


def test_the_version_is_in_the_changelog_and_the_citation():
    assert f"## [{keras_resnet.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
    assert f"version: {keras_resnet.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_constraints_are_names_and_versions_only():
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(line.count("==") == 1 and not set(line) & set(" +@/;\\") for line in pins)
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in pins}
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    extras = "\n".join(metadata["options.extras_require"].values())
    wanted = (metadata["options"]["install_requires"] + "\n" + extras).splitlines()
    names = {name.split(">=")[0] for name in wanted if name and not name.startswith("keras-residual")}
    assert names <= pinned


def test_no_package_has_two_versions():
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    names = [line.split("==")[0].lower().replace("_", "-").replace(".", "-") for line in pins]
    assert sorted(names) == sorted(set(names))


def test_a_dependency_is_pinned_to_a_version_that_it_may_have():
    """Of the package, of each of its extras, and of what those ask for within themselves."""
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pinned = {line.split("==")[0].lower().replace("_", "-"): line.split("==")[1] for line in pins}
    extras = metadata["options.extras_require"]
    for name, lines in {"": metadata["options"]["install_requires"], **extras}.items():
        for wanted in filter(None, lines.splitlines()):
            distribution, _, rest = wanted.partition("[")
            if distribution == metadata["metadata"]["name"]:
                assert set(rest.rstrip("]").split(",")) <= set(extras), f"[{name}]"
                continue
            requirement = Requirement(wanted)
            assert requirement.specifier.contains(pinned[requirement.name.lower().replace("_", "-")]), f"[{name}]"


@pytest.mark.parametrize("name", keras_resnet._MOVED)
def test_a_module_of_0_1_is_found_where_it_is_now(name):
    target = importlib.util.find_spec(f"keras_resnet.{keras_resnet._MOVED[name]}")
    assert target is not None
    assert importlib.util.find_spec(f"keras_resnet.{name}") is None, "it would be shadowed"


def test_a_module_of_0_1_is_imported_as_before():
    assert run("from keras_resnet import architectures, checks; print(architectures.__name__, checks.__name__)") == (
        "keras_resnet.facts.architectures keras_resnet.validation"
    )
