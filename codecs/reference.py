"""The reference page of the field table, docs/fields.md: `python -m fleetpulse.codecs.reference` writes it; a test says when it is old."""

import sys
from math import isinf, isnan
from pathlib import Path

from fleetpulse.codecs.schema import FIELDS, FIRMWARE_BYTES, ORIGIN, Field, Status

_HEAD = """\
# Fields of a frame

Made from the field table `codecs/schema.py` by `python -m fleetpulse.codecs.reference`; change it there.

A frame is the protobuf message `fleetpulse.v1.VehicleTelemetry` (`codecs/telemetry.proto`), sent in a `TelemetryBatch`, or one JSON
object with the same names. Field names follow COVESA VSS. An optional field that is absent was not measured; its column then holds
the value under *missing* (in Arrow and JSON: null). A value outside of its plausible range, NaN and infinity are set to missing, and
bit (number - 1) of the column `implausible` is set; so is a trip id that is not 16 bytes or a firmware version of more than
{firmware} bytes. A frame without a device id of 16 bytes, or with one that is all zero, is not taken.

In JSON, UUIDs are text in the 36-character form, integers plain or in quotes, null is absent, and unknown keys are ignored.

| number | name | wire type | column | unit | plausible range | missing |
|---:|---|---|---|---|---|---|
"""
_STATUS = """
## Bits of `status`

| bit | value | meaning |
|---:|---:|---|
"""
_ORIGIN = """
## Origin

Columns that decoding adds to each frame.

| column | type | meaning |
|---|---|---|
"""
_ORIGIN_MEANING = {
    "append_ms": "Kafka timestamp of the record, ms since 1970",
    "offset": "Kafka offset of the record",
    "position": "which frame of its record, from 0",
    "partition": "Kafka partition of the record",
    "kind": "0 frame, 1 operation, 2 tick",
    "operation": "code of the operation, if it is one",
    "implausible": "bit (number - 1) of each field that was set to missing",
}


def _range(field: Field) -> str:
    return "" if isinf(field.low) else f"{int(field.low):,} to {int(field.high):,}"


def _missing(field: Field) -> str:
    if field.missing is None:
        return ""
    return "NaN" if isnan(field.missing) else str(field.missing)


def _column(field: Field) -> str:
    if field.dtype == "uuid":
        stem = field.name.removesuffix("_id")
        return f"`{stem}_hi`, `{stem}_lo` (u8 each)"
    return field.dtype.lstrip("<")


def page() -> str:
    """The page's text."""
    lines = [
        f"| {f.number} | `{f.name}` | {'optional ' if f.optional else ''}{f.wire} | {_column(f)} | {f.unit} | {_range(f)} | {_missing(f)} |"
        for f in FIELDS
    ]
    status = [f"| {bit.bit_length() - 1} | {int(bit)} | {bit.name.lower().replace('_', ' ')} |" for bit in Status]
    origin = [f"| `{name}` | {dtype.lstrip('<')} | {_ORIGIN_MEANING[name]} |" for name, dtype in ORIGIN]
    tables = ((_HEAD.format(firmware=FIRMWARE_BYTES), lines), (_STATUS, status), (_ORIGIN, origin))
    return "".join(head + "\n".join(rows) + "\n" for head, rows in tables)


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else "docs/fields.md").write_text(page())
