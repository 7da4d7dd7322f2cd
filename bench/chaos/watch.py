"""Looks at the system several times a second, from beside it: log ends, flows' positions, the vehicles' backlog, gateway, memory.

A thread that only reads: Kafka by its own listener, the ledger, /proc, the gateway's /readyz.
"""

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Any, Self

import orjson
from confluent_kafka import Consumer, KafkaException

from fleetpulse.bench.chaos.plan import FLOWS, TARGETS
from fleetpulse.bench.chaos.positions import Positions, committed, ends
from fleetpulse.bench.chaos.system import PARTITIONS, System
from fleetpulse.config import kafka
from fleetpulse.flows import topics
from fleetpulse.flows.embedded import HOST

INPUTS = {
    "telemetry": (topics.TELEMETRY, PARTITIONS),
    "detect": ("fleet.features", PARTITIONS),
    "city": ("fleet.zones", topics.ZONE_PARTITIONS),
}
"""Flow -> the topic that it reads and its partitions."""
_PAUSE_S = 0.15
_LIMIT_S = 1.0


@dataclass(frozen=True)
class Sample:
    """What was seen. Times are monotonic seconds, at the begin of looking.

    ends      flow -> end of each partition of its input; None: Kafka did not answer
    done      flow -> what it has committed
    pending   frames that the vehicles keep because nobody has answered; `told_s`: when the ledger said so
    frames    of the ledger
    starts    flow -> when the youngest of its workers was started; absent: none runs
    ready     the gateway answers that it is
    """

    at_s: float
    ends: Mapping[str, Positions] | None
    done: Mapping[str, Positions]
    pending: int
    told_s: float
    frames: int
    starts: Mapping[str, float]
    ready: bool

    def lag(self, flow: str) -> int | None:
        """Records that a flow has not committed; None when unknown."""
        if self.ends is None or flow not in self.done:
            return None
        return sum(end - self.done[flow].get(p, 0) for p, end in self.ends[flow].items())


@dataclass
class Watch:
    """Use as a context manager. `samples` grows; `peak_bytes`: target -> most memory that one of its processes has had."""

    system: System
    samples: list[Sample] = field(default_factory=list)
    peak_bytes: dict[str, int] = field(default_factory=dict)
    error: BaseException | None = None

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        settings = self.system.settings
        self._consumers = {flow: Consumer(kafka.consumer(settings, group=f"fleetpulse.{flow}")) for flow in FLOWS}
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        for consumer in self._consumers.values():
            consumer.close()

    def latest(self) -> Sample | None:
        """The newest sample. Raises what ended the watching, if anything did."""
        if self.error is not None:
            raise self.error
        return self.samples[-1] if self.samples else None

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self.samples.append(self._look())
                self._stop.wait(_PAUSE_S)
        except BaseException as error:  # a watch that stops in silence would let every wait run out
            self.error = error
            raise

    def _look(self) -> Sample:
        at_s = time.monotonic()
        starts = {flow: max(born) for flow in FLOWS if (born := [b for pid in self.system.workers(flow) if (b := _born_s(pid))])}
        self._memory()
        ledger, told_s = self._ledger()
        ends, done = self._kafka()
        return Sample(
            at_s=at_s,
            ends=ends,
            done=done,
            pending=int(ledger.get("pending", 0)),
            told_s=told_s,
            frames=int(ledger.get("frames", 0)),
            starts=starts,
            ready=self._ready(),
        )

    def _kafka(self) -> tuple[dict[str, Positions] | None, dict[str, Positions]]:
        try:
            found = {flow: ends(self._consumers[flow], topic, count, limit_s=_LIMIT_S) for flow, (topic, count) in INPUTS.items()}
            done = {flow: committed(self._consumers[flow], topic, count, limit_s=_LIMIT_S) for flow, (topic, count) in INPUTS.items()}
        except KafkaException:
            return None, {}
        return found, done

    def _ledger(self) -> tuple[dict[str, Any], float]:
        file = self.system.ledger / "ledger.json"
        try:
            age_s = time.time() - file.stat().st_mtime
            return orjson.loads(file.read_bytes()), time.monotonic() - age_s
        except (OSError, orjson.JSONDecodeError):
            return {}, 0.0

    def _ready(self) -> bool:
        connection = HTTPConnection(HOST, self.system.gateway_port, timeout=0.5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def _memory(self) -> None:
        for target in TARGETS:
            for pid in self.system.pids(target):
                self.peak_bytes[target] = max(self.peak_bytes.get(target, 0), _peak_bytes(pid))


def _born_s(pid: int) -> float:
    """When a process was started, monotonic; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            ticks = int(file.read().rsplit(")", 1)[1].split()[19])
    except (OSError, IndexError):
        return 0.0
    return ticks / _TICKS_PER_S


def _peak_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:")), 0)
    except OSError:
        return 0


_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
