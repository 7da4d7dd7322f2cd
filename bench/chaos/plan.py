"""What is done to the system, when and to whom: a list of bursts that a seed and a number of kills give. Pure.

Targets and disturbances are dealt like cards from shuffled decks, so that a run of twenty kills meets every target at least twice.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

FLOWS = ("telemetry", "detect", "city")
PARTS = ("bridge", "gateway", "agent")
BROKERS = ("kafka", "mosquitto")
WORKERS = tuple(f"{flow} worker" for flow in FLOWS)
SUPERVISORS = tuple(f"{flow} supervisor" for flow in FLOWS)
TARGETS = (*PARTS, *BROKERS, *WORKERS, *SUPERVISORS)
"""What is killed. A flow is killed as one of its processes and as their supervisor, with whom they die."""
ROUTES = ("kafka", "mqtt")
"""Connections that go through a proxy of ours: flows, bridge and gateway to Kafka; vehicles to Mosquitto."""


class Kind(StrEnum):
    """What is done to a target."""

    KILL = "kill"
    STALL = "stall"  # SIGSTOP for a while: a process or its disk hangs
    CUT = "cut"  # connections of a route are reset, new ones refused
    SLOW = "slow"  # everything on a route arrives late
    HOLE = "hole"  # a route takes bytes and passes nothing on
    FULL = "full"  # no room on the disk of the recovery stores


class Moment(StrEnum):
    """When a target is killed."""

    ANY = "any"
    WRITING = "writing"  # a flow's worker right after it began to write its store: the end of an epoch
    STARTING = "starting"  # within a second of the restart that followed the kill before


@dataclass(frozen=True)
class Strike:
    """One act. wait_s: since the end of the one before, or since the restart; duration_s: of what is not a kill."""

    kind: Kind
    target: str
    wait_s: float
    moment: Moment = Moment.ANY
    duration_s: float = 0.0


Burst = tuple[Strike, ...]
"""Strikes in quick succession; after them the harness waits until the system has caught up."""

_T = TypeVar("_T")


class _Deck(Iterator[_T]):
    """Deals all cards in a random order, and again."""

    def __init__(self, cards: Sequence[_T], rng: random.Random) -> None:
        self._cards, self._rng = list(cards), rng
        self._left: list[_T] = []

    def __next__(self) -> _T:
        if not self._left:
            self._left = self._rng.sample(self._cards, len(self._cards))
        return self._left.pop()


_DISTURBANCES = (
    *((Kind.STALL, target) for target in (*PARTS, *BROKERS, *WORKERS)),
    *((kind, route) for kind in (Kind.CUT, Kind.SLOW, Kind.HOLE) for route in ROUTES),
    (Kind.FULL, "recovery"),
    (Kind.FULL, "recovery"),
)
_BURST = (1, 1, 1, 2, 3)
_PAUSE_S = (0.5, 4.0)
"""Before a burst: the moment is anywhere in an epoch."""
_BETWEEN_S = (0.0, 1.5)
_STARTING_S = (0.0, 1.0)
_DURATION_S = (1.0, 6.0)
_DISTURBED = 0.6
"""Disturbances a burst of kills."""
_AGAIN = 0.25
"""Share of kills that are followed by one at the start."""
_WRITING = 0.5
"""Share of kills of a worker that wait for its store."""


def plan(kills: int, seed: int) -> list[Burst]:
    """Bursts with exactly `kills` kills; the same for the same arguments."""
    rng = random.Random(f"chaos.{seed}")  # noqa: S311 - a schedule, not a secret
    targets, disturbances = _Deck(TARGETS, rng), _Deck(_DISTURBANCES, rng)
    bursts: list[Burst] = []
    left = kills
    while left > 0:
        if rng.random() < _DISTURBED:
            kind, target = next(disturbances)
            bursts.append((Strike(kind, target, rng.uniform(*_PAUSE_S), duration_s=rng.uniform(*_DURATION_S)),))
        burst = _burst(rng, targets, min(left, rng.choice(_BURST)))
        left -= len(burst)
        bursts.append(burst)
    return bursts


def _burst(rng: random.Random, targets: _Deck[str], kills: int) -> Burst:
    strikes: list[Strike] = []
    while len(strikes) < kills:
        target = next(targets)
        moment = Moment.WRITING if target in WORKERS and rng.random() < _WRITING else Moment.ANY
        strikes.append(Strike(Kind.KILL, target, rng.uniform(*(_BETWEEN_S if strikes else _PAUSE_S)), moment))
        if len(strikes) < kills and rng.random() < _AGAIN:
            strikes.append(Strike(Kind.KILL, target, rng.uniform(*_STARTING_S), Moment.STARTING))
    return tuple(strikes)
