"""The page about runs in a browser without a window, driven through its DevTools protocol."""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from keras_resnet.config.recipe import DataConfig, ModelConfig, Recipe
from keras_resnet.reporting.html import document
from keras_resnet.reporting.html.reading import RunRecord
from keras_resnet.runs.history import Row

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SECONDS = 60

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


class Browser:
    """One tab. It speaks JSON through two pipes, each message ended by a zero byte.

    Args:
        profile: A folder for what the browser keeps.
    """

    def __init__(self, profile: Path):
        (theirs_in, self._out), (self._in, theirs_out) = os.pipe(), os.pipe()
        flags = ("--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", f"--user-data-dir={profile}")
        # The browser wants the pipes as its files 3 and 4.
        joined = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        command = ["bash", "-c", joined, "bash", str(CHROMIUM), *flags, "about:blank"]
        self._process = subprocess.Popen(
            command, pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._numbers, self._received, self._session = itertools.count(1), b"", None
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Asks for something and waits for the answer."""
        number = next(self._numbers)
        session = {"sessionId": self._session} if self._session else {}
        message = {"id": number, "method": method, "params": parameters, **session}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _receive(self) -> dict[str, Any]:
        end = monotonic() + SECONDS
        while b"\0" not in self._received:
            assert select.select([self._in], [], [], max(0, end - monotonic()))[0], "the browser is silent"
            read = os.read(self._in, 1 << 20)
            assert read, "the browser is gone"
            self._received += read
        message, _, self._received = self._received.partition(b"\0")
        return json.loads(message)

    def open(self, page: str, file: Path) -> None:
        """Shows a page from a file, once it is loaded."""
        file.write_text(page, encoding="utf-8")
        self.events.clear()
        self.send("Page.navigate", url=file.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())

    def script(self, expression: str) -> Any:
        """The value of an expression in the page; also of one that the page itself would not be allowed."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def mouse(self, kind: str, x: float, y: float, clicks: int = 0) -> None:
        """Moves, presses or releases the mouse."""
        button = {"button": "left", "buttons": 1, "clickCount": clicks} if clicks else {}
        self.send("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, **button)

    def problems(self) -> list[dict[str, Any]]:
        """What went wrong in the page, with what it asked for beside its own file."""
        wrong = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        asked = [event for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return asked[1:] + [event for event in self.events if event["method"] in wrong]

    def picture(self, file: Path) -> None:
        """Keeps what is to be seen, for the eye of whoever changes the page."""
        data = self.send("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        file.write_bytes(base64.b64decode(data))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


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


@pytest.fixture
def opened(browser, tmp_path) -> Browser:
    """The browser, with a page about two runs with curves and one that has just begun."""
    browser.send("Emulation.setDeviceMetricsOverride", width=1200, height=900, deviceScaleFactor=1, mobile=False)
    browser.open(document.page(RUNS, "Test"), tmp_path / "page.html")
    return browser


BOX = """(() => {
  const { left, top, width } = panels[0].svg.getBoundingClientRect();
  const { box, x } = panels[0], zoom = width / panels[0].width;
  return { across: %s.map((i) => left + zoom * x(i)), down: top + zoom * (box.top + box.bottom) / 2 };
})()"""
READOUT = (
    "[...document.querySelectorAll('.readout:not([hidden]) tr')].map((row) => [...row.cells].map((c) => c.innerText))"
)
PATHS = "document.querySelectorAll('path.curve').length"


def test_every_series_is_drawn_and_nothing_is_asked_for(opened):
    # Error and loss of two runs have two series each, the learning rate one.
    assert opened.script(PATHS) == 2 * 2 * 2 + 2
    assert opened.script("document.querySelectorAll('path.curve.bold').length") == 4
    assert opened.script("[...document.querySelectorAll('path.curve')].every((path) => path.getTotalLength() > 20)")
    assert opened.problems() == []


def test_a_request_is_forbidden_even_to_a_script_that_got_in(opened):
    assert opened.script("fetch('data:text/plain,x').then(() => 'sent', () => 'blocked')") == "blocked"
    injected = "const s = document.createElement('script'); s.textContent = 'window.harm = 1'; document.body.append(s);"
    assert opened.script(f"{injected} window.harm ?? 'none'") == "none"


def test_pointing_shows_the_values_of_all_runs(opened):
    [at] = (place := opened.script(BOX % "[172]"))["across"]
    opened.mouse("Moved", at, place["down"])
    assert opened.script("document.querySelector('.readout:not([hidden]) caption').textContent") == "iteration 170"
    # The latest validation was at 150.
    assert opened.script(READOUT) == [
        ["run", "training", "validation"],
        ["first", "2.353", "5.333"],
        ["second", "4.706", "10.67"],
    ]
    [at] = opened.script(BOX % "[300]")["across"]
    opened.mouse("Moved", at, place["down"])
    # The second run ended at 200.
    assert opened.script(READOUT)[1:] == [["first", "1.333", "2.667"], ["second", "–", "–"]]
    opened.mouse("Moved", 5, 5)
    assert opened.script(READOUT) == []


def test_dragging_zooms_all_panels_and_a_double_click_resets(opened):
    whole = opened.script("panels.map((panel) => panel.x.back(panel.box.right))")
    place = opened.script(BOX % "[100, 150, 200]")
    start, middle, end = place["across"]
    opened.mouse("Moved", start, place["down"])
    opened.mouse("Pressed", start, place["down"], clicks=1)
    opened.mouse("Moved", middle, place["down"])
    opened.mouse("Moved", end, place["down"])
    assert opened.script("document.querySelectorAll('.selection').length") == 1
    opened.mouse("Released", end, place["down"], clicks=1)
    shown = opened.script("panels.map(({ x, box }) => [x.back(box.left), x.back(box.right)])")
    assert shown == pytest.approx([pytest.approx([100, 200], abs=0.5)] * 3)
    # The values at 100 to 200 fill the height: the largest is that of the second run's validation at 100.
    assert 16 < opened.script("panels[0].y.back(panels[0].box.top)") < 18
    assert not opened.script("document.getElementById('reset').hidden")
    for clicks in (1, 2):
        opened.mouse("Pressed", middle, place["down"], clicks=clicks)
        opened.mouse("Released", middle, place["down"], clicks=clicks)
    assert opened.script("panels.map((panel) => panel.x.back(panel.box.right))") == whole
    assert opened.script("document.getElementById('reset').hidden")
    assert opened.problems() == []


def test_a_click_does_not_zoom(opened):
    place = opened.script(BOX % "[100]")
    opened.mouse("Pressed", place["across"][0], place["down"], clicks=1)
    opened.mouse("Released", place["across"][0] + 2, place["down"], clicks=1)
    assert opened.script("view.range") is None


def test_the_keyboard_walks_along_the_curves(opened):
    opened.script("panels[1].svg.focus()")
    for key, caption in [("End", "400"), ("ArrowLeft", "390"), ("Home", "10"), ("ArrowRight", "20")]:
        opened.send("Input.dispatchKeyEvent", type="keyDown", key=key)
        assert opened.script("panels[1].readout.querySelector('caption').textContent") == f"iteration {caption}"
    opened.send("Input.dispatchKeyEvent", type="keyDown", key="Escape")
    assert opened.script(READOUT) == []


def test_a_click_hides_a_run_and_shows_it_again(opened):
    click = "document.querySelectorAll('.legend button')[1].click()"
    opened.script(click)
    assert opened.script(PATHS) == 5
    assert opened.script("document.querySelectorAll('.legend button')[1].getAttribute('aria-pressed')") == "false"
    opened.script(click)
    assert opened.script(PATHS) == 10


def test_a_log_scale_has_equal_distances_for_equal_ratios(opened):
    opened.script("document.getElementById('log').click()")
    near, far = opened.script("[[1, 2], [8, 16]].map(([a, b]) => panels[0].y(a) - panels[0].y(b))")
    assert near == pytest.approx(far)
    assert opened.problems() == []


def test_smoothing_leaves_validation_and_measured_values_as_they_are(opened):
    curve = "panels[0].curves.map(({ kind, drawn, measured }) => [kind, drawn.at(-1)[1], measured.at(-1)[1]])"
    for kind, drawn, measured in opened.script(curve):
        assert drawn == measured, kind
    slide = "const s = document.getElementById('smoothing'); s.value = 0.9; s.dispatchEvent(new Event('input'));"
    opened.script(slide)
    for kind, drawn, measured in opened.script(curve):
        # The curves fall: a mean over the points before lies above.
        assert (drawn > measured) == (kind == "training")


def test_a_gap_and_a_single_point_are_drawn_as_such(browser, tmp_path):
    values = (4.0, 3.0, float("nan"), 2.0, float("nan"), 1.0, 1.0)
    gaps = tuple(Row(10 * k, training_error=value) for k, value in enumerate(values, start=1))
    browser.open(document.page([record("gaps", rows=gaps)], "Gaps"), tmp_path / "page.html")
    [path] = browser.script("[...document.querySelectorAll('path.curve')].map((path) => path.getAttribute('d'))")
    assert path.count("M") == 3 and path.count("L") == 2
    assert "NaN" not in path and browser.problems() == []


def test_a_click_sorts_by_size_and_what_is_missing_comes_last(browser, tmp_path):
    errors = {"images": 100, "top1_error": 10.0, "top5_error": 0.0, "loss": 1.0}
    result = {"fingerprint": "0" * 12, "iterations": 1, "view": "center", "class_names": [], "images_per_second": None}
    runs = [record(f"e{e:g}", result={**result, "splits": {"test": {**errors, "top1_error": e}}}) for e in (9, 10, 2)]
    browser.open(document.page([record("going on"), *runs], "Sorted"), tmp_path / "page.html")
    column = "[...document.querySelectorAll('th')].find((head) => head.innerText === 'test error')"
    order = "[...document.querySelectorAll('table.sortable tbody th')].map((cell) => cell.dataset.value)"
    for expected, direction in [(["e2", "e9", "e10"], "ascending"), (["e10", "e9", "e2"], "descending")]:
        browser.script(f"{column}.querySelector('button').click()")
        assert browser.script(order) == [*expected, "going on"]
        assert browser.script(f"{column}.ariaSort") == direction


def test_text_of_runs_is_never_html(browser, tmp_path):
    harm = "</script><script>window.harm = 1</script><img src=x onerror='window.harm = 1'>"
    runs = [record(harm, starts=({"started": harm, "command": harm, harm: [harm]},)), record("other")]
    browser.open(document.page(runs, harm), tmp_path / "page.html")
    [at] = (place := browser.script(BOX % "[172]"))["across"]
    browser.mouse("Moved", at, place["down"])
    assert browser.script(READOUT)[1][0] == harm
    assert browser.script("[window.harm ?? 'none', document.images.length, document.scripts.length]") == ["none", 0, 2]
    assert browser.script("document.title") == harm
    assert browser.problems() == []


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_scrolls_in_one_direction(opened, width):
    opened.send("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=2, mobile=True)
    opened.script("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert opened.script("document.documentElement.scrollWidth") == width
    assert opened.script("panels.every(({ svg }) => svg.getBoundingClientRect().right <= innerWidth)")


def test_the_dark_page_is_dark(opened):
    brightness = "Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])"
    for scheme, bright in [("light", True), ("dark", False)]:
        opened.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        assert (opened.script(brightness) > 127) is bright
    opened.send("Emulation.setEmulatedMedia", features=[])


def test_without_javascript_the_tables_are_there(browser, tmp_path):
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(document.page(RUNS, "Test"), tmp_path / "page.html")
    browser.send("Emulation.setScriptExecutionDisabled", value=False)
    text = browser.script("document.body.innerText")
    assert "The curves are drawn by JavaScript" in text and "75,002" in text
    assert "log scale" not in text and browser.script("document.querySelectorAll('th button').length") == 0
