"""FRAME rows from and to TelemetryBatch bytes through the reference runtime, field by field in plain Python."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs import schema
from fleetpulse.codecs.schema import FIELDS, FIRMWARE_BYTES, Wire
from tests.support import reference


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


def decode_frame(body: bytes) -> NDArray[Any] | str:
    """(1,) FRAME row of the body of one frame, or the reason why it is not taken."""
    batch = reference.parse("fleetpulse.v1.TelemetryBatch", b"\x0a" + _length(len(body)) + body)
    if batch is None:
        return "malformed"
    (message,) = batch.frames
    if len(message.device_id) != 16 or not any(message.device_id):
        return "device_id"
    row = schema.empty(1)
    for field in FIELDS:
        value = getattr(message, field.name)
        if field.optional and not message.HasField(field.name):
            continue
        if _plausible(field, value):
            _set(row, field, value)
        else:
            row["implausible"] |= np.uint64(1 << (field.number - 1))
    return row


def _length(value: int) -> bytes:
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + _length(value >> 7)


def _plausible(field: schema.Field, value: Any) -> bool:
    if field.wire is Wire.BYTES16:
        return len(value) in (0, 16)
    if field.wire is Wire.STRING:
        return len(value.encode()) <= FIRMWARE_BYTES
    return bool(field.low <= value <= field.high)


def _set(row: NDArray[Any], field: schema.Field, value: Any) -> None:
    if field.wire is Wire.BYTES16:
        stem = field.name.removesuffix("_id")
        row[f"{stem}_hi"], row[f"{stem}_lo"] = int.from_bytes(value[:8], "big"), int.from_bytes(value[8:], "big")
    elif field.wire is Wire.STRING:
        row[field.name] = value.encode()
    elif field.wire is Wire.FIXED64:
        row[field.name] = value - 2**64 if value >= 2**63 else value
    else:
        row[field.name] = value
