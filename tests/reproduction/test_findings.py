"""What was measured, and when it may stand beside the paper's number."""

from __future__ import annotations

import statistics
from dataclasses import replace

import pytest

from catalog import RECIPES
from invented_runs import invented_evaluation, invented_run
from keras_resnet.reproduction import plan
from keras_resnet.reproduction.findings import finding, scale_in_words, training_error
from keras_resnet.reproduction.items import ITEMS, Item, attempts
from keras_resnet.reproduction.known_runs import find_runs
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.runs.history import Row

RESNET20 = next(row for row in ITEMS["table6"].rows if row.paper.depth == 20)


def found(path, item: Item = ITEMS["table6"], row=RESNET20, **asked):
    return finding(item, row, attempts(item, row, RECIPES, **asked), find_runs(path), path)


def recipe(seed: int = 0, **asked):
    return attempts(ITEMS["table6"], RESNET20, RECIPES, seeds=seed + 1, **asked)[seed][0]


def test_mean_and_deviation_are_those_of_the_statistics_module_over_the_seeds_asked_for(tmp_path):
    errors = [8.5, 9.1, 8.72, 77.0]
    for seed, error in enumerate(errors):
        invented_run(tmp_path / str(seed), recipe(seed), error)
    ours = found(tmp_path, seeds=3)
    assert ours.mean("top1") == pytest.approx(statistics.mean(errors[:3]))
    assert ours.deviation("top1") == pytest.approx(statistics.stdev(errors[:3]))
    assert ours.difference("top1") == pytest.approx(statistics.mean(errors[:3]) - 8.75)
    assert ours.mean("top5") == pytest.approx(statistics.mean(errors[:3]) / 4)
    assert (len(ours.measured), ours.attempts, ours.images, ours.departures) == (3, 3, [10_000], [])


def test_one_run_has_no_deviation_and_none_has_no_mean(tmp_path):
    nothing = found(tmp_path, seeds=2)
    assert (nothing.mean("top1"), nothing.deviation("top1"), nothing.difference("top1")) == (None, None, None)
    invented_run(tmp_path / "1", recipe(1), 8.0)
    one = found(tmp_path, seeds=2)
    assert (one.mean("top1"), one.deviation("top1"), len(one.measured), one.attempts) == (8.0, None, 1, 2)


def test_the_training_error_is_that_of_the_last_tenth_of_the_iterations(tmp_path):
    last = [(89, 70.0), (90, 60.0), (91, 20.0), (95, None), (100, 10.0)]
    rows = [Row(iteration, training_error=error) for iteration, error in last]
    directory = invented_run(tmp_path / "0", recipe(0), rows=rows)
    assert training_error(directory) == 15.0
    invented_run(tmp_path / "1", recipe(1), rows=rows[:2])
    invented_run(tmp_path / "2", recipe(2))
    ours = found(tmp_path, seeds=3)
    assert (ours.mean("training"), ours.deviation("training")) == (pytest.approx(40.0), pytest.approx(35.355, abs=1e-3))


@pytest.mark.parametrize(
    ("scale", "words"),
    [(1.0, ""), (0.125, "1/8 of the schedule"), (0.1, "1/10 of the schedule"), (3.0, "3 times the schedule")],
)
def test_a_scaled_run_says_so_and_is_never_compared(tmp_path, scale, words):
    invented_run(tmp_path / "run", recipe(scale=scale), 8.0)
    ours = found(tmp_path, scale=scale)
    assert (ours.difference("top1") is None) == (scale != 1)
    assert ours.departures == ([words] if words else [])
    assert scale_in_words(scale) == words
    assert ours.mean("top1") == 8.0
    other = found(tmp_path, scale=0.5)
    assert other.measured == (), "a scaled run is not that of another scale"


def test_a_subset_of_the_images_is_told_and_never_compared(tmp_path):
    few = {"images": 1000, "loss": 1.0, "top1_error": 8.0, "top5_error": 1.0}
    for name, changes, words in (
        ("counted", {"splits": {"validation": few}}, "1,000 of 10,000 images counted"),
        ("trained", {"training_images": 45_000}, "45,000 of 50,000 training images"),
    ):
        invented_run(tmp_path / name / "run", recipe(), 8.0, **changes)
        ours = found(tmp_path / name)
        assert (ours.departures, ours.difference("top1"), ours.mean("top1")) == ([words], None, 8.0)


def test_precision_is_told_and_compared(tmp_path):
    invented_run(tmp_path / "run", recipe(precision="mixed_bfloat16"), 8.0)
    ours = found(tmp_path, precision="mixed_bfloat16")
    assert (ours.departures, ours.difference("top1")) == (["mixed_bfloat16"], pytest.approx(-0.75))


def test_a_run_whose_recipe_was_changed_on_the_way_is_not_compared(tmp_path):
    before = replace(recipe(), optimizer=replace(recipe().optimizer, momentum=0.5))
    run = invented_run(tmp_path / "run", before, None)
    run.create(recipe().to_json(), {"started": "later"}, resume=True, accept_changes=True)
    invented_run(tmp_path / "other", recipe(), 8.0)
    run.write_result(RunDirectory(tmp_path / "other").read_result())
    for file in (tmp_path / "other").iterdir():
        file.unlink()
    ours = found(tmp_path)
    assert (ours.departures, ours.difference("top1")) == (["recipe changed during the training"], None)


def test_the_test_images_count_where_validation_has_others(tmp_path):
    splits = {
        "validation": {"images": 5000, "loss": 0.5, "top1_error": 1.0, "top5_error": 0.1},
        "test": {"images": 10_000, "loss": 0.5, "top1_error": 8.0, "top5_error": 0.5},
    }
    invented_run(tmp_path / "run", recipe(), splits=splits)
    assert (found(tmp_path).mean("top1"), found(tmp_path).images) == (8.0, [10_000])


def test_tables_of_photographs_take_the_evaluation_of_that_view_and_network_alone(tmp_path):
    item = ITEMS["table3"]
    row = next(row for row in item.rows if row.paper.name == "ResNet-50")
    one = RECIPES["imagenet-resnet50"]
    run = invented_run(tmp_path / "run", one, 24.7)
    ours = found(tmp_path, item, row)
    assert ours.measured == (), "the center crop of the training is no 10-crop"
    evaluation = run.path / "evaluation"
    for changes in (
        {"split": "train"},
        {"dataset": "folder"},
        {"view": "center"},
        {"networks": [{"fingerprint": "0"}]},
    ):
        invented_evaluation(evaluation, [one], "10-crop", 22.0, **changes)
        assert found(tmp_path, item, row).measured == ()
    invented_evaluation(evaluation, [one], "10-crop", 22.0)
    ours = found(tmp_path, item, row)
    assert ours.difference("top1") == pytest.approx(22.0 - 22.85)
    assert ours.difference("top5") == pytest.approx(5.5 - 6.71)
    invented_evaluation(evaluation, [one], "10-crop", 22.0, images=100)
    assert found(tmp_path, item, row).departures == ["100 of 50,000 images counted"]


def test_an_ensemble_needs_all_its_members_and_is_not_compared_with_the_test_images(tmp_path):
    item, row = ITEMS["table5"], ITEMS["table5"].rows[-1]
    [together] = attempts(item, row, RECIPES)
    directory = plan.measurement(item, together, find_runs(tmp_path), tmp_path).directory
    invented_evaluation(directory, together, "multi-scale", 18.0)
    for place, member in enumerate(together):
        assert found(tmp_path, item, row).measured == ()
        invented_run(tmp_path / str(place), member, 25.0)
    ours = found(tmp_path, item, row)
    assert (ours.mean("top5"), ours.difference("top5")) == (4.5, None)


def test_other_scales_than_the_papers_are_told_and_never_compared(tmp_path):
    item, one = ITEMS["table4"], RECIPES["imagenet-resnet50"]
    row = next(row for row in item.rows if row.paper.name == "ResNet-50")
    run = invented_run(tmp_path / "run", one)
    for sides, mirror, words, compared in (
        ([224, 256, 384, 480, 640], False, [], True),
        ([224, 256, 384, 480, 640], True, ["mirror images seen as well"], True),
        ([224, 256], False, ["shorter sides of 224, 256 pixels"], False),
    ):
        protocol = {"shorter_sides": sides, "mirror": mirror}
        invented_evaluation(run.path / "evaluation", [one], "multi-scale", 20.0, protocol=protocol)
        ours = found(tmp_path, item, row)
        assert (ours.departures, ours.difference("top1") is not None) == (words, compared)


def test_an_evaluation_is_known_by_the_fingerprint_that_its_run_recorded(tmp_path):
    """That of an earlier version, which took another one of the same recipe."""
    one, row = RECIPES["imagenet-resnet50"], next(r for r in ITEMS["table3"].rows if r.paper.name == "ResNet-50")
    run = invented_run(tmp_path / "run", one, fingerprint="0" * 12)
    invented_evaluation(run.evaluation, [one], "10-crop", 22.0, networks=[{"fingerprint": "0" * 12}])
    assert found(tmp_path, ITEMS["table3"], row).mean("top1") == 22.0


def test_a_damaged_result_is_named(tmp_path):
    run = invented_run(tmp_path / "run", recipe())
    run.result.write_text("{}")
    with pytest.raises(ValueError, match=r"result\.json is damaged: it lacks `recipe`"):
        found(tmp_path)


def test_a_damaged_evaluation_is_named(tmp_path):
    one = RECIPES["imagenet-resnet50"]
    run = invented_run(tmp_path / "run", one)
    file = invented_evaluation(run.path / "evaluation", [one], "10-crop", 22.0)
    row = next(row for row in ITEMS["table3"].rows if row.paper.name == "ResNet-50")
    file.write_text("{}")
    with pytest.raises(ValueError, match=r"result-10-crop\.json is damaged: it lacks `images`"):
        found(tmp_path, ITEMS["table3"], row)
    invented_evaluation(run.evaluation, [one], "multi-scale", 22.0, protocol={"mirror": False})
    row = next(row for row in ITEMS["table4"].rows if row.paper.name == "ResNet-50")
    with pytest.raises(ValueError, match=r"result-multi-scale\.json is damaged: `protocol` must have mirror and short"):
        found(tmp_path, ITEMS["table4"], row)
