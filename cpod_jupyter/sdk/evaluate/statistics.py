"""Whether a difference between two sets of scores on the same rows is more than luck."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_RESAMPLES = 10_000
_AT_ONCE = 2_000_000
"""Draws held in memory at a time."""
_EXACT_UP_TO = 14
"""Rows that differ, up to which all sign patterns (16,384) are tried instead of drawn."""


@dataclass(frozen=True)
class Difference:
    """Of the second from the first, on the `rows` that both have a score for."""

    first: str
    second: str
    rows: int
    mean: float
    low: float
    high: float
    """The 95% confidence interval of the mean difference."""
    p: float
    """How often chance alone makes a difference as large, by `test`."""
    test: str


def mean_interval(values: Sequence[float], *, seed: int = 0) -> tuple[float, float]:
    """The 95% percentile bootstrap interval of a mean (Efron and Tibshirani, An Introduction to the Bootstrap,
    1993, chapter 13): rows are drawn with replacement 10,000 times, from a seeded generator."""
    import numpy as np

    data, generator = np.asarray(values, dtype=float), np.random.default_rng(seed)
    step, means = max(1, _AT_ONCE // len(data)), []
    for start in range(0, _RESAMPLES, step):
        drawn = generator.integers(0, len(data), (min(step, _RESAMPLES - start), len(data)))
        means.append(data[drawn].mean(axis=1))
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)


def sign_test(better: int, worse: int) -> float:
    """The two-sided exact McNemar test, which is the sign test on the rows that changed (McNemar, Psychometrika 12,
    1947; exact by the binomial distribution: Dixon and Mood, JASA 41, 1946)."""
    count = better + worse
    tail = sum(math.comb(count, at) for at in range(min(better, worse) + 1))
    return min(1.0, 2 * tail / (1 << count))


def permutation_test(differences: Sequence[float], *, seed: int = 0) -> float:
    """The two-sided paired permutation test (Fisher, The Design of Experiments, 1935, section 21): each difference
    may as well have had the other sign. All patterns where few rows differ; else 10,000 drawn ones, the observed
    one counted among them (Phipson and Smyth, SAGMB 9, 2010)."""
    import numpy as np

    data = np.asarray([each for each in differences if each], dtype=float)
    if not len(data):
        return 1.0
    observed = abs(data.sum()) * (1 - 1e-9)  # sums in another order are the same but for rounding
    if len(data) <= _EXACT_UP_TO:
        bits = (np.arange(2 ** len(data))[:, None] >> np.arange(len(data))) & 1
        return float(np.mean(np.abs((2 * bits - 1) @ data) >= observed))
    generator, step, extreme = np.random.default_rng(seed), max(1, _AT_ONCE // len(data)), 0
    for start in range(0, _RESAMPLES, step):
        signs = 2 * generator.integers(0, 2, (min(step, _RESAMPLES - start), len(data))) - 1
        extreme += int((np.abs(signs @ data) >= observed).sum())
    return (extreme + 1) / (_RESAMPLES + 1)


def difference(
    first: str, second: str, before: Sequence[float], after: Sequence[float], *, seed: int = 0
) -> Difference | None:
    """Of scores in the same order; rows where either is NaN do not count. None when no row is left."""
    pairs = [(a, b) for a, b in zip(before, after, strict=True) if not (math.isnan(a) or math.isnan(b))]
    if not pairs:
        return None
    changes = [b - a for a, b in pairs]
    low, high = mean_interval(changes, seed=seed)
    if all(score in (0, 1) for pair in pairs for score in pair):
        p, test = sign_test(sum(each > 0 for each in changes), sum(each < 0 for each in changes)), "exact McNemar"
    else:
        p, test = permutation_test(changes, seed=seed), "paired permutation"
    return Difference(first, second, len(pairs), sum(changes) / len(changes), low, high, p, test)
