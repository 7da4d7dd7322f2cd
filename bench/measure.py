"""Clocks of benchmarks: wall and CPU seconds of this process or of a tree of processes, medians of several runs, resident memory."""

import gc
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Spent:
    """Seconds on the wall and of CPU (all threads)."""

    wall_s: float
    cpu_s: float


def spend(work: Callable[[], object]) -> Spent:
    """What one call costs. Collects garbage before, and none of the call's own is left to chance: the collector is off in it."""
    gc.collect()
    gc.disable()
    try:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        return Spent(time.perf_counter() - wall, time.process_time() - cpu)
    finally:
        gc.enable()


@dataclass(frozen=True)
class Rates:
    """Units a second in each run, on the wall and of CPU."""

    wall: tuple[float, ...]
    cpu: tuple[float, ...]

    @property
    def wall_median(self) -> float:
        return statistics.median(self.wall)

    @property
    def cpu_median(self) -> float:
        return statistics.median(self.cpu)


def rates(work: Callable[[], object], units: int, *, runs: int = 5, warm_up: int = 1, limit_s: float = 20.0) -> Rates:
    """Units a second of `work`, which does `units` of them and can be done again.

    runs     how many are counted; fewer, but at least one, when `limit_s` is over
    warm_up  how many are not
    """
    return rates_of(lambda: work, units, runs=runs, warm_up=warm_up, limit_s=limit_s)


def rates_of(prepare: Callable[[], Callable[[], object]], units: int, *, runs: int = 5, warm_up: int = 1, limit_s: float = 20.0) -> Rates:
    """As rates; `prepare`, which is not measured, makes the work of each run."""
    began = time.monotonic()
    for _ in range(warm_up):
        prepare()()
    spent = [spend(prepare())]
    while len(spent) < runs and time.monotonic() - began < limit_s:
        spent.append(spend(prepare()))
    return Rates(tuple(units / s.wall_s for s in spent), tuple(units / max(s.cpu_s, 1e-9) for s in spent))


def peak_rss_bytes() -> int:
    """The most memory that this process has had. Not ru_maxrss, which begins with that of the process that started this one."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status must have VmHWM; it has not")


def children_cpu_s() -> float:
    """CPU seconds of all children of this process that have ended and were waited for, theirs included."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass
class Tree:
    """A process and its children, watched from outside. Times of a child that ended between two looks are those of the last look."""

    pid: int
    _cpu_s: dict[tuple[int, float], float] = field(default_factory=dict)

    def look(self) -> None:
        """Note CPU seconds of everything that lives."""
        for process in self._living():
            try:
                times = process.cpu_times()
                self._cpu_s[process.pid, process.create_time()] = times.user + times.system
            except psutil.NoSuchProcess:
                continue

    @property
    def cpu_s(self) -> float:
        """CPU seconds of the tree up to the last look."""
        return sum(self._cpu_s.values())

    def rss_bytes(self) -> int:
        """Resident memory of the tree now; pages that processes share count once in each."""
        total = 0
        for process in self._living():
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total

    def _living(self) -> list[psutil.Process]:
        try:
            root = psutil.Process(self.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []
