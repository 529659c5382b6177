"""What tests of programs share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def loaded_once(monkeypatch, request) -> None:
    """Lets a program take a network that an earlier test of the module has loaded, if its files are still the same."""
    from keras_resnet.inference import trained_network

    load = trained_network.load
    loaded = request.getfixturevalue("loaded_networks")

    def load_once(source, preprocessing=None):
        path = Path(source)
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        key = (str(source), preprocessing, *((file.name, file.stat().st_mtime_ns) for file in files if file.is_file()))
        if key not in loaded:
            loaded[key] = load(source, preprocessing)
        return loaded[key]

    monkeypatch.setattr(trained_network, "load", load_once)


@pytest.fixture(scope="module")
def loaded_networks() -> dict:
    """The networks that the tests of a module have loaded."""
    return {}
