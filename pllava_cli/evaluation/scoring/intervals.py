"""How far a share may lie from the truth, as only so many were asked: 95 % confidence intervals."""

import math
from collections.abc import Sequence

NORMAL_95 = 1.959964
"""The standard normal distribution's 97.5th percentile: 95 % lie within so many deviations."""


def wilson(right: float, of: float) -> tuple[float, float]:
    """Return the interval of a share, from 0 to 1: Wilson's score interval (1927), sound near 0 and 1 too."""
    if not of > 0:
        return 0.0, 1.0
    share = right / of
    spread = NORMAL_95**2 / of
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def wilson_of_mean(tallies: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """Return the interval of the plain mean of shares, each of so many: (right, of), none of them of nothing.

    Wilson's interval at the effective sample size, which is that of one sample whose share varies as much
    as the mean does (Korn and Graubard 1998, Survey Methodology 24). A share of few is 0 or 1 by chance, and
    then tells nothing of how it varies: for that each is drawn to the mean by as many answers as Wilson's own
    interval draws it to one half (Agresti and Coull 1998, The American Statistician 52).
    """
    if not tallies:
        return 0.0, 1.0
    shares = [right / of for right, of in tallies]
    mean, added = sum(shares) / len(shares), NORMAL_95**2
    likely = [(right + added * mean) / (of + added) for right, of in tallies]
    pairs = zip(likely, tallies, strict=True)
    variance = sum(share * (1 - share) / of for share, (_, of) in pairs) / len(tallies) ** 2
    if variance > 0:
        size = mean * (1 - mean) / variance
    else:  # all is right, or nothing
        size = len(tallies) ** 2 / sum(1 / of for _, of in tallies)
    return wilson(mean * size, size)
