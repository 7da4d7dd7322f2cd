"""RecordBatches made by hand."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs.batch import RecordBatch

APPEND_MS = 1_760_000_000_000


def poll(values: list[bytes], *, partition: int = 0, first_offset: int = 0, start: int | None = None) -> RecordBatch:
    """A poll of these values at consecutive offsets, a millisecond apart."""
    n = len(values)
    return RecordBatch(
        partition=partition,
        payload=b"".join(values),
        ends=np.cumsum([len(value) for value in values], dtype=np.int64) if n else np.zeros(0, np.int64),
        offsets=np.arange(first_offset, first_offset + n, dtype=np.int64),
        append_ms=APPEND_MS + np.arange(first_offset, first_offset + n, dtype=np.int64),
        start=first_offset if start is None else start,
    )


def at_offset(frames: NDArray[Any], offset: int) -> NDArray[Any]:
    """The rows of one record, padding bytes included, so that equal rows have equal bytes."""
    opaque = frames.view(np.dtype((np.void, frames.dtype.itemsize)))
    rows: NDArray[Any] = opaque[frames["offset"] == offset].view(frames.dtype)
    return rows


def cut(batch: RecordBatch, points: list[int]) -> list[RecordBatch]:
    """The same records in polls that end before the records at `points`."""
    edges = sorted({0, len(batch.ends), *(p for p in points if 0 < p < len(batch.ends))})
    parts = []
    for a, b in pairwise(edges):
        begin = int(batch.ends[a - 1]) if a else 0
        parts.append(
            RecordBatch(
                partition=batch.partition,
                payload=bytes(batch.payload)[begin : int(batch.ends[b - 1])],
                ends=batch.ends[a:b] - begin,
                offsets=batch.offsets[a:b],
                append_ms=batch.append_ms[a:b],
                start=int(batch.offsets[a]) if a else batch.start,
            )
        )
    return parts
