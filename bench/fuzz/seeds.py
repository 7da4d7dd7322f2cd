"""What fuzzing begins with: frames of a seeded fleet in all forms, operations, and the golden files of the tests, if they are here."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal
from uuid import UUID

import numpy as np

from fleetpulse.bench import json_text, workload
from fleetpulse.bench.workload import Workload
from fleetpulse.codecs import encode, operations, partition
from fleetpulse.codecs.operations import Operation, OperationRecord

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "codecs" / "golden"
VEHICLES = 64
FRAMES_EACH = 4
Input = Literal["protobuf", "json", "batch"]
INPUTS: tuple[Input, ...] = ("protobuf", "json", "batch")
"""One protobuf frame a record; one JSON value a record; records of many frames, lists, operations and ticks together."""


@dataclass(frozen=True)
class Seeds:
    """Values of records that are taken, by the input that they seed."""

    of: dict[Input, tuple[bytes, ...]]


def make(seed: int, *, shard: int, partitions: int) -> Seeds:
    """Seeds whose vehicles belong to partition `shard`."""
    rows = workload.make(Workload(VEHICLES * partitions, VEHICLES * partitions * FRAMES_EACH, seed=seed))
    devices = [(int(hi) << 64 | int(lo)).to_bytes(16, "big") for hi, lo in zip(rows["device_hi"], rows["device_lo"], strict=True)]
    rows = rows[np.array([partition.of(device, partitions) == shard for device in devices])]
    single = [encode.encode(rows[i : i + 1]) for i in range(len(rows))]
    sparse = rows.copy()
    for name in ("speed_mps", "battery_soc_pct", "odometer_m", "tyre_pressure_front_left_kpa"):
        sparse[name] = np.nan
    plain = [encode.encode_json(row) for row in rows[:64]]
    text = json_text.encode(rows[:64])
    old = [bytes(text.payload[a:b]) for a, b in pairwise([0, *text.ends.tolist()])]
    told = [_operation(rows[i], kind) for i, kind in enumerate(Operation)]
    golden = [file.read_bytes() for file in sorted(GOLDEN.glob("*.bin"))]
    joined = [b"".join(single[i : i + n]) for n in (2, 3, 8, 40) for i in range(0, 64, n)]
    lists = [b"[" + b",".join(plain[i : i + n]) + b"]" for n in (1, 2, 5) for i in range(0, 20, n)]
    texts = [text for text in golden if text.lstrip()[:1] in (b"{", b"[")]
    return Seeds(
        {
            "protobuf": (*single[:128], *(encode.encode(sparse[i : i + 1]) for i in range(32)), *(g for g in golden if g not in texts)),
            "json": (*plain, *old, *told, *texts),
            "batch": (*joined, *lists, *told, *golden, b""),
        }
    )


def _operation(row: np.void, kind: Operation) -> bytes:
    device = UUID(int=int(row["device_hi"]) << 64 | int(row["device_lo"]))
    return operations.encode(OperationRecord(kind, device, int(row["time_ms"]), "fuzz", f"op-{kind}", {"component": "tyre", "note": "é"}))
