"""The page about runs as a browser shows it, driven by Playwright's client in the Chromium of the system."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from invented_runs import ERRORS, invented_result
from keras_resnet.config.recipe import DataConfig, ModelConfig, Recipe
from keras_resnet.reporting.html import document
from keras_resnet.reporting.html.reading import RunRecord
from keras_resnet.runs.history import Row
from tiers import slow

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as client:
        browser = client.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Tabs:
    """Opens pages; `problems` are the errors of all of them, and what they asked for beside their own file."""

    def __init__(self, browser: Any, folder: Path):
        self.problems: list[str] = []
        self._browser, self._folder = browser, folder

    def open(self, content: str, *, width: int = 1200, **settings: Any) -> Any:
        """A page in a tab of its own, once it is loaded."""
        file = self._folder / "page.html"
        file.write_text(content, encoding="utf-8")
        tab = self._browser.new_page(viewport={"width": width, "height": 900}, **settings)
        tab.on("pageerror", lambda error: self.problems.append(str(error)))
        tab.on("console", lambda message: self.problems.append(message.text))
        tab.on("request", lambda asked: asked.url == file.as_uri() or self.problems.append(asked.url))
        tab.goto(file.as_uri())
        return tab


@pytest.fixture
def tabs(browser, tmp_path) -> Iterator[Tabs]:
    tabs = Tabs(browser, tmp_path)
    yield tabs
    for context in browser.contexts:
        context.close()


def rows(iterations: int, start: float) -> tuple[Row, ...]:
    """A row for every 10 iterations, and a validation at every 50."""
    return tuple(
        Row(i, 0.1, start / i, 100 * start / i, *((2 * start / i, 200 * start / i) if i % 50 == 0 else ()))
        for i in range(10, iterations + 1, 10)
    )


def record(label: str, **changes: Any) -> RunRecord:
    recipe = Recipe("test", "a test", ModelConfig(depth=8), DataConfig("digits", augmentation=("pad-crop",)))
    return RunRecord(**{"label": label, "recipe": recipe, "rows": rows(400, 4.0)} | changes)


RUNS = [record("first"), record("second", rows=rows(200, 8.0)), record("third", rows=())]


@pytest.fixture(scope="module")
def page() -> str:
    """About two runs with curves, and one that has just begun."""
    return document.page(RUNS, "Test")


def test_every_curve_is_seen_in_the_color_of_its_run_and_nothing_is_asked_for(tabs, page):
    tab = tabs.open(page)
    curves = tab.locator(".curve > path")
    # Error and loss of two runs have two curves each, the learning rate one.
    assert curves.count() == 2 * 2 * 2 + 2
    assert curves.evaluate_all("all => all.every((path) => path.getTotalLength() > 20)")
    colors = "all => [...new Set(all.map((path) => getComputedStyle(path).stroke))]"
    of_runs = [tab.locator(f".curve.c{position} > path").evaluate_all(colors) for position in (0, 1)]
    swatches = [
        tab.locator(f".legend .swatch.c{position}").evaluate("it => getComputedStyle(it).borderTopColor")
        for position in (0, 1)
    ]
    assert of_runs == [[color] for color in swatches] and swatches[0] != swatches[1]
    assert tab.locator(".legend").inner_text().split() == ["first", "second", "third", "training", "validation"]
    assert tabs.problems == []


def test_a_request_is_forbidden_even_to_a_script_that_got_in(tabs, page):
    tab = tabs.open(page)
    assert tab.evaluate("fetch('data:text/plain,x').then(() => 'sent', () => 'blocked')") == "blocked"
    harm = "const s = document.createElement('script'); s.textContent = 'window.harm = 1'; document.body.append(s);"
    assert tab.evaluate(f"() => {{ {harm} return window.harm ?? 'none'; }}") == "none"


def test_a_figure_is_an_image_with_a_name_and_a_description(tabs, page):
    tab = tabs.open(page)
    for title in ("Error", "Loss", "Learning rate"):
        figure = tab.get_by_role("img", name=f"{title} over the iterations")
        assert figure.count() == 1
        assert "first, " in figure.locator("desc").text_content()


def test_a_click_sorts_by_size_and_what_is_missing_comes_last(tabs):
    def result(error: float) -> dict[str, Any]:
        return invented_result(splits={"validation": ERRORS, "test": {**ERRORS, "top1_error": error}})

    runs = [record(f"e{error}", rows=(), result=result(error)) for error in (9, 10, 2)]
    tab = tabs.open(document.page([record("going on", rows=()), *runs], "Sorted"))
    column = tab.get_by_role("columnheader", name="test error")
    for expected, direction in [(["e2", "e9", "e10"], "ascending"), (["e10", "e9", "e2"], "descending")]:
        column.get_by_role("button").click()
        cells = tab.locator("table.sortable tbody th")
        assert cells.evaluate_all("all => all.map((cell) => cell.dataset.value)") == [*expected, "going on"]
        assert column.get_attribute("aria-sort") == direction
    assert tabs.problems == []


def test_text_of_runs_is_never_html(tabs):
    harm = "</script></svg><script>window.harm = 1</script><img src=x onerror='window.harm = 1'>"
    runs = [record(harm, starts=({"started": harm, "command": harm, harm: [harm]},)), record("other")]
    tab = tabs.open(document.page(runs, harm))
    assert tab.evaluate("[window.harm ?? 'none', document.images.length, document.scripts.length]") == ["none", 0, 1]
    assert tab.title() == harm
    assert tab.locator("desc").first.text_content().startswith(f"{harm}, training error")
    assert tabs.problems == []


@pytest.mark.parametrize("width", [320, *slow([390])])
def test_a_phone_scrolls_in_one_direction(tabs, page, width):
    tab = tabs.open(page, width=width, is_mobile=True)
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    plots = tab.locator(".plot")
    assert plots.evaluate_all("all => all.every((plot) => plot.getBoundingClientRect().right <= innerWidth)")
    # Small enough to fit, its text could not be read: a figure scrolls by itself.
    assert plots.first.evaluate("plot => plot.scrollWidth > plot.clientWidth")


def brightness(color: str) -> float:
    """Of a color as `getComputedStyle` writes it, from 0 to 255."""
    return sum(float(part) for part in color[color.index("(") + 1 : -1].split(",")[:3]) / 3


@pytest.mark.parametrize(("scheme", "bright"), [("light", True), ("dark", False)])
def test_what_is_drawn_stands_out_from_the_page(tabs, page, scheme, bright):
    tab = tabs.open(page, color_scheme=scheme)
    ground = brightness(tab.locator("figure").first.evaluate("it => getComputedStyle(it).backgroundColor"))
    assert (ground > 127) is bright
    for drawn, color in ((".curve > path", "stroke"), ("svg text", "fill")):
        found = tab.locator(drawn).evaluate_all(f"all => all.map((it) => getComputedStyle(it).{color})")
        assert min(abs(brightness(one) - ground) for one in found) > 80


def test_without_javascript_the_curves_and_the_tables_are_there(tabs, page):
    tab = tabs.open(page, java_script_enabled=False)
    assert tab.locator(".curve").count() == 10
    assert "75,002" in tab.locator("body").inner_text()
    assert tab.locator("th button").count() == 0
