"""The files of one table or figure, from the runs that there are."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import layer_responses
import startup
from catalog import RECIPES
from keras_resnet.facts import architectures
from keras_resnet.reporting.architecture_table import Column
from keras_resnet.reproduction import kept_files
from keras_resnet.reproduction import table as study_table
from keras_resnet.reproduction.findings import finding, scale_in_words
from keras_resnet.reproduction.items import ITEMS, Attempt, Item
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.runs.find import Runs, find_runs, history_rows

RESPONSE_IMAGES, RESPONSE_BATCH = 1000, 100
"""Images that the layers' responses are taken over, as recipes/layer_responses.py does unasked."""


def write(name: str, rows: Sequence[Sequence[Attempt]], options: argparse.Namespace) -> None:
    """Writes an item, and prints its table.

    Args:
        name: Of the item.
        rows: The attempts of each of its rows.
        options: `runs`, `output`, `scale`, `overwrite` and `data_directory`.

    Raises:
        ValueError, OSError: if a file of a run is damaged, if images that a figure needs are not there, or if a file
            cannot be written; those of an earlier call are left as they are, unless it is the last.
        FileExistsError: if files were changed since the program began, or show measurements that there are no more.
    """
    page, beside = study(ITEMS[name], rows, options) if name in ITEMS else table_1()
    if not options.overwrite:
        kept_files.check(options.output, name)
        check_nothing_lost(options.output / f"{name}.csv", beside[".csv"].decode())
    kept_files.write(options.output, name, page, beside)
    print(f"\n{page}\n{', '.join(str(file) for file in kept_files.there(options.output, name))}", flush=True)


def check_nothing_lost(file: Path, table: str) -> None:
    """Refuses to replace measurements by "not run", as with other runs or another scale than before.

    Raises:
        FileExistsError: naming the networks, and what to do.
    """
    before = study_table.measured(file.read_text(encoding="utf-8")) if file.is_file() else set()
    if lost := sorted(before - study_table.measured(table)):
        raise FileExistsError(
            f"{file} has measurements of {', '.join(lost)}, which --runs lacks with this --scale and --precision. "
            f"{kept_files.REMEDY}, or allow it with --overwrite"
        )


def table_1() -> tuple[str, dict[str, bytes]]:
    """Table 1, with the shortcuts that the paper's own sizes are of."""
    shortcuts = {depth: RECIPES[f"imagenet-resnet{depth}"].model.shortcut for depth in architectures.IMAGENET}
    columns = [Column(architectures.imagenet(depth), shortcut) for depth, shortcut in shortcuts.items()]
    return study_table.architectures_page(columns), {".csv": study_table.architectures_table(columns).encode()}


def study(item: Item, rows: Sequence[Sequence[Attempt]], options: argparse.Namespace) -> tuple[str, dict[str, bytes]]:
    """The page of an item, and by their suffixes the files beside it."""
    runs = find_runs(options.runs)
    found = [finding(item, row, each, runs, options.runs) for row, each in zip(item.rows, rows, strict=True)]
    scale = scale_in_words(options.scale)
    first = first_runs(item, rows, runs)
    responses = measure_responses(first, options) if item.responses and first else study_table.NOTHING
    pictures = {}
    if first and item.responses:
        pictures = draw_responses(item, responses)
    elif first and item.panels:
        pictures = draw_curves(item, first, scale)
    picture = f"{item.name}.png" if pictures else None
    page = study_table.page(item, found, scale=scale, picture=picture, responses=responses)
    return page, {".csv": study_table.table(item, found, responses).encode(), **pictures}


def first_runs(item: Item, rows: Sequence[Sequence[Attempt]], runs: Runs) -> dict[str, RunDirectory]:
    """By the name of a network, its finished run with the lowest seed."""
    first: dict[str, RunDirectory] = {}
    for row, each in zip(item.rows, rows, strict=True):
        for recipe in (recipe for attempt in each for recipe in attempt):
            if (directory := runs.of(recipe)) and directory.finished:
                first.setdefault(row.paper.name, directory)
    return first


def measure_responses(first: dict[str, RunDirectory], options: argparse.Namespace) -> study_table.Responses:
    """The responses of the layers of each network."""
    with startup.loading():
        from keras_resnet.inference import trained_network
    asked = argparse.Namespace(
        dataset=None, data_directory=options.data_directory, images=RESPONSE_IMAGES, batch_size=RESPONSE_BATCH
    )
    responses = {}
    for name, directory in first.items():
        [layers] = layer_responses.measure([trained_network.load(directory.path)], asked).values()
        responses[name] = [deviation for _, deviation in layers]
    return responses


def draw_responses(item: Item, responses: study_table.Responses) -> dict[str, bytes]:
    """Figure 7."""
    from keras_resnet.analysis import layer_responses_figure

    dashed = [row.paper.name for row in item.rows if row.paper.shortcut is None]
    return pictures(lambda path: layer_responses_figure.draw(responses, path, dashed))


def draw_curves(item: Item, first: dict[str, RunDirectory], scale: str) -> dict[str, bytes]:
    """The training curves of a figure."""
    from keras_resnet.reproduction import figure

    curves = {name: history_rows(directory) for name, directory in first.items()}
    title = f"{item.name.replace('figure', 'Figure ')}{f', {scale}' if scale else ''}"
    return pictures(lambda path: figure.draw(item.panels, curves, path, title))


def pictures(draw: Callable[[Path], Path]) -> dict[str, bytes]:
    """A figure in each of its formats, by suffix; drawn elsewhere, so that no half of a file is ever left."""
    with tempfile.TemporaryDirectory() as folder:
        return {suffix: draw(Path(folder) / f"figure{suffix}").read_bytes() for suffix in (".png", ".svg")}
