"""Runs all processes of one dataflow, and all of them anew when one ends that was not asked to.

A peer of a killed process may hang and run no signal handlers, so every unexpected end means: SIGTERM, SIGKILL, wait for
all, clean the store, start all, process 0 first. While the flow makes no progress the pauses grow and little is said.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import structlog

from fleetpulse.config.settings import Settings
from fleetpulse.flows.recovery import RecoveryStore, StoreFullError, folder_of
from fleetpulse.flows.stop import Stop

log = structlog.get_logger()

NAMES = ("telemetry", "detect", "city")

REFUSED = 78
"""Exit code (EX_CONFIG) of a worker that another try would not help: a wrong setting, another version's snapshot, records that are gone."""
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "RUST_BACKTRACE": "0"}
"""Of workers: NumPy's linear algebra would start threads that spin, and a worker is one thread by design. Bytewax panics where an
exception passes, and its stack says nothing."""
STOP_S = 10.0
"""How long processes may take to drain and snapshot after SIGTERM."""
RESTART_S = (0.2, 10.0)
"""First and longest pause before a restart; doubled while the flow dies without an epoch that was committed."""
ROOM_S = 1.0
"""Between looks at a recovery store whose disk is full."""
FRUITLESS = 5
"""After so many starts without progress a human is called, once."""


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody uses now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


class Supervisor:
    """One dataflow's cluster of processes on this machine."""

    def __init__(self, name: str, settings: Settings, stop: Stop) -> None:
        self._name = name
        self._settings = settings
        self._stop = stop
        self._processes: list[subprocess.Popen[bytes]] = []

    def run(self, *, partitions: int) -> int:
        """Until the stop flag is set (0), the flow ended by itself (0) or cannot go on (REFUSED). Raises StoreError.

        partitions  of the topic that the flow reads
        """
        with RecoveryStore(folder_of(self._settings, self._name)) as store:
            store.check(partitions)
            fruitless = 0
            while not self._stop:
                deleted = self._with_room(store.forget_uncommitted)
                if deleted:
                    log.warning("deleted snapshots that were never committed", flow=self._name, snapshots=deleted)
                epoch = self._with_room(store.resume_epoch)
                self._start(store)
                if not fruitless:
                    log.info("flow started", flow=self._name, processes=len(self._processes))
                codes = self._watch()
                last_codes = self._end()
                if self._stop or all(code == 0 for code in codes):
                    if any(last_codes):
                        log.warning("the flow ended without a last snapshot; it will go on from the one before", flow=self._name)
                    return 0
                if REFUSED in last_codes:
                    log.error("the flow ends: starting anew would not help", flow=self._name)
                    return REFUSED
                fruitless = 0 if self._with_room(store.resume_epoch) > epoch else fruitless + 1
                pause_s = min(RESTART_S[0] * 2 ** max(0, fruitless - 1), RESTART_S[1])
                log.warning(
                    "a process of the flow ended; starting all anew",
                    flow=self._name,
                    exit_codes=codes,
                    fruitless=fruitless,
                    pause_s=pause_s,
                )
                if fruitless == FRUITLESS:
                    log.error("the flow does not come up; it is tried on, but a human is needed", flow=self._name, starts=fruitless)
                self._sleep(pause_s)
            return 0

    def _with_room(self, work: Callable[[], int]) -> int:
        """The result of work on the store; waits while its disk is full. Raises StoreFullError when a stop is asked for meanwhile."""
        said = False
        while True:
            try:
                return work()
            except StoreFullError as error:
                if self._stop:
                    raise
                if not said:
                    log.error("the flow waits for room on the disk of its recovery store", flow=self._name, error=str(error))
                    said = True
                self._sleep(ROOM_S)

    def _start(self, store: RecoveryStore) -> None:
        count = self._settings.flow.processes
        addresses = ",".join(f"127.0.0.1:{port}" for port in free_ports(count))
        for i in range(count):
            command = [sys.executable, "-m", "fleetpulse.flows.worker", self._name, "--process", str(i)]
            command += ["--addresses", addresses, "--store", str(store.folder)]
            self._processes.append(subprocess.Popen(command, env={**os.environ, **ENVIRONMENT}, process_group=0))  # noqa: S603

    def _watch(self) -> list[int | None]:
        """Exit codes at the moment when the first process ended badly, all ended, or a stop was asked for."""
        while not self._stop:
            codes = [process.poll() for process in self._processes]
            if any(codes) or None not in codes:
                return codes
            time.sleep(0.05)
        return [process.poll() for process in self._processes]

    def _end(self) -> list[int]:
        """Every process is dead when this returns their exit codes."""
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        limit = time.monotonic() + (STOP_S if self._stop else 1.0)
        for process in self._processes:
            try:
                process.wait(max(0.0, limit - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("a process did not end in time and is killed", flow=self._name, pid=process.pid)
                process.kill()
                process.wait()
        codes = [process.wait() for process in self._processes]
        self._processes.clear()
        return codes

    def _sleep(self, duration_s: float) -> None:
        until = time.monotonic() + duration_s
        while time.monotonic() < until and not self._stop:
            time.sleep(0.05)
