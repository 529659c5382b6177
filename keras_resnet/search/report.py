"""The report of a search, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from keras_resnet.config.recipe import Recipe
from keras_resnet.evaluation.error_rates import tops
from keras_resnet.facts import architectures
from keras_resnet.facts.datasets import DATASETS
from keras_resnet.host import files
from keras_resnet.host.texts import printable
from keras_resnet.reporting import markdown
from keras_resnet.reproduction.findings import scale_in_words
from keras_resnet.search.trials import Outcome

Row = dict[str, Any]

REMEDY = "Make room there or allow it, then start the same command again: what is trained stays"
PAPER_AXES = {"model.shortcut", "model.depth"}
"""The axes of Tables 2, 3 and 6."""
CONFIDENCE = 0.95


def write(directory: Path, command: str, recipe: Recipe, outcomes: Sequence[Outcome]) -> str:
    """Writes report.md and report.csv; returns the Markdown.

    Args:
        directory: Of the search.
        command: The command line of the search.
        recipe: The recipe that the axes change.
        outcomes: In any order.
    """
    ordered = sorted(outcomes, key=rank)
    text = text_of(command, recipe, ordered)
    files.write(directory / "report.md", text.encode(), REMEDY)
    files.write(directory / "report.csv", as_csv([row(outcome, ordered) for outcome in ordered]).encode(), REMEDY)
    return text


def rank(outcome: Outcome) -> tuple[float, ...]:
    """The longest training first, as only equal ones compare; then the smallest error; then what has none."""
    return (-outcome.share, outcome.mean()) if outcome.results else (1.0, 0.0)


def row(outcome: Outcome, every: Sequence[Outcome]) -> Row:
    """The cells of a point, by the names of the columns."""
    shares = {"share of the schedule": f"{outcome.share:.3g}"} if any(other.share != 1 for other in every) else {}
    measured: Row = dict.fromkeys(("error", "sd", "trainings", "images", "parameters", "multiply-adds"), "")
    if outcome.results:
        result, deviation = outcome.results[0], outcome.deviation()
        size = counts(outcome.trials[0].recipe, len(result["class_names"]))
        measured = {
            "error": f"{outcome.mean():.2f}",
            "sd": "" if deviation is None else f"{deviation:.2f}",
            "trainings": len(outcome.results),
            "images": result["splits"]["validation"]["images"],
            "parameters": size.trainable,
            "multiply-adds": size.multiply_adds,
        }
    directories = " ".join(f"trials/{trial.directory.path.name}" for trial in outcome.trials)
    values = {name: str(value) for name, value in outcome.values.items()}
    return {**values, **shares, **measured, "directories": directories, "reason": outcome.reason}


def counts(recipe: Recipe, classes: int) -> architectures.Counts:
    """The size of a recipe's network, for one image of its size."""
    model, side = recipe.model, recipe.data.image_side
    return architectures.count(
        model.architecture,
        shortcut=model.shortcut,
        bottleneck_stride=model.bottleneck_stride,
        preactivation=model.preactivation,
        input_shape=DATASETS[recipe.data.dataset].image_shape or (side, side, 3),
        classes=classes,
    )


def text_of(command: str, recipe: Recipe, ordered: Sequence[Outcome]) -> str:
    """The report for people: points with an error, then those without."""
    rows = [row(outcome, ordered) for outcome in ordered]
    measured = [without(row, "reason") for row in rows if not row["reason"]]
    failed = [row for row in rows if row["reason"]]
    parts = [f"# {recipe.name}", f"    {printable(command)}".replace("\n", "\n    "), about(recipe)]
    if paper := paper_rows(ordered):
        parts += ["## In the paper's layout", table(paper)]
    parts += ["## By validation error", table(measured) if measured else "Nothing could be trained."]
    if compared := comparisons(ordered):
        parts += ["## Beyond the noise?", NOISE.format(count=len(compared), level=CONFIDENCE), table(compared)]
    if failed:
        columns = ("error", "sd", "trainings", "images", "parameters", "multiply-adds")
        parts += ["## Without an error", table([without(row, *columns) for row in failed])]
    return "\n\n".join(parts) + "\n"


NOISE = (
    "The error of each point over that of the first, in percentage points, with the lowest and the highest difference "
    "that the seeds leave open: Welch's intervals, wide enough that all {count} hold at once with {level:.0%} "
    "confidence. They count the seeds, not the images, which are the same for all."
)


def about(recipe: Recipe) -> str:
    """How the errors are to be read."""
    text = (
        "Top-1 error in percent on the validation images, mean and standard deviation over the seeds. Parameters are "
        "those that are trained; multiply-adds are those of one image."
    )
    if scale := scale_in_words(recipe.schedule.scale):
        text += f" Trained for {scale}: not comparable with published errors."
    if not recipe.data.holdout and DATASETS[recipe.data.dataset].test:
        text += (
            " The validation images are the test images, and the smallest of several errors on them flatters: with "
            "a `holdout` it is chosen on others."
        )
    return text


def comparisons(ordered: Sequence[Outcome]) -> list[Row]:
    """Every point against the best, both trained with several seeds and the whole schedule; empty if there is none."""
    several = [outcome for outcome in ordered if len(outcome.results) > 1 and outcome.share == 1]
    return [comparison(several[0], other, 1 - (1 - CONFIDENCE) / (len(several) - 1)) for other in several[1:]]


def comparison(best: Outcome, other: Outcome, level: float) -> Row:
    """By how much a point's error is above the best, as far as its seeds tell.

    Args:
        best: The point with the smallest mean error.
        other: The point.
        level: Probability with which the interval covers the difference.
    """
    from scipy.stats import ttest_ind

    difference = other.mean() - best.mean()
    low = high = difference
    if best.deviation() or other.deviation():
        low, high = ttest_ind(other.errors(), best.errors(), equal_var=False).confidence_interval(level)
    return {
        **{name: str(value) for name, value in other.values.items()},
        "over the best": f"{difference:+.2f}",
        "low": f"{low:+.2f}",
        "high": f"{high:+.2f}",
        "beyond the noise": "yes" if low > 0 else "no",
    }


def paper_rows(outcomes: Iterable[Outcome]) -> list[Row]:
    """The rows as in Tables 2, 3 and 6: by depth, the plain network before the shortcuts; empty for other axes."""
    measured = [outcome for outcome in outcomes if outcome.results]
    if any(not set(outcome.values) <= PAPER_AXES or outcome.share != 1 for outcome in measured):
        return []
    models = [(outcome.trials[0].recipe.model, outcome) for outcome in measured]
    classes = max((len(outcome.results[0]["class_names"]) for outcome in measured), default=0)
    return [
        {
            "model": f"ResNet-{model.depth} {model.shortcut}" if model.shortcut else f"plain-{model.depth}",
            **{f"top-{k} err.": spread(outcome, f"top{k}_error") for k in tops(classes)},
            **{name: measured[name] for name in ("parameters", "multiply-adds")},
        }
        for model, outcome in sorted(models, key=lambda pair: (pair[0].depth, pair[0].shortcut or ""))
        for measured in [row(outcome, [outcome])]
    ]


def spread(outcome: Outcome, kind: str) -> str:
    """The mean of an error, and the standard deviation where there are several seeds."""
    deviation = outcome.deviation(kind)
    return f"{outcome.mean(kind):.2f}" + (f" ± {deviation:.2f}" if deviation is not None else "")


def table(rows: Sequence[Row]) -> str:
    """Rows with the same columns as a Markdown table."""
    return markdown.table(rows[0], [row.values() for row in rows])


def without(row: Row, *columns: str) -> Row:
    """A row without some columns."""
    return {name: value for name, value in row.items() if name not in columns}


def as_csv(rows: Sequence[Row]) -> str:
    """The rows for programs."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()
