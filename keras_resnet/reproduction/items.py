"""The tables and figures of the paper as data, and the recipes that each needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, cast

from keras_resnet.config import intervals
from keras_resnet.config.recipe import Precision, Recipe
from keras_resnet.facts import paper
from keras_resnet.facts.architectures import Shortcut
from keras_resnet.facts.paper import Result, Table

Network = tuple[int, Shortcut]
"""Depth and shortcut."""

Panel = tuple[str, tuple[str, ...]]
"""The title of one of a figure's diagrams, and the networks in it."""


@dataclass(frozen=True)
class Row:
    """A row of a study: what the paper prints, and our networks that it is compared with.

    `networks` is empty for other people's networks, and has several members for an ensemble. `mean` is the paper's
    top-1 error in percent over several runs, where it prints one beside the best.
    """

    paper: Result
    networks: tuple[Network, ...] = ()
    mean: float | None = None
    printed: str | None = None
    """The paper's top-1 error in words, where it is more than a number."""

    def error(self, measure: str) -> float | None:
        """The paper's error in percent that ours is compared with."""
        return self.mean if measure == "top1" and self.mean is not None else getattr(self.paper, measure)


@dataclass(frozen=True)
class Item:
    """A table or a figure of the paper that is made of measured networks.

    `view` is the test view; `"center"` is what a training itself measures at its end. `split` says which images the
    paper counted, and `same_split` is false where ours are others.
    """

    name: str
    caption: str
    dataset: Literal["cifar10", "imagenet"]
    split: str
    view: str
    rows: tuple[Row, ...]
    same_split: bool = True
    panels: tuple[Panel, ...] = ()
    responses: bool = False
    """Whether the figure shows the responses of the layers, not the errors over the iterations."""
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """`"Table 3: shortcuts and depths on ImageNet"`."""
        return f"{self.name[:-1].title()} {self.name[-1]}: {self.caption}"

    @property
    def measures(self) -> tuple[str, ...]:
        """The errors that the paper prints for its networks, or top-1 where it prints none."""
        printed = [m for m in ("top1", "top5") if any(getattr(row.paper, m) is not None for row in self.rows)]
        return tuple(printed) or ("top1",)


def row(result: Result) -> Row:
    """A row of a table of the paper."""
    if result.depth is None:
        return Row(result)
    mean = printed = None
    if result.depth == 110:
        mean, deviation = paper.RESNET_110_RUNS
        printed = f"{result.top1:.2f} ({mean:.2f} ± {deviation:.2f})"
    return Row(result, ((result.depth, cast(Shortcut, result.shortcut)),), mean, printed)


def table(item: Table, dataset: Literal["cifar10", "imagenet"], view: str) -> Item:
    """The study of a table of the paper, in which each row is a network."""
    rows = tuple(map(row, item.rows))
    return Item(f"table{item.number}", item.caption, dataset, f"{item.split} images, {item.view}", view, rows)


def figure(
    number: int, dataset: Literal["cifar10", "imagenet"], split: str, *panels: Panel, responses: bool = False
) -> Item:
    """The study of a figure of the paper. Its errors are those of Table 6 for the networks that are in both."""
    drawn = paper.FIGURES[number]
    printed = {(result.depth, result.shortcut): result for result in paper.TABLE_6.rows if dataset == "cifar10"}
    rows = []
    for depth, shortcut in drawn.networks:
        name = f"ResNet-{depth}" if shortcut else f"plain-{depth}"
        unprinted = Result(name, None, depth=depth, shortcut=shortcut)
        rows.append(row(printed.get((depth, shortcut), unprinted)))
    return Item(
        f"figure{number}", drawn.draws, dataset, split, "center", tuple(rows), panels=panels, responses=responses
    )


ENSEMBLE: tuple[Network, ...] = ((34, "B"), (34, "C"), (50, "B"), (101, "B"), (152, "B"), (152, "B"))
"""Section 3.4: "six models of different depth", two of them with 152 layers; the others are not named."""


def table_5() -> Item:
    """Table 5: our ensemble in the row of the paper's."""
    *others, winner = paper.TABLE_5.rows
    notes = (
        "The labels of the test images are not published: ours is measured on the validation images.",
        "The paper does not say which six networks it averaged, only that two of them had 152 layers; here ResNet-34 B "
        "and C, 50, 101 and twice 152.",
    )
    rows = (*map(Row, others), Row(winner, ENSEMBLE))
    split = "ImageNet test images (ours: validation), multi-scale"
    caption = paper.TABLE_5.caption
    return Item("table5", caption, "imagenet", split, "multi-scale", rows, same_split=False, notes=notes)


CIFAR_SPLIT = "CIFAR-10 test images, whole image"

ITEMS = {
    item.name: item
    for item in (
        figure(1, "cifar10", CIFAR_SPLIT, ("plain", ("plain-20", "plain-56"))),
        table(paper.TABLE_2, "imagenet", "10-crop"),
        table(paper.TABLE_3, "imagenet", "10-crop"),
        table(paper.TABLE_4, "imagenet", "multi-scale"),
        table_5(),
        table(paper.TABLE_6, "cifar10", "center"),
        figure(
            4,
            "imagenet",
            "ImageNet validation images, center crop",
            ("plain", ("plain-18", "plain-34")),
            ("ResNet", ("ResNet-18", "ResNet-34")),
        ),
        figure(
            6,
            "cifar10",
            CIFAR_SPLIT,
            ("plain", ("plain-20", "plain-32", "plain-44", "plain-56")),
            ("ResNet", ("ResNet-20", "ResNet-32", "ResNet-44", "ResNet-56", "ResNet-110")),
            ("ResNet, deep", ("ResNet-110", "ResNet-1202")),
        ),
        figure(7, "cifar10", CIFAR_SPLIT, responses=True),
    )
}
"""By name, every study that needs trained networks. Table 1 is arithmetic."""

POINTS = {"log_every": 100, "validate_every": 20}
"""The points that a curve has at least, however short the schedule: of the training error, and of the test error."""

Attempt = tuple[Recipe, ...]
"""The recipes of networks that are measured once, together: one, or the members of an ensemble."""


def attempts(
    item: Item,
    row: Row,
    recipes: Mapping[str, Recipe],
    *,
    seeds: int = 1,
    scale: float = 1.0,
    precision: Precision | None = None,
) -> list[Attempt]:
    """The trainings that a row needs; one attempt for each seed, from 0 on.

    Args:
        item: The study.
        row: Of it; other people's networks have no attempts.
        recipes: The catalog, which has a `"cifar10-resnet20"` and an `"imagenet-plain18"`.
        seeds: Trainings of each network. An ensemble is made once.
        scale: Of the schedule. The curves of a short one keep their points.
        precision: Of the activations; `None`: the recipe's own.

    Raises:
        ValueError: if a recipe refuses the values.
    """
    if not row.networks:
        return []

    def recipe(network: Network, seed: int) -> Recipe:
        depth, shortcut = network
        base = recipes[f"{item.dataset}-{'resnet' if shortcut else 'plain'}{depth}"]
        asked = replace(
            base,
            model=replace(base.model, shortcut=shortcut),
            schedule=replace(base.schedule, scale=scale),
            training=replace(base.training, seed=seed, precision=precision or base.training.precision),
        )
        return intervals.shortened(asked, POINTS)

    if len(row.networks) == 1:
        return [(recipe(row.networks[0], seed),) for seed in range(seeds)]
    # A network that is in an ensemble twice was trained twice.
    return [tuple(recipe(one, row.networks[:place].count(one)) for place, one in enumerate(row.networks))]
