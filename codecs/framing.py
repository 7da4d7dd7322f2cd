"""What the bridge proves about an MQTT payload before it joins it with others. One shallow pass, no field but the device id is read.

Lengths that do not end exactly would swallow the neighbour's bytes; a foreign device id would let one vehicle speak for another.
Whether a frame's other fields can be read shows later: codecs/protobuf.py finds a broken frame without harm to its neighbours.
"""

import struct
from uuid import UUID

import numpy as np
import orjson
from numba import types

from fleetpulse.codecs.batch import MAX_PAYLOAD_BYTES
from fleetpulse.codecs.errors import Reason, WireError, shown
from fleetpulse.codecs.form import json_begin
from fleetpulse.codecs.jit import kernel
from fleetpulse.codecs.json import uuid_bytes
from fleetpulse.codecs.memory import BYTES, Bytes, base, int64
from fleetpulse.codecs.wire import BROKEN, DONE, device_of, next_frame

_IS_JSON = -5
_HALVES = struct.Struct(">qq")
_FAULTS: dict[int, tuple[Reason, str]] = {
    -1: ("framing", "the lengths of a batch's frames must end exactly at its end"),
    -2: ("framing", "a payload must hold at least one frame"),
    -3: ("device_id", "every frame must carry a device id of 16 bytes, not all zero"),
    -4: ("identity", "every frame must carry the device id of its topic"),
}


@kernel(types.int64(BYTES, types.boolean, types.int64, types.int64))
def walk(payload: Bytes, identified: bool, device_hi: int, device_lo: int) -> int:
    """Number of frames, or the number of the first fault in _FAULTS, or _IS_JSON.

    identified  every frame must have the device id device_hi, device_lo (big-endian halves as int64 bit patterns)
    """
    frames, fault = 0, 0
    at = int64(0)
    data, end = base(payload), len(payload)
    if json_begin(data, at, end) >= 0:
        return _IS_JSON
    while True:
        begin, at = next_frame(data, at, end)
        if begin == BROKEN:
            return -1
        if begin == DONE:
            break
        frames += 1
        length, hi, lo = device_of(data, begin, at)
        if fault == 0 and length >= 0:
            if length != 16 or (hi == 0 and lo == 0):
                fault = -3
            elif identified and (hi != device_hi or lo != device_lo):
                fault = -4
    return fault if fault else frames if frames else -2


def check(payload: bytes, device_id: bytes | None) -> int:
    """Number of frames in a vehicle's payload, protobuf or JSON.

    device_id  16 bytes from the MQTT topic; None: any

    Raises WireError: oversize; framing, device_id, identity of protobuf; json, device_id, identity, operation of JSON. A frame whose
    inner fields cannot be read passes, because nothing can be taken from it.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise WireError("oversize", f"a payload must be at most {MAX_PAYLOAD_BYTES} bytes; got {len(payload)}")
    hi, lo = _HALVES.unpack(device_id) if device_id is not None else (0, 0)
    frames = walk(np.frombuffer(payload, np.uint8), device_id is not None, hi, lo)
    if frames == _IS_JSON:
        return _check_json(payload, device_id)
    if frames < 0:
        reason, rule = _FAULTS[frames]
        raise WireError(reason, f"{rule}; got {len(payload)} bytes {_of_topic(device_id)}")
    return frames


def _check_json(payload: bytes, device_id: bytes | None) -> int:
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise WireError("json", f"JSON must be well formed; {error} {_of_topic(device_id)}") from None
    frames = value if isinstance(value, list) else [value]
    if not frames:
        raise WireError("json", f"a payload must hold at least one frame; got an empty list {_of_topic(device_id)}")
    for frame in frames:
        if not isinstance(frame, dict):
            raise WireError("json", f"a frame must be a JSON object; got {type(frame).__name__} {_of_topic(device_id)}")
        if "operation" in frame:
            raise WireError("operation", f"a vehicle must not send operations; got {shown(frame['operation'])} {_of_topic(device_id)}")
        found = uuid_bytes(frame.get("device_id"))
        if not found:
            raise WireError(
                "device_id", f"device_id must be an UUID, not all zero; got {shown(frame.get('device_id'))} {_of_topic(device_id)}"
            )
        if device_id is not None and found != device_id:
            raise WireError(
                "identity", f"every frame must carry the device id of its topic; got {UUID(bytes=found)} {_of_topic(device_id)}"
            )
    return len(frames)


def _of_topic(device_id: bytes | None) -> str:
    return f"(topic of {UUID(bytes=device_id)})" if device_id is not None else "(no topic)"
