"""Carries out a plan: strikes burst after burst, waits until the system has caught up, and notes how long that took."""

import errno
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from fleetpulse.bench.chaos import recovery
from fleetpulse.bench.chaos.plan import Burst, Kind, Moment, Strike
from fleetpulse.bench.chaos.proxy import Way
from fleetpulse.bench.chaos.recovery import Usual
from fleetpulse.bench.chaos.stores import until_written
from fleetpulse.bench.chaos.system import AttackError, System
from fleetpulse.bench.chaos.watch import Sample, Watch

log = structlog.get_logger()

RECOVER_S = 120.0
"""Longest wait for the system after a burst. Far more than is wanted: a slow machine must not fail for its time."""
WRITE_S = 5.0
"""Longest wait for a worker to write its store; then it is killed all the same."""
_WAYS = {Kind.CUT: Way.CUT, Kind.SLOW: Way.SLOW, Kind.HOLE: Way.HOLE}
_LOOK_S = 0.1


@dataclass(frozen=True)
class Struck:
    """What was done, when the disturbance was over or the process dead (monotonic), and how long it took to catch up."""

    strike: Strike
    at_s: float
    recovered_s: float


@dataclass
class Attack:
    """One run of a plan. disk: the mounted folder of the recovery stores that can be filled; None: disks stay as they are."""

    system: System
    watch: Watch
    normal: Usual
    disk: Path | None
    say: Callable[[str], None]
    struck: list[Struck] = field(default_factory=list)

    def run(self, bursts: list[Burst]) -> None:
        """Raises AttackError when the system does not catch up."""
        for number, burst in enumerate(bursts, 1):
            self.say(f"burst {number} of {len(bursts)}: " + ", ".join(_text(strike) for strike in burst))
            done = [(strike, self._strike(strike)) for strike in burst if strike.kind is not Kind.FULL or self.disk is not None]
            self._wait(done)

    def _wait(self, done: list[tuple[Strike, float]]) -> None:
        """Until everything that was struck has caught up, and once more everything since the last strike."""
        until = time.monotonic() + RECOVER_S
        open_ = list(range(len(done)))
        first = len(self.watch.samples) - 1
        while open_:
            self.system.look_after()
            self.watch.latest()
            since_s = min((done[i][1] for i in open_), default=0.0)
            while first > 0 and self.watch.samples[first].at_s > since_s:
                first -= 1
            samples = self.watch.samples[first:]
            for i in list(open_):
                strike, at_s = done[i]
                back_s = recovery.caught_up_at(strike.target, at_s, samples, self.normal)
                if back_s is not None:
                    open_.remove(i)
                    self.struck.append(Struck(strike, at_s, back_s - at_s))
            if time.monotonic() > until:
                raise AttackError(f"the system must catch up within {RECOVER_S:g} s; {self._behind([done[i] for i in open_], samples)}")
            time.sleep(_LOOK_S)

    def _behind(self, done: list[tuple[Strike, float]], samples: list[Sample]) -> str:
        """What has not caught up, and how everything looks now."""
        texts = []
        for strike, at_s in done:
            found = recovery.each_caught_up_at(strike.target, at_s, samples, self.normal)
            texts.append(f"after {_text(strike)}: {', '.join(what for what, back_s in found.items() if back_s is None)} did not")
        return f"{'; '.join(texts)}; usual {self.normal}, now {samples[-1]}"

    def _strike(self, strike: Strike) -> float:
        """Do it; returns when it was over, or the victim dead."""
        if strike.kind is Kind.KILL:
            return self._kill(strike)
        time.sleep(strike.wait_s)
        if strike.kind is Kind.STALL:
            self._stall(strike)
        elif strike.kind is Kind.FULL:
            self._fill(strike)
        else:
            self.system.proxy.set(strike.target, _WAYS[strike.kind])
            time.sleep(strike.duration_s)
            self.system.proxy.set(strike.target, Way.OPEN)
        return time.monotonic()

    def _kill(self, strike: Strike) -> float:
        time.sleep(strike.wait_s)
        self.system.look_after()
        if strike.moment is Moment.WRITING:
            until_written(self.system.data_dir / "recovery" / strike.target.split(maxsplit=1)[0], limit_s=WRITE_S)
        return self.system.kill(strike.target, self.system.one_of(strike.target))

    def _stall(self, strike: Strike) -> None:
        pid = self.system.one_of(strike.target)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(strike.duration_s)
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:  # its supervisor took it for dead
            log.warning("a stalled process was gone", target=strike.target)

    def _fill(self, strike: Strike) -> None:
        """No byte is left on the disk for a while."""
        assert self.disk is not None, "asked for"
        filler = self.disk / "filler"
        with filler.open("wb", buffering=0) as file:
            until = time.monotonic() + strike.duration_s
            block = 1 << 20
            while time.monotonic() < until:
                try:
                    file.write(bytes(block))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    if block > 1:
                        block //= 2
                    else:  # full to the last byte; what others free is taken as well
                        time.sleep(_LOOK_S)
        filler.unlink()


def _text(strike: Strike) -> str:
    """For people: what is done."""
    if strike.kind is Kind.KILL:
        when = {Moment.ANY: "", Moment.WRITING: " while it writes", Moment.STARTING: " again at its start"}[strike.moment]
        return f"kill {strike.target}{when}"
    return f"{strike.kind} {strike.target} {strike.duration_s:.1f} s"
