"""The published score of the Numenta Anomaly Benchmark, profile `standard`, and a plain F1, of flagged rows against windows. Pure.

Lavin and Ahmad 2015, "Evaluating real-time anomaly detection algorithms - the Numenta Anomaly Benchmark" (arXiv:1510.03336). A window
earns up to 1, the more the earlier in it the first flag is; a missed one costs 1; a flag outside costs up to 0.11, less soon after a
window. The first 15 % of a series (at most 750 rows) do not count. 100 is a flag at the first row of each window and none elsewhere, 0 is
no flag at all.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp

import numpy as np
from numpy.typing import NDArray

A_TP, A_FP, A_FN = 1.0, 0.11, 1.0
PROBATION = 0.15
_LONGEST = 5000


@dataclass(frozen=True)
class Tally:
    """Of one series: raw points, windows, how many were hit, flagged rows outside."""

    points: float
    windows: int
    hit: int
    false: int


def probation(rows: int) -> int:
    """How many first rows do not count."""
    return int(PROBATION * min(rows, _LONGEST))


def _sigmoid(at: float) -> float:
    return -1.0 if at > 3.0 else 2.0 / (1.0 + exp(5.0 * at)) - 1.0


def tally(flags: NDArray[np.bool_], windows: Iterable[tuple[int, int]]) -> Tally:
    """flags  (N,) rows flagged;  windows  first and last row of each, ascending."""
    spans = sorted(windows)
    inside = np.zeros(len(flags), dtype=np.bool_)
    points, hit = 0.0, 0
    first = probation(len(flags))
    for begin, last in spans:
        inside[begin : last + 1] = True
        found = np.flatnonzero(flags[max(begin, first) : last + 1])
        if len(found):
            row = max(begin, first) + int(found[0])
            points += A_TP * _sigmoid(-(last - row + 1) / (last - begin + 1)) / _sigmoid(-1.0)
            hit += 1
        else:
            points -= A_FN
    outside = np.flatnonzero(flags & ~inside)
    outside = outside[outside >= first]
    for row in outside.tolist():
        before = [span for span in spans if span[1] < row]
        at = (row - before[-1][1]) / max(1, before[-1][1] - before[-1][0]) if before else 4.0
        points += A_FP * _sigmoid(at)
    return Tally(points, len(spans), hit, len(outside))


def standard(tallies: Iterable[Tally]) -> float:
    """Normalised over all series: 0 with no flag at all, 100 at best."""
    every = list(tallies)
    windows = sum(t.windows for t in every)
    return 100.0 * (sum(t.points for t in every) + A_FN * windows) / ((A_TP + A_FN) * windows)


def f1(tallies: Iterable[Tally]) -> float:
    """Recall counts windows that were hit, precision flagged rows: those outside are false, a window that was hit is one true one."""
    every = list(tallies)
    hit, windows, false = (sum(getattr(t, name) for t in every) for name in ("hit", "windows", "false"))
    return 2.0 * hit / (windows + hit + false) if windows else 0.0
