"""What each table and figure needs: the paper's networks, as recipes of the catalog."""

from __future__ import annotations

from dataclasses import replace

import pytest

from catalog import RECIPES
from keras_resnet.facts import paper
from keras_resnet.reproduction.items import ITEMS, attempts


def networks(name: str) -> list[tuple[int, str | None]]:
    return [
        (r.model.depth, r.model.shortcut) for row in ITEMS[name].rows for [r] in attempts(ITEMS[name], row, RECIPES)
    ]


@pytest.mark.parametrize("number", [2, 3, 4, 6])
def test_a_table_needs_the_networks_of_the_paper_that_have_a_depth(number):
    table = paper.TABLES[number]
    assert [row.paper for row in ITEMS[f"table{number}"].rows] == list(table.rows)
    assert networks(f"table{number}") == [(row.depth, row.shortcut) for row in table.rows if row.depth]


@pytest.mark.parametrize("number", paper.FIGURES)
def test_a_figure_needs_the_networks_that_it_draws(number):
    item = ITEMS[f"figure{number}"]
    assert networks(item.name) == list(paper.FIGURES[number].networks)
    names = {row.paper.name for row in item.rows}
    assert {name for _, drawn in item.panels for name in drawn} == (set() if item.responses else names)


@pytest.mark.parametrize(("name", "view"), [("table2", "10-crop"), ("table3", "10-crop"), ("table4", "multi-scale")])
def test_photographs_are_seen_as_in_the_paper(name, view):
    assert ITEMS[name].view == view == paper.TABLES[int(name[-1])].view


def test_the_recipes_are_those_of_the_catalog_with_seed_scale_and_precision():
    item = ITEMS["table3"]
    row = next(row for row in item.rows if row.paper.name == "ResNet-34 C")
    plain = RECIPES["imagenet-resnet34"]
    asked = attempts(item, row, RECIPES, seeds=3, scale=0.25, precision="mixed_bfloat16")
    for seed, [recipe] in enumerate(asked):
        assert recipe == replace(
            plain,
            model=replace(plain.model, shortcut="C"),
            schedule=replace(plain.schedule, scale=0.25),
            training=replace(plain.training, seed=seed, precision="mixed_bfloat16"),
        )
    assert len(asked) == 3
    [[whole]] = attempts(ITEMS["table6"], ITEMS["table6"].rows[6], RECIPES)
    assert whole == RECIPES["cifar10-resnet20"]


@pytest.mark.parametrize(
    ("scale", "log", "validate"), [(1, 100, 1000), (3, 100, 1000), (0.125, 80, 400), (0.01, 6, 32), (0.0001, 1, 1)]
)
def test_the_curves_of_a_short_schedule_keep_their_points(scale, log, validate):
    item = ITEMS["figure1"]
    [[recipe]] = attempts(item, item.rows[0], RECIPES, scale=scale)
    assert (recipe.training.log_every, recipe.training.validate_every) == (log, validate)


def test_the_networks_of_other_people_need_nothing():
    assert attempts(ITEMS["table3"], ITEMS["table3"].rows[0], RECIPES, seeds=5) == []


def test_the_ensemble_is_six_networks_of_different_depths_and_no_network_twice():
    [together] = attempts(ITEMS["table5"], ITEMS["table5"].rows[-1], RECIPES, seeds=3)
    assert len({recipe.fingerprint for recipe in together}) == len(together) == 6
    assert [recipe.model.depth for recipe in together].count(152) == 2


def test_a_scale_that_leaves_no_schedule_is_refused():
    with pytest.raises(ValueError, match="`scale` must be large enough to leave one of the 64000 iterations"):
        attempts(ITEMS["table6"], ITEMS["table6"].rows[6], RECIPES, scale=1e-9)


def test_our_resnet_110_is_compared_with_the_mean_of_the_papers_runs_and_not_with_the_best():
    row = next(row for row in ITEMS["table6"].rows if row.paper.depth == 110)
    assert (row.error("top1"), row.printed) == (6.61, "6.43 (6.61 ± 0.16)")
    assert ITEMS["table6"].rows[6].error("top1") == 8.75
