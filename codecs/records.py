"""One poll of a partition to FRAME rows, operations and dead letters: the whole decoder behind one function.

Pure: no clock, no Kafka. What a record gives depends on its bytes alone, however records are cut into polls. numba does the passes
over records (passes.py, json_scan.py); Python sees operations, JSON in unusual forms and what is not taken.
"""

from typing import Any
from uuid import UUID

import numpy as np
import orjson
from numpy.typing import NDArray

from fleetpulse.codecs import json, operations, partition
from fleetpulse.codecs.batch import FrameBatch, RecordBatch
from fleetpulse.codecs.errors import WireError
from fleetpulse.codecs.faults import FRAME_FAULTS, RECORD_FAULTS, WHOLE, Faults
from fleetpulse.codecs.json_scan import FOLLOW, REACH, scan
from fleetpulse.codecs.operations import OperationRecord
from fleetpulse.codecs.passes import FRAMING, MISROUTED, PLAIN, fill, survey
from fleetpulse.codecs.schema import FRAME, Kind

_OPAQUE = np.dtype((np.void, FRAME.itemsize))
"""A row as bytes: selecting rows this way copies the padding too, so that equal records give equal bytes."""


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
        self.partitions = partitions
        self.payload = np.frombuffer(batch.payload, np.uint8)
        self.faults = Faults(batch, self.payload, source_topic)
        records = len(batch.ends)
        self.forms = np.empty(records, np.uint8)
        self.rows, self.first_rows, self.fault_counts = (np.empty(records, np.int64) for _ in range(3))
        self.totals = np.empty(3, np.int64)
        self.dropped: list[int] = []  # rows
        self.operations: dict[int, OperationRecord] = {}

    def run(self) -> FrameBatch:
        batch = self.batch
        survey(self.payload, batch.ends, self.forms, self.rows, self.totals)
        rows, unusual, possible_faults = self.totals.tolist()
        faults = np.empty((possible_faults, 5), np.int64)
        frames = self._fill(rows, faults)
        if unusual:
            values = {record: self._parse(record) for record in self._scan(frames)}
            if self._lay_out_anew(values):
                frames = self._fill(int(self.rows.sum()), faults)
                self._scan(frames)
            self._put_values(values, frames)
            self._reject_records()
        listed = int(self.totals[1])
        if listed:
            self.faults.add_frames(faults[:listed], self.fault_counts)
        if self.dropped:
            frames = self._drop(frames)
        return FrameBatch(
            partition=batch.partition,
            frames=frames,
            operations=self.operations,
            dead_letters=self.faults.letters(),
            next_offset=int(batch.offsets[-1]) + 1 if len(batch.offsets) else batch.start,
            start=batch.start,
        )

    def _fill(self, rows: int, faults: NDArray[np.int64]) -> NDArray[Any]:
        """All rows; those of JSON records are empty yet."""
        frames = np.empty(rows + 1, FRAME)
        fill(
            self.payload,
            self.batch.ends,
            self.batch.offsets,
            self.batch.append_ms,
            self.forms,
            self.rows,
            self.batch.partition,
            self.partitions,
            frames.view(np.uint8),
            self.first_rows,
            self.fault_counts,
            faults,
            self.totals,
        )
        return frames[: int(self.totals[0])]

    def _scan(self, frames: NDArray[Any]) -> list[int]:
        """Fill the rows of usual JSON records; returns the other ones."""
        first = int(np.searchsorted(self.batch.ends, self.batch.ends[-1] - REACH, side="right"))
        tail_begin = self.faults.span(first)[0]
        left = np.empty(len(self.forms), np.int64)
        n = scan(
            self.payload,
            np.concatenate((self.payload[tail_begin:], np.zeros(REACH, np.uint8))),
            tail_begin,
            self.batch.ends,
            self.forms,
            self.rows,
            self.first_rows,
            self.batch.partition,
            self.partitions,
            FOLLOW.copy(),
            frames.view(np.uint8),
            left,
        )
        found: list[int] = left[:n].tolist()
        return found

    def _parse(self, record: int) -> list[Any]:
        """The values of a JSON record: one for an object; none, and a fault, if there is nothing to take."""
        begin, end = self.faults.span(record)
        try:
            value = orjson.loads(self.payload[begin:end].tobytes())
        except orjson.JSONDecodeError as error:
            self.faults.add(record, WHOLE, "json", f"JSON must be well formed; {error}")
            return []
        if value == []:
            self.faults.add(record, WHOLE, "json", "a list must hold at least one frame")
        return value if isinstance(value, list) else [value]

    def _lay_out_anew(self, values: dict[int, list[Any]]) -> bool:
        """Whether a list holds more values than rows were counted for it; then rows is changed."""
        longer = {record: len(found) for record, found in values.items() if len(found) > self.rows[record]}
        for record, count in longer.items():
            self.forms[record], self.rows[record] = PLAIN, count
        return bool(longer)

    def _put_values(self, values: dict[int, list[Any]], frames: NDArray[Any]) -> None:
        for record, found in values.items():
            row = int(self.first_rows[record])
            self.dropped.extend(range(row + len(found), row + int(self.rows[record])))
            for position, value in enumerate(found):
                try:
                    self._put(value, frames, row + position)
                except WireError as error:
                    self.dropped.append(row + position)
                    self.faults.add(record, position, error.reason, str(error))

    def _put(self, value: Any, frames: NDArray[Any], row: int) -> None:
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
            raise WireError("misrouted", f"{FRAME_FAULTS[MISROUTED][1]}; got {UUID(int=device_id)} in {self.batch.partition}")

    def _reject_records(self) -> None:
        for record in np.flatnonzero(self.forms >= FRAMING).tolist():
            self.faults.add(record, WHOLE, *RECORD_FAULTS[int(self.forms[record])])

    def _drop(self, frames: NDArray[Any]) -> NDArray[Any]:
        """The rows that are taken; operations move with them."""
        taken = np.ones(len(frames), np.bool_)
        taken[self.dropped] = False
        moved = np.cumsum(taken) - 1
        self.operations = {int(moved[row]): record for row, record in self.operations.items() if taken[row]}
        return frames.view(_OPAQUE)[taken].view(FRAME)
