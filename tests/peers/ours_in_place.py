"""A plugin of pytest for a process in which Keras's own tests meet our classes in the place of Keras's.

`OURS_IN_PLACE` names a row of `SUITES`, and is empty for Keras's own classes; `OUTCOMES` names the file for the outcome
of each test.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from pkgutil import resolve_name

from keras_suites import SUITES, Ours

_outcomes: dict[str, str] = {}


def set_defaults(function: Callable, values: Mapping[str, object]) -> None:
    """Gives arguments of a function other defaults; it stays the same function, whose signature Keras reads."""
    defaults = {
        name: values.get(name, parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not parameter.empty
    }
    keywords = function.__kwdefaults__ or {}
    function.__defaults__ = tuple(value for name, value in defaults.items() if name not in keywords) or None
    function.__kwdefaults__ = {name: defaults[name] for name in keywords} or None


def put_in_place(row: Ours) -> None:
    """Puts one of ours where Keras has its own."""
    ours = resolve_name(row.name)
    if inspect.isfunction(ours):
        ours = functools.partial(ours, **row.defaults)
        ours.__name__ = row.places[0].rpartition(".")[2]  # by which Keras calls its tests
    elif row.defaults:
        set_defaults(ours.__init__, row.defaults)
    for place in row.places:
        module, _, name = place.rpartition(".")
        holder = resolve_name(module)
        if isinstance(holder, dict):
            holder[name] = ours
        else:
            setattr(holder, name, ours)


def pytest_configure(config):
    # The conftest.py of Keras's repository declares it, and is not installed with Keras.
    config.addinivalue_line("markers", "requires_trainable_backend: of Keras")
    if suite := os.environ["OURS_IN_PLACE"]:
        for row in SUITES[suite].ours:
            put_in_place(row)


def pytest_runtest_logreport(report):
    if report.outcome != "passed" or report.when == "call":
        _outcomes[report.nodeid.rpartition("/")[2]] = report.outcome


def pytest_sessionfinish():
    Path(os.environ["OUTCOMES"]).write_text(json.dumps(_outcomes), encoding="utf-8")
