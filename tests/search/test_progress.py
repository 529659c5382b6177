"""The count and the time left of a search, with an invented clock."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from catalog import RECIPES
from invented_runs import invented_run
from keras_resnet.search import axes, oracles, trials
from keras_resnet.search.progress import Progress, hyperband_shares, work

RECIPE = RECIPES["cifar10-resnet20"]


@pytest.fixture
def plan(tmp_path) -> trials.Plan:
    return trials.Plan(("python", "train.py"), RECIPE.name, {}, RECIPE, 1, tmp_path)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def told(plan, texts, shares, points, *, whole_grid=True, speed=1e-12) -> list[str]:
    """What is told before each point, where a training takes as long as its work."""
    every, clock = axes.read(texts), Clock()
    progress = Progress(plan, every, shares, whole_grid=whole_grid, clock=clock)
    lines = []
    for values, share in points:
        with progress.measuring(values, share) as line:
            lines.append(line)
            recipes = [trial.recipe for trial in plan.trials(values, share) if not trial.directory.finished]
            clock.now += speed * sum(map(work, recipes))
    return lines


def test_the_first_point_has_no_time_and_a_deeper_network_takes_longer(plan):
    points = [({"model.depth": depth}, 1.0) for depth in (20, 32, 110)]
    sizes = [work(axes.changed(RECIPE, values)) for values, _ in points]
    speed = 60.0 / sizes[0]
    lines = told(plan, ["model.depth=20,32,110"], [1.0] * 3, points, speed=speed)
    assert lines[0] == "[1 of 3]"
    for line, left in zip(lines[1:], (sizes[1] + sizes[2], sizes[2]), strict=True):
        minutes, seconds = line.rpartition(", ")[2].removesuffix(" left]").split(":")
        assert int(minutes) * 60 + int(seconds) == pytest.approx(left * speed, abs=1)
    assert sizes[2] > 5 * sizes[0]


def test_what_is_finished_takes_no_time(plan, tmp_path):
    points = [({"model.depth": depth}, 1.0) for depth in (20, 32, 44)]
    [done] = plan.trials(points[2][0])
    invented_run(Path(done.directory.path), done.recipe)
    sizes = [work(axes.changed(RECIPE, values)) for values, _ in points]
    lines = told(plan, ["model.depth=20,32,44"], [1.0] * 3, points, speed=60.0 / sizes[1])
    assert lines[1:] == ["[2 of 3, 1:00 left]", "[3 of 3]"]


def test_a_point_that_the_recipe_refuses_counts(plan):
    points = [({"model.depth": depth}, 1.0) for depth in (20, 21, 32)]
    every = axes.read(["model.depth=20,21,32"])
    progress = Progress(plan, every, [1.0] * 3, whole_grid=True)
    lines = []
    for values, share in points:
        with progress.measuring(values, share) as line:
            lines.append(line)
    assert [line[:7] for line in lines] == ["[1 of 3", "[2 of 3", "[3 of 3"]


def test_points_that_are_drawn_take_the_mean(plan):
    size = work(RECIPE)
    points = [({"optimizer.weight_decay": value}, 1.0) for value in (1e-4, 2e-4, 3e-4)]
    lines = told(plan, ["optimizer.weight_decay=1e-5..1e-3"], [1.0] * 3, points, whole_grid=False, speed=60.0 / size)
    assert lines == ["[1 of 3]", "[2 of 3, 2:00 left]", "[3 of 3, 1:00 left]"]


def test_a_shortened_schedule_takes_its_share(plan):
    size = work(RECIPE)
    points = [({"optimizer.weight_decay": 1e-4}, share) for share in (1 / 3, 1.0)]
    lines = told(plan, ["optimizer.weight_decay=1e-5..1e-3"], [1 / 3, 1.0], points, whole_grid=False, speed=60.0 / size)
    assert lines == ["[1 of 2]", "[2 of 2, 1:00 left]"]


@pytest.mark.parametrize("rungs", [1, 2, 3])
def test_hyperband_has_the_shares_that_keras_tuner_asks_for(monkeypatch, rungs):
    monkeypatch.setattr(oracles, "PAUSE", 0)
    ranges = {"optimizer.weight_decay": (1e-5, 1e-3, "log")}
    points = oracles.search(lambda values, share: 50.0, {}, ranges, kind="hyperband", rungs=rungs)
    asked = Counter(round(share, 6) for _, share in points)
    assert Counter(round(share, 6) for share in hyperband_shares(rungs)) == asked
