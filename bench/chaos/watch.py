"""Looks at the system several times a second, from beside it: log ends, flows' positions, the vehicles' backlog, gateway, memory.

A thread that only reads: Kafka by its own listener, the ledger, /proc, the gateway's /readyz.
"""

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
from fleetpulse.bench.chaos.positions import Positions, ends, taken
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
    done      flow -> the next offset of each partition that a living process of it reads; from its metrics, because Kafka's own account of
              a group is gone when a killed broker's group coordinator does not come back (seen: 4.3.1, "state machine out of sync")
    pending   frames that the vehicles keep because nobody has answered; `told_s`: when the ledger said so
    frames    of the ledger
    ready     the gateway answers that it is
    """

    at_s: float
    ends: Mapping[str, Positions] | None
    done: Mapping[str, Positions]
    pending: int
    told_s: float
    frames: int
    ready: bool

    def lag(self, flow: str) -> int | None:
        """Records that a flow has not taken; None when unknown."""
        if self.ends is None or self.ends[flow].keys() != self.done[flow].keys():
            return None
        return sum(max(0, end - self.done[flow][p]) for p, end in self.ends[flow].items())


@dataclass
class Watch:
    """Use as a context manager. `samples` grows; `peak_bytes`: target -> most memory that one of its processes has had."""

    system: System
    samples: list[Sample] = field(default_factory=list)
    peak_bytes: dict[str, int] = field(default_factory=dict)
    error: BaseException | None = None

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._consumer = Consumer(kafka.consumer(self.system.settings, group="bench.chaos"))
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def latest(self) -> Sample | None:
        """The newest sample. Raises what ended the watching, if anything did."""
        if self.error is not None:
            raise self.error
        return self.samples[-1] if self.samples else None

    def fresh(self) -> Sample:
        """A sample that was begun after the call."""
        since_s = time.monotonic()
        while (sample := self.latest()) is None or sample.at_s < since_s:
            time.sleep(_PAUSE_S / 2)
        return sample

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
        self._memory()
        ledger, told_s = self._ledger()
        done = {flow: self._positions(flow) for flow in FLOWS}
        return Sample(
            at_s=at_s,
            ends=self._ends(),
            done=done,
            pending=int(ledger.get("pending", 0)),
            told_s=told_s,
            frames=int(ledger.get("frames", 0)),
            ready=self._ready(),
        )

    def _ends(self) -> dict[str, Positions] | None:
        try:
            return {flow: ends(self._consumer, topic, count, limit_s=_LIMIT_S) for flow, (topic, count) in INPUTS.items()}
        except KafkaException:
            return None

    def _positions(self, flow: str) -> Positions:
        found: Positions = {}
        for port in self.system.metrics_ports[flow]:
            found |= taken(port)
        return found

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


def _peak_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:")), 0)
    except OSError:
        return 0
