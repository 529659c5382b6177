"""The schema of the JSON files of a run: what may stand in them, and how an error names what may not."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from invented_runs import ERRORS, invented_evaluation, invented_result
from keras_resnet.runs import results

REPORTS = Path(__file__).parents[2] / "recipes/reports"


def evaluation(tmp_path) -> dict:
    return json.loads(invented_evaluation(tmp_path, [], "center", 1.0).read_bytes())


@pytest.mark.parametrize(
    "changes", [{}, {"images_per_second": None}, {"best_iteration": None, "best_validation_error": 2}]
)
def test_what_is_written_is_read(tmp_path, changes):
    file, result = tmp_path / "result.json", invented_result(**changes)
    results.write(file, result, results.RUN, remedy="")
    assert results.read(file, results.RUN) == result


def test_every_recorded_result_follows_the_schema():
    """Also that of version 0.1, which did not know how many images it was trained on."""
    files = list(REPORTS.rglob("result.json"))
    assert len(files) > 20
    read = [results.read(file, results.RUN) for file in files]
    assert any("training_images" not in result for result in read)


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("[", "Expecting value"),
        ("[" * 100_000, "recursion"),
        ("[]", "it must be an object"),
        ("{}", "it lacks `recipe`"),
        ({"iterations": "20"}, "`iterations` must be a whole number, at least 1. Received: '20'"),
        ({"iterations": True}, "`iterations` must be a whole number, at least 1. Received: True"),
        ({"training_images": 0}, "`training_images` must be a whole number, at least 1. Received: 0"),
        ({"images_per_second": "fast"}, "`images_per_second` must be a number, or null. Received: 'fast'"),
        ({"class_names": ["cat", 3]}, "`class_names` must be a list of texts. Received: "),
        ({"splits": {}}, "`splits` must be an object that has `validation`. Received: {}"),
        ({"splits": {"validation": 3}}, "splits.validation must be an object"),
        ({"splits": {"validation": ERRORS, "test": {"images": 3}}}, "it lacks `splits.test.loss`"),
        (
            {"splits": {"validation": {**ERRORS, "images": 0}}},
            "`splits.validation.images` must be a whole number, at least 1. Received: 0",
        ),
        *(
            (
                {"splits": {"validation": {**ERRORS, "top1_error": error}}},
                f"`splits.validation.top1_error` must be a number from 0 to 100. Received: {error}",
            )
            for error in (math.nan, 101, -1)
        ),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path, content, wrong):
    file = tmp_path / "result.json"
    file.write_text(content if isinstance(content, str) else json.dumps(invented_result(**content)))
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        results.read(file, results.RUN)
    assert str(refused.value).startswith(f"{file} is damaged: {wrong}") or wrong == "recursion" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"view": 1}, "`view` must be text. Received: 1"),
        ({"top1_interval": [1, 2, 3]}, "`top1_interval` must be two numbers from 0 to 100. Received: [1, 2, 3]"),
        ({"holdout": -1}, "`holdout` must be a whole number, at least 0. Received: -1"),
        ({"networks": [{}]}, "`networks` must be a list of objects that have `fingerprint`. Received: [{}]"),
        ({"loss": "nan"}, "`loss` must be a number. Received: 'nan'"),
    ],
)
def test_a_damaged_evaluation_is_named_too(tmp_path, changes, wrong):
    file = tmp_path / "result-center.json"
    file.write_text(json.dumps(evaluation(tmp_path) | changes))
    with pytest.raises(ValueError, match="damaged") as refused:
        results.read(file, results.EVALUATION)
    assert str(refused.value) == f"{file} is damaged: {wrong}"


def test_what_breaks_the_schema_is_not_written(tmp_path):
    file = tmp_path / "result.json"
    with pytest.raises(ValueError, match="`iterations` must be a whole number"):
        results.write(file, invented_result(iterations=0), results.RUN, remedy="")
    with pytest.raises(ValueError, match=r"only keys of the schema\. Received also: accuracy"):
        results.write(file, invented_result(accuracy=97.5), results.RUN, remedy="")
    assert not file.exists()


def test_keys_of_a_later_version_are_read_all_the_same(tmp_path):
    file = tmp_path / "result.json"
    file.write_text(json.dumps(invented_result(accuracy=97.5)))
    assert results.read(file, results.RUN)["accuracy"] == 97.5


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("[{", "Expecting property name"),
        ("3", "it must be a list"),
        ('{"run": {}}', "it must be a list"),
        ("[{}, 1]", "[1] must be an object"),
        ('[{"started": 3}]', "`[0].started` must be text. Received: 3"),
    ],
)
def test_a_damaged_environment_is_named(tmp_path, content, wrong):
    file = tmp_path / "environment.json"
    file.write_text(content)
    with pytest.raises(ValueError, match="damaged") as refused:
        results.read_starts(file)
    assert str(refused.value).startswith(f"{file} is damaged: {wrong}")
