"""JSON frames of old firmware to FRAME rows: the same snake_case names as the protobuf fields, UUIDs as text, null = absent.

The plain way, through orjson and the field table: it defines the semantics. The inverse is encode.encode_json.

- An integer is a JSON integer, or one in quotes; it must fit the wire type where the field is an identity or bits, while a measured
  one out of its range is implausible. A float is any JSON number. A number of more than 64 bits is no integer.
- Unknown keys are ignored; of a key that comes twice the last counts. A value of the wrong kind rejects the whole frame.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs.errors import WireError, shown
from fleetpulse.codecs.schema import FIELDS, FIRMWARE_BYTES, Field, Wire

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_QUOTED_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,19})", re.ASCII)
_HUGE: Final = 1e30
"""Above every plausible float and below the largest float32."""
_WIRE_RANGE: dict[Wire, tuple[int, int]] = {
    Wire.FIXED64: (0, 2**64 - 1),
    Wire.FIXED32: (0, 2**32 - 1),
    Wire.UINT32: (0, 2**32 - 1),
    Wire.UINT64: (0, 2**64 - 1),
}


def uuid_bytes(value: object) -> bytes:
    """The 16 bytes of an UUID in its 36-character form; empty for everything else and for the UUID that is all zero."""
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        return b""
    found = bytes.fromhex(value.replace("-", ""))
    return found if any(found) else b""


def put(value: dict[str, Any], frames: NDArray[Any], row: int) -> None:
    """Write the fields of one parsed JSON frame into a row of FRAME in which every field is missing.

    Raises WireError: device_id, or json for a value of the wrong kind; the row is then half written and must not be used.
    """
    implausible = 0
    for field in FIELDS:
        found = value.get(field.name)
        if found is None:
            continue
        if field.wire is Wire.BYTES16:
            stem = field.name.removesuffix("_id")
            halves = _uuid(field, found)
            if halves is not None:
                frames[f"{stem}_hi"][row], frames[f"{stem}_lo"][row] = halves
            else:
                implausible |= 1 << (field.number - 1)
            continue
        converted = _CONVERT[field.wire](field, found)
        if converted is not None:
            frames[field.name][row] = converted
        else:
            implausible |= 1 << (field.number - 1)
    if frames["device_hi"][row] == 0 and frames["device_lo"][row] == 0:
        raise WireError("device_id", f"device_id must be an UUID, not all zero; got {shown(value.get('device_id'))}")
    frames["implausible"][row] = implausible


def _wrong(field: Field, kind: str, found: object) -> WireError:
    return WireError("json", f"{field.name} must be {kind}; got {shown(found)}")


def _integer(field: Field, found: object) -> int | None:
    value = found
    if isinstance(value, str) and _QUOTED_INTEGER.fullmatch(value):
        value = int(value)
    if type(value) is not int or not -(2**63) <= value < 2**64:
        raise _wrong(field, "an integer, plain or in quotes", found)
    if field.optional:
        return value if field.low <= value <= field.high else None
    low, high = _WIRE_RANGE[field.wire]
    if not low <= value <= high:
        raise _wrong(field, f"within {low}-{high}", found)
    return value - 2**64 if field.dtype == "<i8" and value >= 2**63 else value  # as a fixed64 would be read


def _float(field: Field, found: object) -> float | np.float32 | None:
    if type(found) is not int and type(found) is not float:
        raise _wrong(field, "a number", found)
    value = float(found)
    if not -_HUGE < value < _HUGE:
        return None
    rounded = np.float32(value) if field.wire is Wire.FLOAT else value
    return rounded if field.low <= rounded <= field.high else None


def _text(field: Field, found: object) -> bytes | None:
    if not isinstance(found, str):
        raise _wrong(field, "a string", found)
    encoded = found.encode()
    return encoded if len(encoded) <= FIRMWARE_BYTES else None


def _uuid(field: Field, found: object) -> tuple[int, int] | None:
    if not isinstance(found, str):
        raise _wrong(field, "a string", found)
    halves = uuid_bytes(found)
    if halves:
        return int.from_bytes(halves[:8], "big"), int.from_bytes(halves[8:], "big")
    return (0, 0) if not found or _UUID.fullmatch(found) else None


_CONVERT: dict[Wire, Callable[[Field, object], int | float | np.float32 | bytes | None]] = {
    Wire.STRING: _text,
    Wire.FIXED64: _integer,
    Wire.FIXED32: _integer,
    Wire.UINT32: _integer,
    Wire.UINT64: _integer,
    Wire.SINT32: _integer,
    Wire.FLOAT: _float,
    Wire.DOUBLE: _float,
}
