"""What a record must give, by others' parsers and plain Python: google.protobuf and orjson. Slow; for a sample of the inputs.

An outcome lists what stands at each position of a record: the bytes of a row's fields, or the reason why it is not taken.
"""

from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from fleetpulse.bench import reference
from fleetpulse.codecs import form, json, operations, partition, schema
from fleetpulse.codecs.batch import MAX_PAYLOAD_BYTES
from fleetpulse.codecs.errors import WireError
from fleetpulse.codecs.passes import MAX_FAULTS
from fleetpulse.codecs.schema import FIELDS, FIRMWARE_BYTES, FRAME, Kind, Wire

WHOLE = -1
_ORIGIN = ("append_ms", "offset", "position", "partition")
_CONTENT = tuple(name for name in FRAME.names or () if name not in _ORIGIN)

Outcome = dict[int, bytes | str]
"""Position (WHOLE: all of the record) -> the fields, or the reason."""


def content(row: NDArray[Any]) -> bytes:
    """The fields of one FRAME row without its origin and without padding."""
    return b"".join(row[name].tobytes() for name in _CONTENT)


def expected(value: bytes, *, shard: int, partitions: int) -> Outcome:
    """What decoding a record's value in partition `shard` must give."""
    if not value:
        tick = schema.empty(1)
        tick["kind"] = Kind.TICK
        return {0: content(tick)}
    if len(value) > MAX_PAYLOAD_BYTES:
        return {WHOLE: "oversize"}
    found = _json(value) if form.is_json(value) else _protobuf(value)
    if WHOLE in found:
        return {WHOLE: str(found[WHOLE])}
    outcome: Outcome = {}
    for position, row in found.items():
        if isinstance(row, str):
            outcome[position] = row
        else:
            device = (int(row["device_hi"][0]) << 64 | int(row["device_lo"][0])).to_bytes(16, "big")
            outcome[position] = content(row) if partition.of(device, partitions) == shard else "misrouted"
    faults = [position for position, row in outcome.items() if isinstance(row, str)]
    if len(faults) > MAX_FAULTS:  # they are one letter
        first = outcome[faults[0]]
        outcome = {position: row for position, row in outcome.items() if not isinstance(row, str)}
        outcome[WHOLE] = first
    return outcome


def _protobuf(value: bytes) -> dict[int, NDArray[Any] | str]:
    batch = reference.parse("fleetpulse.shallow.Batch", value)
    if batch is None or not batch.frames:
        return {WHOLE: "framing"}
    return {position: decode_frame(body) for position, body in enumerate(batch.frames)}


def decode_frame(body: bytes) -> NDArray[Any] | str:
    """(1,) FRAME row of the body of one protobuf frame by the reference runtime, or the reason why it is not taken."""
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


def _json(value: bytes) -> dict[int, NDArray[Any] | str]:
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError:
        return {WHOLE: "json"}
    if found == []:
        return {WHOLE: "json"}
    return {position: _json_value(one) for position, one in enumerate(found if isinstance(found, list) else [found])}


def _json_value(value: Any) -> NDArray[Any] | str:
    if not isinstance(value, dict):
        return "json"
    row = schema.empty(1)
    try:
        if "operation" not in value:
            json.put(value, row, 0)
            return row
        told = operations.decode(value)
    except WireError as error:
        return error.reason
    row["kind"], row["operation"], row["time_ms"] = Kind.OPERATION, told.operation, told.time_ms
    row["device_hi"], row["device_lo"] = told.device_id.int >> 64, told.device_id.int & (2**64 - 1)
    return row
