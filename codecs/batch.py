"""The container that one poll of one partition travels in, before and after decoding. Data only.

A Bytewax item is one of these: nothing per message in Python, ever.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs.errors import Reason
from fleetpulse.codecs.operations import OperationRecord

MAX_PAYLOAD_BYTES = 1 << 20
"""A payload larger than this is rejected as `oversize`."""


@dataclass(frozen=True)
class RecordBatch:
    """R Kafka records of one partition in offset order, their values joined.

    payload    all values, one after the other
    ends       (R,) int64, end of each value in payload; an empty value is a tick
    offsets    (R,) int64
    append_ms  (R,) int64, Kafka timestamps, ms since 1970
    start      the offset that was expected next when the first record was read (offsets may have holes)
    """

    partition: int
    payload: bytes | NDArray[np.uint8]
    ends: NDArray[np.int64]
    offsets: NDArray[np.int64]
    append_ms: NDArray[np.int64]
    start: int = 0

    def values(self) -> Iterator[tuple[int, bytes]]:
        """(offset, value) of each record. For topics of few and large records; frames are never taken apart like this."""
        begin = 0
        for offset, end in zip(self.offsets.tolist(), self.ends.tolist(), strict=True):
            yield offset, bytes(self.payload[begin:end])
            begin = end


@dataclass(frozen=True)
class DeadLetter:
    """A payload or frame that was not taken, for the dead-letter topic.

    payload   the bytes as received, at most the first 64 KiB
    length    how many bytes were received
    sha256    hex digest of all of them
    position  which frame of the record, -1: the whole record
    """

    reason: Reason
    payload: bytes
    length: int
    sha256: str
    source_topic: str
    partition: int
    offset: int
    position: int
    detail: str = ""

    def headers(self) -> tuple[tuple[str, bytes], ...]:
        """What stands in the headers of its record; the value is `payload`."""
        return (
            ("reason", self.reason.encode()),
            ("length", str(self.length).encode()),
            ("sha256", self.sha256.encode()),
            ("source-topic", self.source_topic.encode()),
            ("source-partition", str(self.partition).encode()),
            ("source-offset", str(self.offset).encode()),
            ("position", str(self.position).encode()),
            ("detail", self.detail.encode()),
        )


@dataclass(frozen=True)
class FrameBatch:
    """What decoding made of a RecordBatch.

    frames         (N,) FRAME in offset order; frames, operations and ticks are rows
    operations     row in frames -> the operation
    dead_letters   what was not taken
    next_offset    one past the last offset of the poll
    start          the offset that was expected next before this poll, as in RecordBatch
    """

    partition: int
    frames: NDArray[Any]
    operations: dict[int, OperationRecord] = field(default_factory=dict)
    dead_letters: tuple[DeadLetter, ...] = ()
    next_offset: int = 0
    start: int = 0
