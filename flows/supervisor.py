"""Runs all processes of one dataflow, and all of them anew when one ends that was not asked to.

A peer of a killed process may hang and run no signal handlers, so every unexpected end means: SIGTERM, SIGKILL, wait for
all, clean the store, start all, process 0 first.
"""

import os
import socket
import subprocess
import sys
import time

import structlog

from fleetpulse.config.settings import Settings
from fleetpulse.flows.recovery import RecoveryStore
from fleetpulse.flows.stop import Stop

log = structlog.get_logger()

NAMES = ("telemetry", "detect", "city")

ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}
"""Of workers: NumPy's linear algebra would start threads that spin, and a worker is one thread by design."""
STOP_S = 10.0
"""How long processes may take to drain and snapshot after SIGTERM."""
RESTART_S = (0.2, 10.0)
"""First and longest pause before a restart; doubled while the flow dies young."""
YOUNG_S = 30.0


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

    def run(self) -> int:
        """Until the stop flag is set (0) or the flow ended by itself (0). Raises StoreInUseError."""
        with RecoveryStore(self._settings.deployment.data_dir.resolve() / "recovery" / self._name) as store:
            pause_s = RESTART_S[0]
            while not self._stop:
                deleted = store.forget_uncommitted()
                if deleted:
                    log.warning("deleted snapshots that were never committed", flow=self._name, snapshots=deleted)
                began = time.monotonic()
                self._start(store)
                codes = self._watch()
                self._end()
                if self._stop or all(code == 0 for code in codes):
                    return 0
                log.warning("a process of the flow ended; starting all anew", flow=self._name, exit_codes=codes, pause_s=pause_s)
                pause_s = RESTART_S[0] if time.monotonic() - began > YOUNG_S else min(pause_s * 2, RESTART_S[1])
                self._sleep(pause_s)
            return 0

    def _start(self, store: RecoveryStore) -> None:
        count = self._settings.flow.processes
        addresses = ",".join(f"127.0.0.1:{port}" for port in free_ports(count))
        for i in range(count):
            command = [sys.executable, "-m", "fleetpulse.flows.worker", self._name, "--process", str(i)]
            command += ["--addresses", addresses, "--store", str(store.folder)]
            self._processes.append(subprocess.Popen(command, env={**os.environ, **ENVIRONMENT}, process_group=0))  # noqa: S603
        log.info("flow started", flow=self._name, processes=count)

    def _watch(self) -> list[int | None]:
        """Exit codes at the moment when the first process ended badly, all ended, or a stop was asked for."""
        while not self._stop:
            codes = [process.poll() for process in self._processes]
            if any(codes) or None not in codes:
                return codes
            time.sleep(0.05)
        return [process.poll() for process in self._processes]

    def _end(self) -> None:
        """Every process is dead when this returns."""
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
        self._processes.clear()

    def _sleep(self, duration_s: float) -> None:
        until = time.monotonic() + duration_s
        while time.monotonic() < until and not self._stop:
            time.sleep(0.05)
