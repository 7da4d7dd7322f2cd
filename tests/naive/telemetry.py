"""FRAME rows from and to TelemetryBatch bytes through the reference runtime, field by field in plain Python."""

from typing import Any

from numpy.typing import NDArray

from fleetpulse.bench import reference
from fleetpulse.bench.fuzz.oracle import decode_frame
from fleetpulse.codecs.schema import FIELDS, Wire

__all__ = ["decode_frame", "encode"]


def encode(frames: NDArray[Any]) -> bytes:
    batch = reference.message("fleetpulse.v1.TelemetryBatch")()
    for frame in frames:
        message = batch.frames.add()
        for field in FIELDS:
            if field.wire is Wire.BYTES16:
                stem = field.name.removesuffix("_id")
                value = int(frame[f"{stem}_hi"]).to_bytes(8, "big") + int(frame[f"{stem}_lo"]).to_bytes(8, "big")
                if any(value):
                    setattr(message, field.name, value)
                continue
            found = frame[field.name].item()
            if found == found and found != field.missing:
                setattr(message, field.name, found.decode() if isinstance(found, bytes) else found)
    out: bytes = batch.SerializeToString()
    return out
