"""A workload as Kafka records: protobuf or JSON, one frame a record or packed as the bridge packs. And as the polls that a source makes.

FRAME rows are cached on disk by workload and by the sources that made them; bytes are quick enough to be made each time.
"""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fleetpulse.bench import json_text, workload
from fleetpulse.bench.topic import Record
from fleetpulse.bench.workload import Workload
from fleetpulse.codecs import encode, partition, schema
from fleetpulse.codecs.batch import RecordBatch

Form = Literal["protobuf", "json"]
PACK = 100
"""Frames in a packed record."""


@dataclass(frozen=True)
class Payloads:
    """R records in order of production.

    payload    their values, one after the other
    ends       (R,) int64, end of each value
    partition  (R,) int64
    append_ms  (R,) int64, Kafka timestamp: when the last of its frames arrived
    keys       (R, 16) uint8, device ids; None when packed
    frames     how many frames they hold in all
    """

    payload: NDArray[np.uint8]
    ends: NDArray[np.int64]
    partition: NDArray[np.int64]
    append_ms: NDArray[np.int64]
    keys: NDArray[np.uint8] | None
    frames: int

    def records(self) -> Iterator[Record]:
        """For topic.fill."""
        data, begin = self.payload.data, 0
        keys = None if self.keys is None else self.keys.tobytes()
        for i, (end, p, at) in enumerate(zip(self.ends.tolist(), self.partition.tolist(), self.append_ms.tolist(), strict=True)):
            key = None if keys is None else keys[16 * i : 16 * i + 16]
            yield Record(bytes(data[begin:end]), at, key, p)
            begin = end

    def polls(self, records: int, partitions: int) -> list[RecordBatch]:
        """The same as a source would hand it on: one batch a partition and poll of `records` records, offsets from 0."""
        begins = np.concatenate((np.zeros(1, np.int64), self.ends[:-1]))
        next_offset = [0] * partitions
        out = []
        for first in range(0, len(self.ends), records):
            poll = np.arange(first, min(first + records, len(self.ends)))
            for p in range(partitions):
                rows = poll[self.partition[poll] == p]
                if len(rows):
                    values = [self.payload[begins[r] : self.ends[r]] for r in rows.tolist()]
                    out.append(
                        RecordBatch(
                            partition=p,
                            payload=np.concatenate(values),
                            ends=np.cumsum(self.ends[rows] - begins[rows]),
                            offsets=np.arange(next_offset[p], next_offset[p] + len(rows)),
                            append_ms=self.append_ms[rows],
                            start=next_offset[p],
                        )
                    )
                    next_offset[p] += len(rows)
        return out


def frames(wanted: Workload, cache: Path) -> NDArray[Any]:
    """(N,) FRAME rows of the workload, from the cache when it has them."""
    folder = cache / "workloads" / _fingerprint()
    file = folder / f"{wanted.name}.npy"
    if not file.exists():
        for old in folder.parent.glob("*"):
            if old != folder:
                shutil.rmtree(old, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part.npy")
        np.save(part, workload.make(wanted).view(np.uint8))
        part.rename(file)
    rows: NDArray[Any] = np.load(file).view(schema.FRAME)
    return rows


def _fingerprint() -> str:
    sources = (workload.__file__, schema.__file__)
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in sources)).hexdigest()[:12]


def partitions_of(rows: NDArray[Any], partitions: int) -> NDArray[np.int64]:
    """(N,) partition of each row's vehicle."""
    keys = device_ids(rows)
    unique, inverse = np.unique(keys.view("V16").ravel(), return_inverse=True)
    return np.array([partition.of(key.tobytes(), partitions) for key in unique], dtype=np.int64)[inverse]


def device_ids(rows: NDArray[Any]) -> NDArray[np.uint8]:
    """(N, 16) device ids as on the wire."""
    halves = np.empty((len(rows), 2), dtype=">u8")
    halves[:, 0], halves[:, 1] = rows["device_hi"], rows["device_lo"]
    return halves.view(np.uint8).reshape(-1, 16)


def single(rows: NDArray[Any], form: Form, partitions: int) -> Payloads:
    """One frame a record, keyed by the vehicle."""
    if form == "protobuf":
        payload, ends = encode.encode_many(rows, np.arange(1, len(rows) + 1))
    else:
        text = json_text.encode(rows)
        payload, ends = text.payload, text.ends
    return Payloads(payload, ends, partitions_of(rows, partitions), rows["append_ms"].copy(), device_ids(rows), len(rows))


def packed(rows: NDArray[Any], form: Form, partitions: int, *, pack: int = PACK) -> Payloads:
    """Up to `pack` frames of one partition a record, in order of arrival; JSON as a list."""
    of = partitions_of(rows, partitions)
    order = np.argsort(of, kind="stable")
    counts = np.bincount(of, minlength=partitions)
    ends_of_partition = np.cumsum(counts)
    ends = np.concatenate(
        [np.append(np.arange(end - n + pack, end, pack), end) for n, end in zip(counts, ends_of_partition, strict=True) if n]
    )
    by_time = np.argsort(rows["append_ms"][order][ends - 1], kind="stable")
    begins = np.concatenate((np.zeros(1, np.int64), ends[:-1]))
    sizes = (ends - begins)[by_time]
    order = np.concatenate([order[b:e] for b, e in zip(begins[by_time].tolist(), ends[by_time].tolist(), strict=True)])
    grouped, ends = rows[order], np.cumsum(sizes)
    if form == "protobuf":
        payload, value_ends = encode.encode_many(grouped, ends)
    else:
        values, begin, parts = json_text.encode(grouped).values(), 0, []
        for end in ends.tolist():
            parts.append(b"[" + b",".join(values[begin:end]) + b"]")
            begin = end
        payload = np.frombuffer(b"".join(parts), dtype=np.uint8)
        value_ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    return Payloads(payload, value_ends, of[order][ends - 1], grouped["append_ms"][ends - 1], None, len(rows))


def make(rows: NDArray[Any], form: Form, *, pack: bool, partitions: int) -> Payloads:
    """Packed or one frame a record."""
    return packed(rows, form, partitions) if pack else single(rows, form, partitions)
