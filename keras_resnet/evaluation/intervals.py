"""Confidence intervals of counted errors."""

from __future__ import annotations

import math

NORMAL_QUANTILE = 1.959963984540054
"""97.5% of a normal distribution lie below it."""


def wilson(wrong: int, images: int) -> tuple[float, float]:
    """The 95% confidence interval of an error.

    Args:
        wrong: Images that the network is wrong about.
        images: All images, at least one.

    Returns:
        Lowest and highest error, in percent.

    Reference:
        Wilson, 1927, "Probable inference, the law of succession, and statistical inference".
    """
    z2 = NORMAL_QUANTILE**2
    center = (wrong + z2 / 2) / (images + z2)
    reach = NORMAL_QUANTILE / (images + z2) * math.sqrt(wrong * (images - wrong) / images + z2 / 4)
    # Rounding would leave the limits 0 and 100 by less than a millionth.
    return max(0.0, 100 * (center - reach)), min(100.0, 100 * (center + reach))
