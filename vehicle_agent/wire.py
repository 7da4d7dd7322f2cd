"""Small changes to payloads that are encoded already: the backlog bit, a NaN on purpose, and bytes that no vehicle should send. Pure."""

import struct
from typing import Any

import numpy as np
import orjson

from fleetpulse.codecs import encode, records
from fleetpulse.codecs.batch import MAX_PAYLOAD_BYTES, RecordBatch
from fleetpulse.codecs.form import is_json
from fleetpulse.codecs.schema import BY_NAME, Status
from fleetpulse.vehicle_agent.faults import Fault

_BACKLOG = int(Status.BACKLOG)


def with_backlog(payload: bytes) -> bytes:
    """The same frames with the bit that says that they come late. A value out of its range becomes missing on the way."""
    if is_json(payload):
        frame: dict[str, Any] = orjson.loads(payload)
        frame["status"] = int(frame.get("status") or 0) | _BACKLOG
        return orjson.dumps(frame)
    one = np.zeros(1, np.int64)
    batch = RecordBatch(partition=0, payload=payload, ends=one + len(payload), offsets=one, append_ms=one)
    decoded = records.decode(batch, source_topic="", partitions=1)
    assert not decoded.dead_letters, "what the agent encoded can be decoded"
    decoded.frames["status"] |= _BACKLOG
    return encode.encode(decoded.frames)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _frame(content: bytes) -> bytes:
    """A batch of one frame."""
    return b"\x0a" + _varint(len(content)) + content


def with_nan_speed(payload: bytes) -> bytes:
    """A batch of one frame with `speed_mps` present and NaN, which the encoder would leave out."""
    at = 1
    while payload[at] & 0x80:
        at += 1
    tag = BY_NAME["speed_mps"].number << 3 | 5
    return _frame(payload[at + 1 :] + _varint(tag) + struct.pack("<f", float("nan")))


def bad_payload(kind: Fault, device_id: bytes, sample: bytes, number: int, seed: int) -> bytes:
    """Bytes that cannot be taken.

    sample  a good payload of the vehicle, of which TRUNCATED sends the first part
    number  counts the bad payloads of a vehicle; decides the form
    """
    rng = np.random.Generator(np.random.PCG64([seed, number, int(kind)]))
    noise = rng.bytes(int(rng.integers(20, 400)))
    if kind == Fault.OVERSIZE:
        return _frame(rng.bytes(MAX_PAYLOAD_BYTES + 1000))
    if kind == Fault.TRUNCATED:
        return sample[: len(sample) - 1 - number % max(1, min(40, len(sample) - 2))]
    if kind == Fault.WRONG_ID_LENGTH:
        wrong = (device_id + b"\0")[: 15 if number % 2 else 17]
        return _frame(b"\x0a" + _varint(len(wrong)) + wrong + b"\x11" + struct.pack("<Q", number) + b"\x25" + struct.pack("<I", number))
    return (b"\xff" + noise, b'{"device_id": "' + noise.hex().encode(), b"", b"\x0a\xff\xff\xff\x7f" + noise)[number % 4]
