"""Packages that are installed and must not be found, as on a machine that does not have them."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import Any


class Without:
    """A finder of modules that does not find some packages.

    Entries of None in `sys.modules` would do less: packages that look there take them for imported ones.
    """

    def __init__(self, finder: MetaPathFinder, names: tuple[str, ...]):
        self.finder, self.names = finder, names

    def find_spec(self, name: str, *arguments: Any) -> Any:
        return None if name.partition(".")[0] in self.names else self.finder.find_spec(name, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.finder, name)


def hide(*names: str) -> None:
    """Makes packages absent for the rest of the process, in which none of them may have been imported."""
    assert not {module.partition(".")[0] for module in sys.modules} & set(names), "imported already"
    sys.meta_path[:] = [Without(finder, names) for finder in sys.meta_path]
