"""Bytewax step `rebalance`: zone reports of all shards to what should be moved and swapped in each city.

Reports of an interval are gathered until every shard has reported it or a later one; then alerts/rebalance.py decides. What
comes out depends on what was reported alone: not on the order in which shards reported it, nor on reports that come twice.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import bytewax.operators as op
import numpy as np
import pyarrow as pa
import structlog
from bytewax.operators import KeyedStream, StatefulBatchLogic
from numpy.typing import NDArray

from fleetpulse.alerts import event
from fleetpulse.alerts.event import Outgoing
from fleetpulse.alerts.rebalance import CityPlanner, RebalanceParameters
from fleetpulse.alerts.silences import SilenceParameters
from fleetpulse.codecs import tables
from fleetpulse.codecs.batch import RecordBatch
from fleetpulse.models import store
from fleetpulse.operators import silence
from fleetpulse.operators.silence import SilenceDesk

log = structlog.get_logger()

TABLES: dict[str, np.dtype[np.void]] = {"counts": tables.ZONE, "candidates": tables.CANDIDATE}
WAITING_BYTES = 64 << 20
"""Reports of a city that may wait for a shard that is behind: about 7 hours of 25,000 vehicles. Beyond it the oldest interval is closed."""
_MAGIC, _VERSION = b"ZONE", 2


@dataclass(frozen=True)
class CityNames:
    """What codes mean, and who we are."""

    deployment: str
    cities: tuple[str, ...]
    models: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """One table of one shard at an interval's end."""

    table: str
    city: str
    shard: int
    shards: int
    end_ms: int
    rows: NDArray[Any]


@dataclass
class CityDesk:
    """A city's planner, and the reports of intervals that are not decided yet.

    waiting     (end_ms, shard, table) -> rows
    reached     shard -> end of the newest interval that it reported whole
    decided_ms  end of the newest interval that is behind us
    """

    planner: CityPlanner
    waiting: dict[tuple[int, int, str], NDArray[Any]] = field(default_factory=dict)
    reached: dict[int, int] = field(default_factory=dict)
    decided_ms: int = 0

    def take(self, report: Report) -> None:
        """Keep a report, unless its interval is decided; a second one of the same replaces its twin."""
        if report.end_ms <= self.decided_ms:
            return
        self.waiting[report.end_ms, report.shard, report.table] = report.rows
        if all((report.end_ms, report.shard, table) in self.waiting for table in TABLES):
            self.reached[report.shard] = max(self.reached.get(report.shard, 0), report.end_ms)

    def ready(self, shards: int) -> list[int]:
        """Ends of the intervals that can be closed, ascending."""
        bound = min(self.reached.get(shard, 0) for shard in range(shards))
        ends = sorted({end_ms for end_ms, _, _ in self.waiting})
        if sum(rows.nbytes for rows in self.waiting.values()) > WAITING_BYTES:
            bound = max(bound, ends[0])
        return [end_ms for end_ms in ends if end_ms <= bound]

    def decide(self, end_ms: int, shards: int) -> list[event.Event]:
        """Close the interval. One that a shard jumped over (an outage of ours) is closed without advice: its sums are not the city."""
        parts = {table: [self.waiting.get((end_ms, shard, table)) for shard in range(shards)] for table in TABLES}
        self.decided_ms = end_ms
        self.waiting = {key: rows for key, rows in self.waiting.items() if key[0] > end_ms}
        counts, candidates = ([rows for rows in parts[table] if rows is not None] for table in TABLES)
        if min(len(counts), len(candidates)) < shards:
            log.warning("an interval is closed without advice: not every shard reported it", city=self.planner.city, end_ms=end_ms)
            return []
        return self.planner.decide(end_ms, np.concatenate(counts), np.concatenate(candidates))


class ZonePlanner:
    """One partition of fleet.zones: its cities' desks, and the desk of their silent vehicles."""

    def __init__(
        self, partition: int, parameters: RebalanceParameters, names: CityNames, silences: SilenceParameters | None = None
    ) -> None:
        self.partition = partition
        self.next_offset = 0
        self._parameters = parameters
        self._names = names
        self._table_names = {"city": names.cities, "vehicle_model": names.models}
        self._desks: dict[str, CityDesk] = {}
        self._silence = SilenceDesk(names.cities, silences or SilenceParameters())

    def run(self, batch: RecordBatch, out: list[Outgoing]) -> None:
        """Append to `out` what the batch leads to. Raises StoredStateError when the batch is not the one that comes next."""
        if batch.start != self.next_offset:
            raise store.StoredStateError(
                f"partition {self.partition} must go on at offset {self.next_offset} of fleet.zones; got {batch.start}"
            )
        for offset, value in batch.values():
            report = self._report(offset, value)
            if report is None:
                continue
            if isinstance(report, silence.Slice):
                out.extend(event.encode(e, deployment=self._names.deployment) for e in self._silence.take(report))
                continue
            desk = self._desk(report.city)
            desk.take(report)
            for end_ms in desk.ready(report.shards):
                events = desk.decide(end_ms, report.shards)
                out.extend(event.encode(e, deployment=self._names.deployment) for e in events)
        self.next_offset = int(batch.offsets[-1]) + 1

    def _desk(self, city: str) -> CityDesk:
        if city not in self._desks:
            self._desks[city] = CityDesk(CityPlanner(city, self._parameters))
        return self._desks[city]

    def _report(self, offset: int, value: bytes) -> Report | silence.Slice | None:
        """A record as what it reports; None, and an error in the log, when it is none."""
        try:
            if (told := silence.parse(value)) is not None:
                return told
            metadata = {key.decode(): text.decode() for key, text in (tables.read(value).schema.metadata or {}).items()}
            table = metadata["table"]
            return Report(
                table=table,
                city=metadata["city"],
                shard=int(metadata["shard"]),
                shards=int(metadata["shards"]),
                end_ms=int(metadata["interval_end_ms"]),
                rows=tables.decode(value, TABLES[table], self._table_names),
            )
        except (pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
            log.error("a record of fleet.zones is no zone report; left out", partition=self.partition, offset=offset, error=str(error))
            return None

    def snapshot(self) -> bytes:
        """Versioned bytes, a copy. The inverse is restored."""
        header: dict[str, Any] = {
            "partition": self.partition,
            "next_offset": self.next_offset,
            "cities": [],
            "silence": self._silence.state(),
        }
        sections = []
        for city, desk in sorted(self._desks.items()):
            waiting = sorted(desk.waiting)
            header["cities"].append(
                {"city": city, "decided_ms": desk.decided_ms, "reached": sorted(desk.reached.items()), "waiting": waiting}
            )
            sections += [desk.planner.snapshot(), *(desk.waiting[key].tobytes() for key in waiting)]
        return store.pack(_MAGIC, _VERSION, header, sections)

    @classmethod
    def restored(cls, stored: bytes, make: Callable[[int], "ZonePlanner"]) -> "ZonePlanner":
        """The planner that made the snapshot. Raises StoredStateError for another version."""
        header, sections = store.unpack(stored, _MAGIC, _VERSION, flow="city")
        planner, left = make(header["partition"]), iter(sections)
        planner.next_offset = header["next_offset"]
        planner._silence.restore(header["silence"])
        for city in header["cities"]:
            desk = planner._desk(city["city"])
            desk.planner.restore(next(left))
            desk.decided_ms, desk.reached = city["decided_ms"], dict(city["reached"])
            for end_ms, shard, table in city["waiting"]:
                desk.waiting[end_ms, shard, table] = np.frombuffer(next(left), dtype=TABLES[table])
        return planner


class RebalanceLogic(StatefulBatchLogic[RecordBatch, list[Outgoing], bytes]):
    """What Bytewax holds for a key: the partition's planner, made when the first batch or the snapshot tells which it is."""

    def __init__(self, make: Callable[[int], ZonePlanner], snapshot: bytes | None) -> None:
        self._make = make
        self._planner = None if snapshot is None else ZonePlanner.restored(snapshot, make)

    def on_batch(self, batches: list[RecordBatch]) -> tuple[list[list[Outgoing]], bool]:
        out: list[Outgoing] = []
        planner = self._planner = self._planner or self._make(batches[0].partition)
        for batch in batches:
            planner.run(batch, out)
        return ([out] if out else []), StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        assert self._planner is not None, "Bytewax snapshots a key only after its first item"
        return self._planner.snapshot()


def rebalance(step_id: str, up: KeyedStream[RecordBatch], make: Callable[[int], ZonePlanner]) -> KeyedStream[list[Outgoing]]:
    """(zone key, RecordBatch of fleet.zones) to (zone key, records). `make` builds the empty planner of a partition."""
    return op.stateful_batch(step_id, up, lambda snapshot: RebalanceLogic(make, snapshot))
