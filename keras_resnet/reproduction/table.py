"""Tables of the paper's errors beside ours, in Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from types import MappingProxyType

from keras_resnet.facts import paper
from keras_resnet.reporting import markdown
from keras_resnet.reporting.architecture_table import Column
from keras_resnet.reporting.architecture_table import table as drawing
from keras_resnet.reproduction.findings import Finding
from keras_resnet.reproduction.items import Item

NOT_RUN = "not run"
PACKAGE = "What the package itself does differently from the paper: README.md, or `python recipes/departures.py`."
MEASURES = {"top1": "top-1", "top5": "top-5"}


Responses = Mapping[str, Sequence[float]]
"""By the name of a network, the standard deviation of the response of each layer."""

NOTHING: Responses = MappingProxyType({})


def page(
    item: Item,
    findings: Sequence[Finding],
    *,
    scale: str = "",
    picture: str | None = None,
    responses: Responses = NOTHING,
) -> str:
    """The study as a Markdown page.

    Args:
        item: The study.
        findings: One for each of its rows, in order.
        scale: What part of the schedule was asked for, in words; empty for the whole.
        picture: The name of the figure's file beside the page; `None` where nothing was drawn.
        responses: Of the layers, where the study is of them.
    """
    heading = f"# {item.title}{f' ({scale})' if scale else ''}"
    under = f"Error in percent on {item.split}. Mean ± standard deviation (n-1) from two runs on."
    shown = [f"![{item.name}]({picture})"] if picture else []
    body = markdown.table(heads(item), [cells(item, one, responses) for one in findings])
    listed = "\n".join(f"- {note}" for note in (*notes(item, scale, drawn=picture is not None), PACKAGE))
    return "\n\n".join(part for part in (heading, under, *shown, body, listed) if part) + "\n"


def notes(item: Item, scale: str, drawn: bool) -> Iterator[str]:
    """Notes on how to read the table."""
    if scale:
        yield f"Trained for {scale}: not comparable with the paper, and not compared."
    yield from item.notes
    if any(row.mean is not None for row in item.rows):
        yield "ResNet-110: the paper's best of five runs, in brackets the mean ± deviation; that mean is compared."
    if item.responses:
        yield "Responses: the mean over the layers; the paper prints no numbers. Each network is its first run."
    elif item.panels:
        yield "Dashed lines are training errors, solid ones validation errors; each network is its first run."
        yield "Training error: mean over the last tenth of the iterations, on augmented images; the paper prints none."
    if (item.panels or item.responses) and not drawn:
        yield "Not drawn: no run of it is finished."


def heads(item: Item) -> list[str]:
    """Heads of the columns in Markdown."""
    columns = ["network"]
    for measure in item.measures:
        name = MEASURES[measure]
        columns += [f"{name}, paper", f"{name}, here", "difference"]
    columns += ["training, here"] if item.panels else []
    columns += ["layers", "mean response"] if item.responses else []
    return [*columns, "runs", "images", "departures"]


def cells(item: Item, finding: Finding, responses: Responses = NOTHING) -> list[str]:
    """A row in Markdown. Other people's networks have the paper's number alone."""
    row = finding.row
    columns = [row.paper.name]
    for measure in item.measures:
        printed = getattr(row.paper, measure)
        words = row.printed if measure == "top1" and row.printed else number(printed)
        columns += [words, here(finding, measure), number(finding.difference(measure), sign="+")]
    if item.panels:
        columns.append(here(finding, "training"))
    if item.responses:
        columns += ["" if value is None else f"{value:.4g}" for value in response(finding, responses)]
    if not finding.attempts:
        return [*columns, "", "", ""]
    count = len(finding.measured)
    runs = str(count) if count == finding.attempts else f"{count} of {finding.attempts}"
    images = " and ".join(f"{images:,}" for images in finding.images)
    return [*columns, runs, images, "; ".join(finding.departures)]


def here(finding: Finding, measure: str) -> str:
    """Our error: the mean, and from two measurements on its deviation."""
    if not finding.measured:
        return NOT_RUN if finding.attempts else ""
    deviation = finding.deviation(measure)
    return number(finding.mean(measure)) + ("" if deviation is None else f" ± {deviation:.2f}")


def response(finding: Finding, responses: Responses) -> tuple[int | None, float | None]:
    """The number of layers of a network, and the mean of their responses; `None` where they were not measured."""
    layers = responses.get(finding.row.paper.name)
    return (len(layers), fmean(layers)) if layers else (None, None)


def number(value: float | None, sign: str = "") -> str:
    """With two decimals, as the paper prints errors; empty for nothing."""
    return "" if value is None else f"{value:{sign}.2f}"


def table(item: Item, findings: Sequence[Finding], responses: Responses = NOTHING) -> str:
    """The study as CSV, with every digit and an empty cell for what there is not."""
    text = io.StringIO()
    names = [
        f"{measure}_{column}"
        for measure in item.measures
        for column in ("paper", "here", "standard_deviation", "difference")
    ]
    rows = csv.writer(text, lineterminator="\n")
    names += ["training_here", "training_standard_deviation"] if item.panels else []
    names += ["layers", "mean_response"] if item.responses else []
    rows.writerow(["network", "state", *names, "runs", "runs_asked_for", "images", "departures"])
    rows.writerows(values(item, finding, responses) for finding in findings)
    return text.getvalue()


def values(item: Item, finding: Finding, responses: Responses) -> Iterator[object]:
    """A row of the CSV."""
    yield finding.row.paper.name
    yield ("measured" if finding.measured else NOT_RUN) if finding.attempts else "of others"
    for measure in item.measures:
        yield finding.row.error(measure)
        yield finding.mean(measure)
        yield finding.deviation(measure)
        yield finding.difference(measure)
    if item.panels:
        yield finding.mean("training")
        yield finding.deviation("training")
    if item.responses:
        yield from response(finding, responses)
    yield from (len(finding.measured), finding.attempts)
    yield " ".join(map(str, finding.images))
    yield "; ".join(finding.departures)


def measured(csv_text: str) -> set[str]:
    """The networks that a CSV of `table` has measurements of; empty for any other text."""
    return {row["network"] for row in csv.DictReader(io.StringIO(csv_text)) if row.get("state") == "measured"}


def architectures_page(columns: Sequence[Column]) -> str:
    """Table 1 as a Markdown page: the networks, and their exact sizes."""
    first, *others = sizes(columns)
    parts = (
        "# Table 1: architectures for ImageNet",
        f"```text\n{drawing(columns)}\n```",
        markdown.table(first, others),
    )
    return "\n\n".join((*parts, "Multiply-adds are for one image of 224x224; the paper calls them FLOPs.")) + "\n"


def architectures_table(columns: Sequence[Column]) -> str:
    """Table 1 as CSV: the exact size of each network."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(sizes(columns))
    return text.getvalue()


def sizes(columns: Sequence[Column]) -> Iterator[tuple[object, ...]]:
    """The heads, then a row for each network."""
    yield ("network", "trainable parameters", "batch statistics", "multiply-adds, paper", "multiply-adds, here")
    for column in columns:
        counts, printed = column.counts, paper.MULTIPLY_ADDS[column.architecture.depth]
        yield (column.title, counts.trainable, counts.non_trainable, round(printed), counts.multiply_adds)
