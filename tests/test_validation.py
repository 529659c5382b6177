from __future__ import annotations

import re
from typing import Literal

import pytest

from keras_resnet import validation
from keras_resnet.config.recipe import Recipe


def whole(message: str) -> str:
    """The pattern of this message and no longer one."""
    return f"^{re.escape(message)}$"


@pytest.mark.parametrize(
    ("guard", "good", "bad", "rule"),
    [
        (validation.positive, [1, 1e-9], [0, -1, float("nan")], "positive"),
        (lambda name, value: validation.at_least(name, value, 2), [2, 3.5], [1.9, -2, float("nan")], "at least 2"),
        (validation.fraction, [0, 0.5], [1, -0.1, float("nan")], "at least 0 and below 1"),
        (
            lambda name, value: validation.one_of(name, value, ("A", None)),
            ["A", None],
            ["B", "", 0],
            "one of 'A', None",
        ),
    ],
)
def test_a_guard_lets_good_values_pass_and_names_the_rule_for_bad_ones(guard, good, bad, rule):
    for value in good:
        guard("depth", value)
    for value in bad:
        with pytest.raises(ValueError, match=whole(f"`depth` must be {rule}. Received: depth={value!r}")):
            guard("depth", value)


@pytest.mark.parametrize(
    ("word", "suggestion"),
    [
        ("mixed_bflaot16", "mixed_bfloat16"),
        ("MIXED_BFLOAT16", "mixed_bfloat16"),
        ("cifar10-resnet21", "cifar10-resnet20"),
        ("cifar10-resnet33", "cifar10-resnet32"),
    ],
)
def test_the_nearest_word_is_suggested(word, suggestion):
    words = ("cifar10-resnet32", "cifar10-resnet20", "float32", "mixed_bfloat16")
    assert validation.nearest(word, words) == f"Did you mean {suggestion!r}?"


@pytest.mark.parametrize(
    ("word", "suggestion"),
    [
        ("schedule.lr", "schedule.learning_rate"),
        ("schedule.LR", "schedule.learning_rate"),
        ("optimizer.wd", "optimizer.weight_decay"),
        ("training.gbs", "training.global_batch_size"),
        ("schedule.powr", "schedule.power"),
    ],
)
def test_initials_mean_their_words(word, suggestion):
    words = [name for name, _ in validation.leaves(Recipe("defaults").hyperparameters())]
    assert validation.nearest(word, words) == f"Did you mean {suggestion!r}?"


def test_nothing_is_suggested_for_a_word_that_is_like_none():
    assert validation.nearest("elephant", ("float32", "mixed_bfloat16")) == ""


def test_the_suggestion_is_the_last_sentence_of_the_error():
    with pytest.raises(ValueError, match=r"Received: precision='flaot32'\. Did you mean 'float32'\?$"):
        validation.one_of("precision", "flaot32", ("float32", "mixed_bfloat16"))


def test_choices_are_the_words_of_a_literal():
    assert validation.choices(Literal["A", "B"]) == ("A", "B")
    assert validation.choices(Literal["A", "B"] | None) == ("A", "B", None)
    assert validation.choices(int | None) is None
    assert validation.choices(tuple[int, ...]) is None


@pytest.mark.parametrize(
    ("value", "hint", "result"),
    [
        (3, int, 3),
        (1, float, 1.0),
        (0.5, float, 0.5),
        (True, bool, True),
        (None, bool | None, None),
        (False, bool | None, False),
        (None, int | None, None),
        (None, float | None, None),
        (2, float | None, 2.0),
        ("runs", str | None, "runs"),
        ([1, 2], tuple[int, ...], (1, 2)),
        ((), tuple[int, ...], ()),
        ("B", Literal["A", "B"] | None, "B"),
        (["B", "A"], tuple[Literal["A", "B"], ...], ("B", "A")),
        ((), tuple[Literal["A", "B"], ...], ()),
    ],
)
def test_a_fitting_value_gets_the_one_spelling_of_its_type(value, hint, result):
    fitted = validation.fitting("field", value, hint)
    assert fitted == result
    assert type(fitted) is type(result)


@pytest.mark.parametrize(
    ("value", "hint", "rule"),
    [
        ("3", int, "a whole number"),
        (3.0, int, "a whole number"),
        (True, int, "a whole number"),
        (True, float, "a finite number"),
        (float("nan"), float, "a finite number"),
        (float("inf"), float, "a finite number"),
        (1, bool, "True or False"),
        ("maybe", bool | None, "True, False or None"),
        (True, int | None, "a whole number or None"),
        (True, float | None, "a finite number or None"),
        (float("nan"), float | None, "a finite number or None"),
        ("1", float | None, "a finite number or None"),
        (7, str | None, "text or None"),
        (5, tuple[int, ...], "a list of whole numbers"),
        ("12", tuple[int, ...], "a list of whole numbers"),
        ([1, True], tuple[int, ...], "a list of whole numbers"),
        (3, Exception, "of type Exception"),
        ("C", Literal["A", "B"] | None, "one of 'A', 'B', None"),
        ("A", tuple[Literal["A", "B"], ...], "a list of 'A', 'B'"),
        (["A", "C"], tuple[Literal["A", "B"], ...], "a list of 'A', 'B'"),
        ([["A"]], tuple[Literal["A", "B"], ...], "a list of 'A', 'B'"),
    ],
)
def test_a_value_of_another_type_is_refused(value, hint, rule):
    with pytest.raises(ValueError, match=whole(f"`field` must be {rule}. Received: field={value!r}")):
        validation.fitting("field", value, hint)


def test_the_nearest_word_is_suggested_for_one_of_a_list():
    with pytest.raises(ValueError, match=r"Received: steps=\('crop', 'flop'\)\. Did you mean 'flip'\?$"):
        validation.fitting("steps", ("crop", "flop"), tuple[Literal["crop", "flip"], ...])


@pytest.mark.parametrize(
    ("received", "message"),
    [
        ({"depth": 1}, "The recipe lacks `model.shortcut`."),
        ({"depth": 1, "shortcutt": 2}, "`model.shortcutt` is no key of a recipe. Did you mean 'model.shortcut'?"),
        ([1], "`model` must be an object with the keys model.depth, model.shortcut."),
        ({"depth": 1, "shortcut": 2, "zzzzzzzzzzzzzz": 3}, "The keys are model.depth, model.shortcut"),
    ],
)
def test_keys_must_be_known_and_those_required_there(received, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        validation.keys(received, ("depth", "shortcut"), ("shortcut",), "model")


def test_keys_that_are_not_required_may_be_absent():
    validation.keys({}, ("depth", "shortcut"))
    validation.keys({"shortcut": 1}, ("depth", "shortcut"), ("shortcut",), "model")


def test_differences_are_listed_by_their_dotted_key():
    before = {"model": {"depth": 20, "shortcut": "A"}, "seed": 0, "gone": 1}
    after = {"model": {"depth": 20, "shortcut": None}, "seed": 0, "new": 2}
    assert validation.differences(before, after) == [
        "model.shortcut: 'A' -> None",
        "gone: 1 -> absent",
        "new: absent -> 2",
    ]
    assert validation.differences(before, before) == []
