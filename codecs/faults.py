"""What of a poll is not taken: collected while the poll is decoded, then dead letters in the order of the log. Pure."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs.batch import MAX_PAYLOAD_BYTES, DeadLetter, RecordBatch
from fleetpulse.codecs.errors import Reason
from fleetpulse.codecs.passes import FRAMING, MAX_FAULTS, MISROUTED, OVERSIZE
from fleetpulse.codecs.protobuf import MALFORMED, NO_DEVICE_ID

DEAD_LETTER_BYTES = 64 << 10
"""How much of a payload goes to the dead-letter topic."""
WHOLE = -1
"""Position of a dead letter that is a whole record."""
RECORD_FAULTS: Final[dict[int, tuple[Reason, str]]] = {
    FRAMING: ("framing", "the lengths of a batch's frames must end exactly at its end, and there must be at least one"),
    OVERSIZE: ("oversize", f"a record must be at most {MAX_PAYLOAD_BYTES} bytes"),
}
FRAME_FAULTS: Final[dict[int, tuple[Reason, str]]] = {
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


class Faults:
    """Of one poll. Of each record at most MAX_FAULTS are kept, and all are counted."""

    def __init__(self, batch: RecordBatch, payload: NDArray[np.uint8], source_topic: str) -> None:
        self._batch = batch
        self._payload = payload
        self._source_topic = source_topic
        self._faults: list[_Fault] = []
        self._counts: Counter[int] = Counter()

    def span(self, record: int) -> tuple[int, int]:
        """Where the record's value begins and ends in the payload."""
        ends = self._batch.ends
        return int(ends[record - 1]) if record else 0, int(ends[record])

    def add(self, record: int, position: int, reason: Reason, detail: str) -> None:
        """A record, or one value of a JSON record, with the record's bytes."""
        self._counts[record] += 1
        if self._counts[record] <= MAX_FAULTS:
            self._faults.append(_Fault(record, position, *self.span(record), reason, detail))

    def add_frames(self, faults: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        """Protobuf frames, as passes.fill lists and counts them."""
        self._counts.update({record: int(counts[record]) for record in np.flatnonzero(counts).tolist()})
        for record, position, begin, end, status in faults.tolist():
            self._faults.append(_Fault(record, position, begin, end, *FRAME_FAULTS[status]))

    def letters(self) -> tuple[DeadLetter, ...]:
        """In the order of the log; a record with too many faults is one letter."""
        return tuple(self._letter(fault) for fault in self._final()) if self._faults else ()

    def _final(self) -> Iterator[_Fault]:
        for record, found in groupby(sorted(self._faults), key=lambda fault: fault.record):
            if self._counts[record] <= MAX_FAULTS:
                yield from found
            else:
                first = next(found)
                detail = f"{self._counts[record]} frames of the record are not taken; position {first.position}: {first.detail}"
                yield _Fault(record, WHOLE, *self.span(record), first.reason, detail)

    def _letter(self, fault: _Fault) -> DeadLetter:
        received = self._payload[fault.begin : fault.end].tobytes()
        return DeadLetter(
            reason=fault.reason,
            payload=received[:DEAD_LETTER_BYTES],
            length=len(received),
            sha256=hashlib.sha256(received).hexdigest(),
            source_topic=self._source_topic,
            partition=self._batch.partition,
            offset=int(self._batch.offsets[fault.record]),
            position=fault.position,
            detail=fault.detail,
        )
