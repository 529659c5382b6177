from __future__ import annotations

import re
from typing import get_args

import pytest

from keras_resnet.facts.augmentation import OPERATIONS, Images, Operation, check, draws, suiting, with_columns


def test_every_operation_has_a_row_and_suits_some_images():
    assert tuple(OPERATIONS) == get_args(Operation)
    assert all(set(facts.images) <= set(get_args(Images)) and facts.images for facts in OPERATIONS.values())


def test_the_draws_of_operations_lie_beside_one_another():
    names = ("random-scale-crop", "flip", "color-noise")
    assert list(with_columns(names)) == [
        ("random-scale-crop", slice(0, 3)),
        ("flip", slice(3, 4)),
        ("color-noise", slice(4, 7)),
    ]
    assert draws(names) == 7
    assert draws(()) == 0


@pytest.mark.parametrize("images", get_args(Images))
def test_any_operation_that_suits_the_images_may_stand_alone_or_with_others_in_their_order(images):
    check((), images)
    for name in suiting(images):
        check((name,), images)
        check([name], images)
    crops = [name for name in suiting(images) if OPERATIONS[name].crops]
    check([crops[-1], *(name for name in suiting(images) if name not in crops)], images)


@pytest.mark.parametrize(
    ("names", "images", "message"),
    [
        (("random-resized-crop",), "fixed-size", "a list of operations for fixed-size images, any of pad-crop, flip"),
        (("pad-crop", "flip"), "encoded", "a list of operations for encoded images, any of random-scale-crop, random-"),
        (("flop",), "fixed-size", "Received: augmentation=('flop',). Did you mean 'flip'?"),
        ("flip", "fixed-size", "a list of operations for fixed-size images, any of pad-crop, flip. Received: augmen"),
        (("flip", "pad-crop"), "fixed-size", "a list without repetition, in the order pad-crop, flip. Received"),
        (("flip", "flip"), "fixed-size", "a list without repetition, in the order pad-crop, flip. Received"),
        (("random-scale-crop", "random-resized-crop"), "encoded", "a list with one crop at most. Received"),
        (("pad-crop", "pad-crop"), "fixed-size", "a list with one crop at most. Received"),
    ],
)
def test_what_makes_no_sense_is_refused(names, images, message):
    with pytest.raises(ValueError, match="^`augmentation` must be " + ".*" + re.escape(message)):
        check(names, images)
