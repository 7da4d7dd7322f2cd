"""What is remembered of one slow signal of one vehicle: medians of some hours each, the last 24 of them, and what a new one means.

A median is judged by the line through those before it, then learned. One that lies far off is doubted and left out; when the next lies off
on the same side the signal has changed (a tyre was inflated, a leak began or ended, the battery is another one), and what was before is
forgotten. So one bad bin cannot bend a line, and a line does not run on through a bend that shows.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.models.trend import Crossing, Trend, fit

BINS = 24
SAMPLES = 8
"""Of a bin, for its median: the last ones."""
KNOWN = 4
"""Medians that make a line worth something."""
FAR = 0.99
"""A median outside this interval is doubted."""
_TURN = 0xFFFF
_DAY_MS = 86_400_000

LINE: np.dtype[np.void] = np.dtype(
    [
        ("bins", "<u2", (BINS,)),  # number of each bin since 1970, modulo 2^16
        ("values", "<u2", (BINS,)),  # its median, in steps of the signal
        ("samples", "<u2", (SAMPLES,)),  # of the bin that is open
        ("open", "<u2"),  # its number
        ("doubted_bin", "<u2"),
        ("doubted", "<u2"),
        ("count", "u1"),
        ("sampled", "u1"),  # samples of the open bin, up to 248, then 241 to 248
        ("doubt", "i1"),  # on which side the last median lay off; 0: it was learned
    ],
    align=True,
)


@dataclass(frozen=True)
class Signal:
    """bin_ms    length of a bin
    step      what is kept, in units of the signal: 0 to 65,535 steps
    spread    standard deviation of a median as the sensor has it, in the unit
    leap      a bin differs from the one before by so much only when something was done, in the unit
    together  bins that err together
    """

    bin_ms: int
    step: float
    spread: float
    leap: float
    together: float = 1.0

    @property
    def bin_d(self) -> float:
        return self.bin_ms / _DAY_MS


class Change(IntEnum):
    """What a median was."""

    NONE = 0
    DOUBTED = 1
    BEGUN = 2  # the line begins anew


@dataclass(frozen=True, slots=True)
class Closed:
    """A bin that is over: its number, its median, and of how many samples, at most SAMPLES."""

    number: int
    value: float
    samples: int = SAMPLES


def sample(line: Any, signal: Signal, time_ms: int, value: float) -> Closed | None:
    """Take a sample into the bin of its time; the bin before, if that ends it. `line`: a LINE record, changed in place."""
    number, closed = time_ms // signal.bin_ms & _TURN, None
    if line["sampled"] and number != line["open"]:
        taken = line["samples"][: min(int(line["sampled"]), SAMPLES)]
        closed = Closed(int(line["open"]), float(np.median(taken)) * signal.step, len(taken))
        line["sampled"] = 0
    line["open"] = number
    line["samples"][int(line["sampled"]) % SAMPLES] = min(_TURN, max(0, round(value / signal.step)))
    line["sampled"] = int(line["sampled"]) + 1 if line["sampled"] < 248 else 241  # the same place in the ring
    return closed


def learn(line: Any, signal: Signal, closed: Closed) -> Change:
    """Judge a median by the line and learn it, or doubt it. `line`: a LINE record, changed in place."""
    steps = min(_TURN, round(closed.value / signal.step))
    count = _forget(line, closed.number)
    if count == 0:
        return _begin(line, [(closed.number, steps)])
    off = closed.value - float(line["values"][count - 1]) * signal.step
    far = abs(off) > signal.leap
    if count >= KNOWN:
        trend = trend_of(line, signal, closed.number)
        off = closed.value - trend.value(0.0)
        far = abs(off) > max(trend.band(0.0, FAR), 2 * signal.step)
    side = (1 if off > 0 else -1) if far else 0
    if side and line["doubt"] == side:
        return _begin(line, [(int(line["doubted_bin"]), int(line["doubted"])), (closed.number, steps)])
    line["doubt"] = side
    if side:
        line["doubted_bin"], line["doubted"] = closed.number, steps
        return Change.DOUBTED
    if count == BINS:
        line["bins"][:-1], line["values"][:-1] = line["bins"][1:].copy(), line["values"][1:].copy()
        count -= 1
    line["bins"][count], line["values"][count], line["count"] = closed.number, steps, count + 1
    return Change.NONE


def restart(line: Any) -> None:
    """Forget everything: the signal is another one's now."""
    line["count"] = line["sampled"] = line["doubt"] = 0


def trend_of(line: Any, signal: Signal, number: int) -> Trend:
    """The line through what is remembered, at least two medians; time 0 is bin `number`."""
    count = int(line["count"])
    ages = (number - line["bins"][:count].astype(np.int64)) & _TURN
    values: NDArray[np.float64] = line["values"][:count] * signal.step
    return fit(-ages * signal.bin_d, values, spread=signal.spread, together=signal.together)


def span_d(line: Any, signal: Signal) -> float:
    """From the first to the last median that is remembered."""
    count = int(line["count"])
    return ((int(line["bins"][count - 1]) - int(line["bins"][0])) & _TURN) * signal.bin_d if count else 0.0


def last(line: Any, signal: Signal) -> float:
    """The newest median that was learned."""
    return float(line["values"][int(line["count"]) - 1]) * signal.step


def newest(line: Any, signal: Signal, other: float) -> float:
    """The newest sample of the open bin; `other` when there is none."""
    sampled = int(line["sampled"])
    return float(line["samples"][(sampled - 1) % SAMPLES]) * signal.step if sampled else other


def _begin(line: Any, medians: list[tuple[int, int]]) -> Change:
    for k, (number, steps) in enumerate(medians):
        line["bins"][k], line["values"][k] = number, steps
    line["count"], line["doubt"] = len(medians), 0
    return Change.BEGUN


def _forget(line: Any, number: int) -> int:
    """Drop medians older than four times what fits when none is missing; how many are left."""
    count = int(line["count"])
    kept = ((number - line["bins"][:count].astype(np.int64)) & _TURN) <= 4 * BINS
    left = int(kept.sum())
    if left < count:
        line["bins"][:left], line["values"][:left] = line["bins"][:count][kept], line["values"][:count][kept]
        line["count"] = left
    return left


def from_now(crossing: Crossing, signal: Signal, number: int, at_ms: int) -> Crossing:
    """A crossing in days from the middle of bin `number`, in days from `at_ms`, which is in that bin or a later one."""
    present = at_ms // signal.bin_ms
    middle_ms = (present - ((present - number) & _TURN)) * signal.bin_ms + signal.bin_ms // 2
    past_d = (at_ms - middle_ms) / _DAY_MS
    return Crossing(*(max(0.0, days - past_d) for days in (crossing.expected_d, crossing.earliest_d, crossing.latest_d)))
