"""What a person can ask of a benchmark: how much, with which seed, where its files go. Data only."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "bench"
"""Environments and workloads of benchmarks; outside git."""


@dataclass(frozen=True)
class Options:
    """scale: share of the full size (frames, seconds); figures of a scale below 1 prove only that it runs.

    seed     of every workload
    only     parts of a scenario, by the names that it documents; empty: all
    kills    of `chaos`; 0: as many as it does by itself
    tuning   `quality` takes the seeds and strengths that thresholds may be chosen on
    plots    folder for PNG files; None: no plots
    scratch  folder of this run, deleted after it
    say      called with what is measured next
    """

    scratch: Path
    scale: float = 1.0
    seed: int = 1
    only: tuple[str, ...] = ()
    kills: int = 0
    tuning: bool = False
    plots: Path | None = None
    say: Callable[[str], None] = print
    cache: Path = field(default_factory=lambda: CACHE)

    def wants(self, part: str) -> bool:
        return not self.only or part in self.only

    def scaled(self, full: float, least: int = 1) -> int:
        """`full` times the scale, at least `least`."""
        return max(least, round(full * self.scale))
