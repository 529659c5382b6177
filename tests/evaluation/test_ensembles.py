"""What must be the same for all."""

from __future__ import annotations

import pytest

from keras_resnet.evaluation.ensembles import check_class_names, common


def test_what_all_have_is_returned():
    assert common("number", {"a": 3, "b": 3}) == 3


def test_the_first_that_differs_is_named():
    with pytest.raises(ValueError, match="The number must be the same. Received: 3 in a, 4 in c. Say it"):
        common("number", {"a": 3, "b": 3, "c": 4}, "Say it")


def test_classes_in_another_order_are_refused():
    with pytest.raises(ValueError, match="The name of class 1 must be the same. Received: 'dog' in a, 'cow' in b"):
        check_class_names({"a": ("cat", "dog", "cow"), "b": ("cat", "cow", "dog")})


@pytest.mark.parametrize("unknown", [None, ("0", "1", "2")])
def test_names_that_are_not_known_are_no_difference(unknown):
    names = ("cat", "dog", "cow")
    check_class_names({"a": unknown, "b": names, "c": unknown, "d": names})
    check_class_names({"a": unknown})
