"""Error rates from the sums over a split."""

from __future__ import annotations

import pytest

from keras_resnet.evaluation.error_rates import ErrorRates, tops


def test_rates_are_percent_of_the_images_and_the_loss_is_their_mean():
    assert ErrorRates.from_sums(8, 4.0, 6, 2, images=8, classes=10) == ErrorRates(8, 0.5, 75.0, 25.0)
    rates = ErrorRates.from_sums(3.0, 1.0, 1.0, 0.0, images=3, classes=10)
    assert isinstance(rates.images, int) and rates.top1_error == pytest.approx(100 / 3)


@pytest.mark.parametrize("images", [7, 9])
def test_another_number_of_images_is_an_error(images):
    with pytest.raises(RuntimeError, match=f"8 images were evaluated, but the split has {images}"):
        ErrorRates.from_sums(8, 4.0, 6, 2, images=images, classes=10)


@pytest.mark.parametrize(("classes", "expected"), [(1, (1,)), (2, (1,)), (5, (1,)), (6, (1, 5)), (1000, (1, 5))])
def test_among_five_classes_there_is_no_top_5_error(classes, expected):
    assert tops(classes) == expected
    rates = ErrorRates.from_sums(8, 4.0, 6, 0, images=8, classes=classes)
    assert rates.top5_error == (0.0 if 5 in expected else None)
