"""The page about runs as text: what is in it, and what can never get into it."""

from __future__ import annotations

import base64
import configparser
import hashlib
import html.parser
import math
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from invented_runs import ERRORS, invented_result
from keras_resnet.config.recipe import DataConfig, ModelConfig, Recipe, ScheduleConfig, TrainingConfig
from keras_resnet.evaluation.intervals import wilson
from keras_resnet.facts import architectures
from keras_resnet.reporting.html import curves as html_curves
from keras_resnet.reporting.html import document, markup, tables
from keras_resnet.reporting.html.document import page
from keras_resnet.reporting.html.reading import RunRecord, labels
from keras_resnet.runs.history import Row

DIGITS = Recipe("test", "a test", ModelConfig(depth=8), DataConfig("digits", augmentation=("pad-crop",)))


class Reader(html.parser.HTMLParser):
    """The tables of a page by their captions, as rows of texts; its text; and its elements with their attributes."""

    def __init__(self, content: str):
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self._caption = ""
        self.feed(content)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "input"):
            self._open.append(tag)
        if tag == "caption":
            self._caption = ""
        if tag == "tr":
            self.tables.setdefault(self._caption, []).append([])
        if tag in ("td", "th"):
            self.tables[self._caption][-1].append("")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open[-1:] in (["script"], ["style"]):
            return
        self.text += data
        if "caption" in self._open:
            self._caption += data
        if {"td", "th"} & set(self._open):
            row = self.tables[self._caption][-1]
            row[-1] = f"{row[-1]} {data}".strip()


def figures(content: str) -> dict[str, ET.Element]:
    """The inline SVG of each figure of a page by its accessible name."""
    found = re.findall(r"<svg .*?</svg>", content, re.DOTALL)
    return {element.findtext("title"): element for element in map(ET.fromstring, found)}


def curves(figure: ET.Element) -> list[str]:
    """The classes of each curve of a figure."""
    return [names for part in figure.iter("g") if (names := part.get("class", "")).startswith("curve")]


def cells(content: str, caption: str = "Runs") -> list[dict[str, str]]:
    head, *rows = Reader(content).tables[caption]
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_a_finished_run_in_the_table():
    start = {"started": "2026-01-02T03:04:05+00:00"}
    [row] = cells(page([RunRecord("run", DIGITS, result=invented_result(), starts=(start,))], "Test"))
    low, high = wilson(9, 360)
    assert row == {
        "run": "run test 0123456789ab",
        "validation error": f"2.50% {low:.2f} to {high:.2f}% 360 images",
        "iterations": "64,000",
        "scale": "1",
        "depth": "8",
        "shortcut": "A",
        "parameters": "75,002",
        "multiply-adds": "747 k",
        "images/s": "1,234",
        "started": "2026-01-02 03:04",
    }


def test_the_sizes_are_those_of_the_architecture():
    for recipe, input_shape, classes in [
        (Recipe("a", "a", ModelConfig(depth=20), DataConfig("cifar100")), (32, 32, 3), 100),
        (
            Recipe("a", "a", ModelConfig("imagenet", 50, "B"), DataConfig("imagenet", augmentation=(), image_size=160)),
            (160, 160, 3),
            1000,
        ),
        (
            Recipe("a", "a", ModelConfig(depth=29, block="bottleneck", shortcut=None, preactivation=True)),
            (32, 32, 3),
            10,
        ),
    ]:
        model = recipe.model
        size = architectures.count(
            model.architecture,
            shortcut=model.shortcut,
            preactivation=model.preactivation,
            input_shape=input_shape,
            classes=classes,
        )
        [row] = cells(page([RunRecord("run", recipe)], "Test"))
        assert row["parameters"] == f"{size.trainable:,}"
        value, unit = row["multiply-adds"].split()
        assert float(value) * {"M": 1e6, "G": 1e9}[unit] == pytest.approx(size.multiply_adds, rel=0.005)


def test_a_network_of_unknown_classes_has_no_size_until_it_is_finished():
    recipe = Recipe("own", "a", ModelConfig("imagenet", 18, "B"), DataConfig("folder", augmentation=(), image_size=64))
    [begun, finished] = cells(
        page(
            [RunRecord("a", recipe), RunRecord("b", recipe, result=invented_result(class_names=["cat", "dog"]))], "Test"
        )
    )
    size = architectures.count(architectures.imagenet(18), input_shape=(64, 64, 3), classes=2)
    assert (begun["parameters"], begun["multiply-adds"]) == ("–", "–")
    assert finished["parameters"] == f"{size.trainable:,}"


def test_a_run_that_is_going_on_is_marked():
    content = page([RunRecord("run", DIGITS, rows=(Row(100, 0.1, 1.0, 50.0),))], "Test")
    [row] = cells(content)
    assert row["iterations"] == "100 of 64,000 unfinished"
    assert row["run"] == f"run test {DIGITS.fingerprint}"
    assert "One run of test; 1 unfinished" in Reader(content).text
    assert "unfinished" not in Reader(page([RunRecord("run", DIGITS, result=invented_result())], "Test")).text


def test_a_scale_is_marked_where_it_is_not_one():
    short = replace(DIGITS, schedule=ScheduleConfig(scale=0.125))
    content = page([RunRecord("short", short), RunRecord("whole", DIGITS)], "Test")
    assert [row["scale"] for row in cells(content)] == ["0.125", "1"]
    assert content.count("<mark") == 1


def test_splits_that_only_some_runs_have():
    both = invented_result(splits={"validation": ERRORS, "test": {**ERRORS, "top1_error": 5.0}})
    runs = [RunRecord("one", DIGITS, result=invented_result()), RunRecord("both", DIGITS, result=both)]
    one, both = cells(page(runs, "Test"))
    assert one["test error"] == "–"
    assert both["test error"].startswith("5.00%")


def test_only_what_differs_is_told():
    other = replace(DIGITS, name="other", model=ModelConfig(depth=8, shortcut=None), training=TrainingConfig(seed=3))
    content = page([RunRecord("a", DIGITS), RunRecord("b", other)], "Test")
    assert cells(content, "What differs between the recipes") == [
        {"field": "model.shortcut", "a": "A", "b": "None"},
        {"field": "training.seed", "a": "0", "b": "3"},
    ]
    same = page([RunRecord("a", DIGITS), RunRecord("b", replace(DIGITS, name="other"))], "Test")
    assert "the runs follow the same recipe" in same
    assert "What differs" not in Reader(page([RunRecord("a", DIGITS)], "Test")).text


def test_later_evaluations():
    found = {
        **ERRORS,
        "view": "10-crop",
        "split": "test",
        "networks": [{}, {}],
        "environment": {"started": "2026-02-03"},
    }
    runs = [RunRecord("a", DIGITS), RunRecord("b", DIGITS, evaluations=(("result-10-crop.json", found),))]
    [row] = cells(page(runs, "Test"), "Later evaluations")
    low, high = wilson(9, 360)
    assert row == {
        "run": "b result-10-crop.json",
        "view": "10-crop",
        "split": "test",
        "top-1 error": f"2.50% {low:.2f} to {high:.2f}% 360 images",
        "top-5 error": "0.00%",
        "loss": "0.5000",
        "networks": "2",
        "measured": "2026-02-03",
    }


@pytest.mark.parametrize("error", [0.0, None])
def test_a_later_evaluation_on_five_classes_has_no_top_5_error(error):
    found = {
        **ERRORS,
        "top5_error": error,
        "view": "center",
        "split": "test",
        "networks": [{}],
        "class_names": ["a"] * 5,
    }
    [row] = cells(page([RunRecord("b", DIGITS, evaluations=(("file", found),))], "Test"), "Later evaluations")
    assert row["top-5 error"] == "–"


def test_what_holds_for_every_start_is_said_once():
    start = {"started": "2026-01-01", "command": "train a", "keras": "3.99", "devices": ["CPU:0"], "run": {"secret": 1}}
    again = {**start, "started": "2026-01-02", "devices": ["GPU:0", "GPU:1"], "changes": ["training.seed: 0 -> 1"]}
    text = Reader(page([RunRecord("a", DIGITS, starts=(start, again)), RunRecord("b", DIGITS)], "Test")).text
    assert text.count("3.99") == 1
    assert "GPU:0, GPU:1" in text and "training.seed: 0 -> 1" in text and text.count("train a") == 2
    assert "environment.json was not kept" in text
    assert "secret" not in text


def test_every_column_that_has_values_is_a_curve_in_the_look_of_its_run():
    rows = (Row(10, 0.1, 2.0, 80.0), Row(20, 0.01, 1.0, float("inf"), 1.5, 1 / 3))
    runs = [RunRecord("a", DIGITS, rows=rows), RunRecord("b", DIGITS, rows=rows[:1]), RunRecord("c", DIGITS)]
    drawn = figures(page(runs, "Test"))
    assert {title: curves(figure) for title, figure in drawn.items()} == {
        "Error over the iterations": [
            "curve c0 m0 training_error",
            "curve c0 m0 validation_error",
            "curve c1 m0 training_error",
        ],
        "Loss over the iterations": [
            "curve c0 m0 loss",
            "curve c0 m0 validation_loss",
            "curve c1 m0 loss",
        ],
        "Learning rate over the iterations": [
            "curve c0 m0 learning_rate",
            "curve c1 m0 learning_rate",
        ],
    }
    assert drawn["Error over the iterations"].findtext("desc") == (
        "a, training error: inf at iteration 20. a, validation error: 0.3333 at iteration 20. "
        "b, training error: 80 at iteration 10."
    )


def test_the_curves_of_a_single_run_have_colors_of_their_own_which_the_legend_shows():
    rows = (Row(10, 0.1, 2.0, 80.0, 2.0, 80.0), Row(20, 0.1, 1.0, 70.0, 2.0, 80.0))
    content = page([RunRecord("run", DIGITS, rows=rows)], "Test")
    assert curves(figures(content)["Error over the iterations"]) == [
        "curve c0 m0 training_error",
        "curve c1 m0 validation_error",
    ]
    samples = [a["class"] for _, a in Reader(content).elements if a.get("class", "").startswith("sample")]
    assert sorted(samples) == ["sample training c0", "sample validation c1"]
    many = page([RunRecord(name, DIGITS, rows=rows) for name in "ab"], "Test")
    samples = [a["class"] for _, a in Reader(many).elements if a.get("class", "").startswith("sample")]
    assert sorted(samples) == ["sample training", "sample validation"]


def test_a_panel_without_values_is_left_out():
    assert figures(page([RunRecord("run", DIGITS)], "Test")) == {}
    assert "No run has recorded anything yet" in page([RunRecord("run", DIGITS)], "Test")
    only_infinite = (Row(1, training_error=float("nan"), loss=float("inf")),)
    assert figures(page([RunRecord("run", DIGITS, rows=only_infinite)], "Test")) == {}


def test_training_is_dashed_and_validation_solid():
    rows = (Row(10, 0.1, 2.0, 80.0, 2.0, 80.0), Row(20, 0.1, 1.0, 70.0, 2.0, 80.0))
    figure = figures(page([RunRecord("run", DIGITS, rows=rows)], "Test"))["Error over the iterations"]
    lines = {part.get("class", "").split()[-1]: part.find("path") for part in figure.iter("g") if part.get("class")}
    assert "stroke-dasharray" in lines["training_error"].attrib
    assert "stroke-dasharray" not in lines["validation_error"].attrib


def test_the_figures_are_named_and_keep_their_identifiers_apart():
    rows = (Row(10, 0.1, 2.0, 80.0), Row(20, 0.01, 1.0, 70.0, 1.5, 60.0))
    content = page([RunRecord("run", DIGITS, rows=rows)], "Test")
    drawn = figures(content)
    identifiers = [
        value for _, attributes in Reader(content).elements for name, value in attributes.items() if name == "id"
    ]
    assert len(identifiers) == len(set(identifiers)) > 6
    for figure in drawn.values():
        assert figure.get("role") == "img"
        for name in figure.get("aria-labelledby").split():
            assert [part.text for part in figure if part.get("id") == name] != [], name
        own = {part.get("id") for part in figure.iter()}
        every = [pair for part in figure.iter() for pair in part.attrib.items()]
        used = [value.removeprefix("#") for name, value in every if name == "href"]
        used += [value.removeprefix("url(#").rstrip(")") for _, value in every if value.startswith("url(")]
        assert used and set(used) <= own


def test_a_figure_takes_its_colors_from_the_page():
    rows = (Row(10, 0.1, 2.0, 80.0), Row(20, 0.01, 1.0, 70.0, 1.5, 60.0))
    for figure in figures(page([RunRecord("run", DIGITS, rows=rows)], "Test")).values():
        drawn_by_class = {id(part) for curve in figure.iter("g") if curve.get("class") for part in curve.iter()}
        for part in figure.iter():
            if id(part) not in drawn_by_class:
                assert {part.get("fill"), part.get("stroke")} <= {None, "none", "currentColor"}, part.attrib


def test_a_long_run_stays_small():
    long = tuple(
        Row(10 * k, 0.1, math.pi / k, 10 * math.e / k, *((1 / k,) * 2 if k % 10 == 0 else ())) for k in range(1, 20_001)
    )
    content = page([RunRecord("long", DIGITS, rows=long), RunRecord("short", DIGITS, rows=long[:2000])], "Test")
    assert len(content) < 300_000


def test_nothing_from_elsewhere():
    content = page([RunRecord("run", DIGITS, rows=(Row(1, 0.1),), result=invented_result())], "Test")
    for tag, attributes in Reader(content).elements:
        assert not {"src", "action", "style"} & set(attributes), tag
        assert attributes.get("href", "#").startswith("#"), tag
        assert not any(name.startswith("on") for name in attributes), tag
    assert "url(" not in (document.PARTS / "page.css").read_text() and "@import" not in content
    assert re.findall(r"[a-z]+://[^\"' ]*", content) == []


def test_the_policy_lets_in_the_style_and_the_program_alone():
    content = page([RunRecord("run", DIGITS)], "Test")
    [policy] = [a["content"] for tag, a in Reader(content).elements if a.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    for rule, tag in (("style-src", "style"), ("script-src", "script")):
        [inline] = re.findall(f"<{tag}>(.*?)</{tag}>", content, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"


HARM = "<script>alert(1)</script><!--\"'&amp;</title></style>\u2028${title}"
SHOWN = HARM.replace("\u2028", "\\u2028")


def test_text_of_runs_stays_text():
    start = {"started": HARM, "command": HARM, HARM: [HARM], "changes": [HARM]}
    found = {**ERRORS, "view": HARM, "split": HARM, "networks": []}
    splits = {HARM: ERRORS, "validation": ERRORS}
    runs = [
        RunRecord(
            HARM, DIGITS, (Row(1, 0.1),), invented_result(splits=splits, fingerprint=HARM), (start,), ((HARM, found),)
        ),
        RunRecord("b", replace(DIGITS, training=TrainingConfig(seed=1))),
    ]
    content = page(runs, HARM)
    tame = page([replace(runs[0], label="a", result=invented_result(), starts=({**start, HARM: 1},)), runs[1]], "Test")
    reader = Reader(content)
    assert (
        figures(content)["Learning rate over the iterations"].findtext("desc").startswith(f"{SHOWN}, learning rate: ")
    )
    head, row, _ = reader.tables["Runs"]
    assert head[1] == f"{SHOWN} error"
    assert row[0] == f"{SHOWN} test {SHOWN}"
    for tag in ("script", "style", "title"):
        assert content.lower().count(f"</{tag}>") == tame.lower().count(f"</{tag}>") == {"title": 2}.get(tag, 1)
    assert "<!--" not in content


def test_the_same_runs_give_the_same_page():
    runs = [RunRecord("a", DIGITS, rows=(Row(1, 0.1),)), RunRecord("b", DIGITS, result=invented_result())]
    assert page(runs, "Test") == page(runs, "Test")


def test_every_look_of_a_run_is_in_the_style_sheet():
    style = (document.PARTS / "page.css").read_text(encoding="utf-8")
    looks = [tables.look(position) for position in range(tables.COLORS * tables.MARKS)]
    assert len(set(looks)) == len(looks)
    for name in {name for look in looks for name in look.split()} - {"m0"}:
        assert re.search(rf"\.{name}\b", style)
    assert len(html_curves.MARKERS) == tables.MARKS


def test_runs_of_the_same_color_have_other_marks():
    rows = tuple(Row(k, validation_error=50.0) for k in range(1, 21))
    content = page([RunRecord(str(k), DIGITS, rows=rows) for k in range(tables.COLORS + 1)], "Test")
    marked = [
        part for part in figures(content)["Error over the iterations"].iter("g") if part.find("g/use") is not None
    ]
    assert [part.get("class") for part in marked if part.get("class")] == ["curve c0 m1 validation_error"]
    marks = [path for part in marked for path in part.iterfind("defs/path") if part.get("class")]
    assert marks and not any({"fill", "stroke"} & set(path.attrib) for path in marks), (
        "they inherit those of their uses"
    )


def test_the_parts_of_the_page_are_shipped():
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[2] / "setup.cfg")
    shipped = setup["options.package_data"]["keras_resnet.reporting.html"].split(", ")
    parts = {file for file in document.PARTS.iterdir() if file.is_file() and file.suffix != ".py"}
    assert {file for pattern in shipped for file in document.PARTS.glob(pattern)} == parts
    assert {document.STYLE, document.PROGRAM, document.TEMPLATE} == {file.name for file in parts}


def test_elements_escape_all_but_markup():
    inner = markup.element("b", "<&>")
    assert inner == "<b>&lt;&amp;&gt;</b>"
    assert markup.element("p", inner, "<", class_='"', data_value=None) == f'<p class="&quot;">{inner}&lt;</p>'


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["/x/a", "/x/b"], ["a", "b"]),
        (["/x/a", "/y/a"], ["x/a", "y/a"]),
        (["/x/1/a", "/y/1/a", "/y/b"], ["x/1/a", "y/1/a", "/y/b"]),
        (["/a"], ["a"]),
    ],
)
def test_labels_are_the_shortest_ends_that_differ(paths, expected):
    assert labels([Path(path) for path in paths]) == expected


def test_what_no_page_can_hold_is_written_out():
    start = {"started": "2026", "devices": ["\x1b[31mGPU", "\udce9"]}
    content = page([RunRecord("caf\udce9\x1b", DIGITS, (Row(1, 0.1),), starts=(start,))], "a \x1b[2J title")
    assert content.encode()
    assert "\x1b" not in content and "\\x1b[31mGPU, \\xe9" in content and "caf\\xe9" in content
