"""Bytewax step `score`: a shard's closed windows to the events of its models.

Thin: the models are models/, the events alerts/findings.py. Delivery: windows that are read again, or were written twice, are not
scored again; a batch that is run again emits the same events with the same ids.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bytewax.operators as op
import numpy as np
import pyarrow as pa
import structlog
from bytewax.operators import KeyedStream, StatefulBatchLogic
from numpy.typing import NDArray

from fleetpulse.alerts import event, findings
from fleetpulse.alerts.desk import Desk
from fleetpulse.alerts.event import Event, Outgoing
from fleetpulse.alerts.policy import AlertPolicy
from fleetpulse.alerts.relay import Word
from fleetpulse.codecs import tables
from fleetpulse.codecs.batch import RecordBatch
from fleetpulse.models import store
from fleetpulse.models.detector import Detector
from fleetpulse.models.findings import MODELS
from fleetpulse.models.foresight import Foresight
from fleetpulse.models.parameters import DetectParameters
from fleetpulse.operators import words

log = structlog.get_logger()

_MAGIC, _VERSION = b"SCOR", 2


@dataclass(frozen=True)
class ScoreNames:
    """What codes mean, and who we are. `topic` is the raw one, whose offsets stand in the windows."""

    deployment: str
    topic: str
    cities: tuple[str, ...]
    models: tuple[str, ...]


class ShardScorer:
    """One shard: owns its models and turns polls of fleet.features into records."""

    def __init__(self, shard: int, parameters: DetectParameters, names: ScoreNames, policy: AlertPolicy | None = None) -> None:
        self.shard = shard
        self.next_offset = 0
        self.detector = Detector(shard, parameters)
        self._told: set[tuple[str, int, int]] = set()
        self._desk = Desk(policy or AlertPolicy(), shard=shard, topic=names.topic)
        self._names = names
        self._table_names = {"city": names.cities, "vehicle_model": names.models}

    def run(self, batch: RecordBatch, out: list[Outgoing]) -> None:
        """Append to `out` what the batch leads to. Raises StoredStateError when the batch is not the one that comes next."""
        if batch.start != self.next_offset:
            raise store.StoredStateError(f"shard {self.shard} must go on at offset {self.next_offset} of fleet.features; got {batch.start}")
        names = self._names
        for offset, value in batch.values():
            if (said := self._said(offset, value)) is not None:
                events = self._desk.hear(*said)
                self._judged(said[1], events)
                self._emit(events, out)
                continue
            windows = self._windows(offset, value)
            for finding in self.detector.run(windows):
                made = findings.events(finding, shard=self.shard, topic=names.topic, cities=names.cities, models=names.models)
                self._emit(self._desk.find(made, finding.window.closed_ms), out)
            self._tell_failures()
            if len(windows):
                self._emit(self._desk.advance(int(windows["closed_ms"].max())), out)
        self.next_offset = int(batch.offsets[-1]) + 1

    def _emit(self, events: list[Event], out: list[Outgoing]) -> None:
        out.extend(event.encode(e, deployment=self._names.deployment) for e in events)

    def _judged(self, said: list[Word], events: list[Event]) -> None:
        """Count what people said of a model's alerts when they took them; who says nothing takes it as true."""
        false = {word.device for word in said if word.kind == "acknowledged" and word.verdict == "false"}
        for each in events:
            if each.type == event.ALERT_ACKNOWLEDGED and (by := each.data["evidence"]["rule"]) in MODELS:
                self.detector.board.add(by, f"acknowledged.{'false' if each.subject in false else 'true'}")

    def _tell_failures(self) -> None:
        """Once a model and cohort in the life of this process; the metric counts all."""
        for model, city, vehicle_model, error in self.detector.board.take_failures():
            key = (model, city, vehicle_model)
            if key not in self._told:
                self._told.add(key)
                where = {"shard": self.shard, "city": self._names.cities[city], "vehicle_model": self._names.models[vehicle_model]}
                log.error("a model failed and begins anew; until it has learned the fixed rule decides", model=model, error=error, **where)

    def _said(self, offset: int, value: bytes) -> tuple[int, list[Word]] | None:
        """What the shard says of alerts in a record that holds no windows; nothing, and an error in the log, when it is broken."""
        try:
            return words.parse(value)
        except (ValueError, KeyError, TypeError) as error:
            log.error("a record of fleet.features tells nothing; left out", shard=self.shard, offset=offset, error=str(error))
            return -1, []

    def _windows(self, offset: int, value: bytes) -> NDArray[Any]:
        """A record's windows; none, and an error in the log, when it is no table of windows."""
        try:
            return tables.decode(value, tables.WINDOW, self._table_names)
        except (pa.ArrowInvalid, KeyError, ValueError) as error:
            log.error("a record of fleet.features is no table of windows; left out", shard=self.shard, offset=offset, error=str(error))
            return np.zeros(0, dtype=tables.WINDOW)

    @property
    def foresight(self) -> Foresight:
        """The shard's forecasts, for those who watch them."""
        return self.detector.foresight

    def snapshot(self) -> bytes:
        """Versioned bytes, a copy. The inverse is restore."""
        header = {"shard": self.shard, "next_offset": self.next_offset, "desk": self._desk.state()}
        return store.pack(_MAGIC, _VERSION, header, [self.detector.snapshot()])

    @classmethod
    def restored(cls, stored: bytes, make: Callable[[int], "ShardScorer"]) -> "ShardScorer":
        """The scorer that made the snapshot. Raises StoredStateError for another version."""
        header, (detector,) = store.unpack(stored, _MAGIC, _VERSION, flow="detect")
        scorer = make(header["shard"])
        scorer.next_offset = header["next_offset"]
        scorer.detector.restore(detector)
        scorer._tell_failures()
        scorer._desk.restore(header["desk"])
        return scorer


class ScoreLogic(StatefulBatchLogic[RecordBatch, list[Outgoing], bytes]):
    """What Bytewax holds for a key: the shard's scorer, made when the first batch or the snapshot tells which shard it is."""

    def __init__(self, make: Callable[[int], ShardScorer], snapshot: bytes | None) -> None:
        self._make = make
        self._scorer = None if snapshot is None else ShardScorer.restored(snapshot, make)

    def on_batch(self, batches: list[RecordBatch]) -> tuple[list[list[Outgoing]], bool]:
        out: list[Outgoing] = []
        scorer = self._scorer = self._scorer or self._make(batches[0].partition)
        for batch in batches:
            scorer.run(batch, out)
        return ([out] if out else []), StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        assert self._scorer is not None, "Bytewax snapshots a key only after its first item"
        return self._scorer.snapshot()


def score(step_id: str, up: KeyedStream[RecordBatch], make: Callable[[int], ShardScorer]) -> KeyedStream[list[Outgoing]]:
    """(shard key, RecordBatch of fleet.features) to (shard key, records). `make` builds the empty scorer of a shard."""
    return op.stateful_batch(step_id, up, lambda snapshot: ScoreLogic(make, snapshot))
