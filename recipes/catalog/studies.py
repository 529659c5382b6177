"""Studies: a recipe, and the axes along which it is changed.

Command:   python recipes/tune.py cifar10-shortcuts --run.data-directory DIR --seeds 5
Hardware:  that of the recipe, for each point and seed
Expected:  for ImageNet, Table 3: 28.54% error without shortcuts, 25.03% with A, 24.52% with B and 24.19% with C, in ten
           crops. The paper has no such figures for CIFAR-10. Neither has been run over its whole schedule;
           recipes/reports/shortcuts has the first at 1/200 of it
Source:    He et al., 2015, Section 4.1, "Identity vs. Projection Shortcuts"
"""

from __future__ import annotations

from dataclasses import dataclass

SHORTCUTS = "model.shortcut=None,A,B,C"


@dataclass(frozen=True)
class Study:
    """A question to recipes."""

    recipe: str
    """Its name in the catalog."""
    axes: tuple[str, ...]
    """As on the command line."""
    description: str
    """One line."""


STUDIES = {
    "cifar10-shortcuts": Study("cifar10-resnet20", (SHORTCUTS,), "the shortcuts of Table 3 in ResNet-20 on CIFAR-10"),
    "imagenet-shortcuts": Study("imagenet-resnet34", (SHORTCUTS,), "Table 3: the shortcuts in ResNet-34 on ImageNet"),
    "digits-shortcuts": Study("digits-resnet8", (SHORTCUTS,), "the same in ResNet-8 on digits, to see it work"),
}
"""Every study by its name."""
