"""One poll of a partition to FRAME rows, operations and dead letters: the whole decoder behind one function.

Pure: no clock, no Kafka. What a record gives depends on its bytes alone, however records are cut into polls. numba does the passes
over records (passes.py); Python sees JSON in unusual forms, operations and what is not taken.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final
from uuid import UUID

import numpy as np
import orjson
from numpy.typing import NDArray

from fleetpulse.codecs import json, operations, partition
from fleetpulse.codecs.batch import MAX_PAYLOAD_BYTES, DeadLetter, FrameBatch, RecordBatch
from fleetpulse.codecs.errors import Reason, WireError
from fleetpulse.codecs.json_scan import FOLLOW, REACH, scan
from fleetpulse.codecs.operations import OperationRecord
from fleetpulse.codecs.passes import FRAMING, MISROUTED, OBJECT, OVERSIZE, fill, survey
from fleetpulse.codecs.protobuf import MALFORMED, NO_DEVICE_ID
from fleetpulse.codecs.schema import FRAME, Kind

DEAD_LETTER_BYTES = 64 << 10
"""How much of a payload goes to the dead-letter topic."""
WHOLE = -1
"""Position of a dead letter that is a whole record."""
MAX_FAULTS = 100
"""Frames of one record that become dead letters one by one; when more are wrong, they are one letter, the record. So a record of a
million bytes cannot make hundreds of thousands of letters."""
_OPAQUE = np.dtype((np.void, FRAME.itemsize))
"""A row as bytes: selecting rows this way copies the padding too, so that equal records give equal bytes."""
_RECORD_FAULTS: Final[dict[int, tuple[Reason, str]]] = {
    FRAMING: ("framing", "the lengths of a batch's frames must end exactly at its end, and there must be at least one"),
    OVERSIZE: ("oversize", f"a record must be at most {MAX_PAYLOAD_BYTES} bytes"),
}
_FRAME_FAULTS: Final[dict[int, tuple[Reason, str]]] = {
    MALFORMED: ("malformed", "the fields of a frame must be readable as VehicleTelemetry"),
    NO_DEVICE_ID: ("device_id", "a frame must carry a device id of 16 bytes, not all zero"),
    MISROUTED: ("misrouted", "a frame must stand in the partition of its device id"),
}


@dataclass(frozen=True, order=True)
class _Fault:
    """Bytes [begin, end) of the poll that are not taken."""

    record: int
    position: int
    begin: int
    end: int
    reason: Reason
    detail: str


def decode(batch: RecordBatch, *, source_topic: str, partitions: int) -> FrameBatch:
    """What the R records of a poll hold, in offset order.

    Raises nothing for any bytes: a frame is taken whole, or it is a dead letter with its reason; if the lengths of a record's frames
    are right, a broken one does not touch its neighbours. Ticks and operations are rows too. O(bytes).
    """
    return _Decoder(batch, source_topic, partitions).run()


class _Decoder:
    """One call of decode."""

    def __init__(self, batch: RecordBatch, source_topic: str, partitions: int) -> None:
        self.batch = batch
        self.source_topic = source_topic
        self.partitions = partitions
        self.payload = np.frombuffer(batch.payload, np.uint8)
        self.faults: list[_Fault] = []
        self.counts: Counter[int] = Counter()  # faults of each record; those above MAX_FAULTS are not in the list
        self.dropped: list[int] = []  # rows
        self.operations: dict[int, OperationRecord] = {}

    def run(self) -> FrameBatch:
        batch, records = self.batch, len(self.batch.ends)
        if not records:
            return FrameBatch(batch.partition, np.empty(0, FRAME), next_offset=batch.start, start=batch.start)
        forms, rows = np.empty(records, np.uint8), np.empty(records, np.int64)
        unusual = survey(self.payload, batch.ends, forms, rows)
        values = self._parse_lists(forms, rows) if unusual else {}
        total = int(rows.sum())
        frames = np.empty(total, FRAME)
        faults = np.empty((total, 6), np.int64)
        failed = fill(
            self.payload,
            batch.ends,
            batch.offsets,
            batch.append_ms,
            forms,
            rows,
            batch.partition,
            self.partitions,
            frames.view(np.uint8),
            faults,
        )
        if failed:
            self._reject_frames(faults[:failed])
        if unusual:
            self._put_objects(forms, rows, frames)
            self._put_lists(values, rows, frames)
        if self.dropped:
            frames = self._drop(frames)
        return FrameBatch(
            partition=batch.partition,
            frames=frames,
            operations=self.operations,
            dead_letters=tuple(self._dead_letter(fault) for fault in self._final_faults()),
            next_offset=int(batch.offsets[-1]) + 1,
            start=batch.start,
        )

    def _span(self, record: int) -> tuple[int, int]:
        return int(self.batch.ends[record - 1]) if record else 0, int(self.batch.ends[record])

    def _reject(self, record: int, position: int, reason: Reason, detail: str) -> None:
        self.counts[record] += 1
        if self.counts[record] <= MAX_FAULTS:
            self.faults.append(_Fault(record, position, *self._span(record), reason, detail))

    def _reject_frames(self, faults: NDArray[np.int64]) -> None:
        """Frames of protobuf batches, as passes.fill found them."""
        self.dropped += faults[:, 5].tolist()
        records, first, counts = np.unique(faults[:, 0], return_index=True, return_counts=True)
        self.counts.update(dict(zip(records.tolist(), counts.tolist(), strict=True)))
        rank = np.arange(len(faults)) - np.repeat(first, counts)
        for record, position, begin, end, status in faults[rank < MAX_FAULTS, :5].tolist():
            self.faults.append(_Fault(record, position, begin, end, *_FRAME_FAULTS[status]))

    def _final_faults(self) -> Iterator[_Fault]:
        """In the order of the log; a record with too many is one."""
        for record, found in groupby(sorted(self.faults), key=lambda fault: fault.record):
            if self.counts[record] <= MAX_FAULTS:
                yield from found
            else:
                first = next(found)
                detail = f"{self.counts[record]} frames of the record are not taken; position {first.position}: {first.detail}"
                yield _Fault(record, WHOLE, *self._span(record), first.reason, detail)

    def _parse(self, record: int) -> Any:
        begin, end = self._span(record)
        try:
            return orjson.loads(self.payload[begin:end].tobytes())
        except orjson.JSONDecodeError as error:
            self._reject(record, WHOLE, "json", f"JSON must be well formed; {error}")
            return None

    def _parse_lists(self, forms: NDArray[np.uint8], rows: NDArray[np.int64]) -> dict[int, list[Any]]:
        """JSON lists as parsed values, and how many rows each gives; other records that give none are rejected."""
        lists: dict[int, list[Any]] = {}
        for record in np.flatnonzero(forms > OBJECT).tolist():
            form = int(forms[record])
            if form in _RECORD_FAULTS:
                self._reject(record, WHOLE, *_RECORD_FAULTS[form])
                continue
            value = self._parse(record)
            if value:
                lists[record], rows[record] = value, len(value)
            elif value is not None:
                self._reject(record, WHOLE, "json", "a list must hold at least one frame")
        return lists

    def _put_objects(self, forms: NDArray[np.uint8], rows: NDArray[np.int64], frames: NDArray[Any]) -> None:
        """Fill the rows of JSON objects: the usual ones in one pass, the others one by one."""
        left = np.empty((len(forms), 2), np.int64)
        n = scan(
            self.payload,
            *self._tail(),
            self.batch.ends,
            forms,
            rows,
            self.batch.partition,
            self.partitions,
            FOLLOW.copy(),
            frames.view(np.uint8),
            left,
        )
        for record, row in left[:n].tolist():
            value = self._parse(record)
            if value is None:
                self.dropped.append(row)
            else:
                self._put(value, frames, record, 0, row)

    def _tail(self) -> tuple[NDArray[np.uint8], int]:
        """The payload from the first record on that ends within REACH bytes of its end, with REACH bytes behind it; where it begins."""
        first = int(np.searchsorted(self.batch.ends, self.batch.ends[-1] - REACH, side="right"))
        begin = self._span(first)[0]
        return np.concatenate((self.payload[begin:], np.zeros(REACH, np.uint8))), begin

    def _put_lists(self, lists: dict[int, list[Any]], rows: NDArray[np.int64], frames: NDArray[Any]) -> None:
        first_rows = np.cumsum(rows) - rows if lists else rows
        for record, values in lists.items():
            for position, value in enumerate(values):
                self._put(value, frames, record, position, int(first_rows[record]) + position)

    def _put(self, value: Any, frames: NDArray[Any], record: int, position: int, row: int) -> None:
        try:
            self._put_one(value, frames, row)
        except WireError as error:
            self.dropped.append(row)
            self._reject(record, position, error.reason, str(error))

    def _put_one(self, value: Any, frames: NDArray[Any], row: int) -> None:
        if not isinstance(value, dict):
            raise WireError("json", f"a frame must be a JSON object; got {type(value).__name__}")
        if "operation" in value:
            record = operations.decode(value)
            device_id = record.device_id.int
            frames["kind"][row], frames["operation"][row] = Kind.OPERATION, record.operation
            frames["device_hi"][row], frames["device_lo"][row] = device_id >> 64, device_id & (2**64 - 1)
            frames["time_ms"][row] = record.time_ms
            self.operations[row] = record
        else:
            json.put(value, frames, row)
            device_id = int(frames["device_hi"][row]) << 64 | int(frames["device_lo"][row])
        if partition.of(device_id.to_bytes(16, "big"), self.partitions) != self.batch.partition:
            raise WireError("misrouted", f"{_FRAME_FAULTS[MISROUTED][1]}; got {UUID(int=device_id)} in {self.batch.partition}")

    def _drop(self, frames: NDArray[Any]) -> NDArray[Any]:
        """The rows that are taken; operations move with them."""
        taken = np.ones(len(frames), np.bool_)
        taken[self.dropped] = False
        moved = np.cumsum(taken) - 1
        self.operations = {int(moved[row]): record for row, record in self.operations.items() if taken[row]}
        return frames.view(_OPAQUE)[taken].view(FRAME)

    def _dead_letter(self, fault: _Fault) -> DeadLetter:
        received = self.payload[fault.begin : fault.end].tobytes()
        return DeadLetter(
            reason=fault.reason,
            payload=received[:DEAD_LETTER_BYTES],
            length=len(received),
            sha256=hashlib.sha256(received).hexdigest(),
            source_topic=self.source_topic,
            partition=self.batch.partition,
            offset=int(self.batch.offsets[fault.record]),
            position=fault.position,
            detail=fault.detail,
        )
