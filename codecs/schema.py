"""The field table of VehicleTelemetry: number, name, wire type, column dtype, unit, plausible range. No code on bytes here.

Everything that knows the fields derives from FIELDS: the protobuf and JSON decoders, the encoder, the Arrow schema,
`telemetry.proto` (a test compares) and the reference page. Names after COVESA VSS.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from math import inf, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

MISSING_E7 = -(2**31)
"""Latitude or longitude not measured."""
MISSING_INT = -1
"""An integer that counts (satellites, cycles, previous_last_seq) not measured."""
MISSING_RSSI = -32768
FIRMWARE_BYTES = 16
"""Longest firmware version kept; a longer one is implausible and set to missing."""


class Wire(StrEnum):
    """Protobuf scalar type on the wire."""

    BYTES16 = "bytes"
    STRING = "string"
    FIXED64 = "fixed64"
    FIXED32 = "fixed32"
    UINT32 = "uint32"
    UINT64 = "uint64"
    SINT32 = "sint32"
    FLOAT = "float"
    DOUBLE = "double"


class Kind(IntEnum):
    """What a row of FRAME stands for."""

    FRAME = 0
    OPERATION = 1
    TICK = 2


class Status(IntEnum):
    """Bits of the `status` field."""

    CHARGING = 1 << 0
    LOCKED = 1 << 1
    IN_USE = 1 << 2
    MOVING = 1 << 3
    TIPPED = 1 << 4
    GNSS_FIX = 1 << 5
    CRASH = 1 << 6
    TAMPER = 1 << 7
    RESERVED = 1 << 8
    BACKLOG = 1 << 9


@dataclass(frozen=True)
class Field:
    """One field of the wire message and its column.

    low, high   plausible range in the column's unit, inclusive; a value outside is set to `missing` and counted
    missing     the column's value when the field is absent (None: the field is an identity and has proto3's default)
    optional    explicit presence on the wire
    """

    number: int
    name: str
    wire: Wire
    dtype: str
    unit: str
    missing: float | int | None
    low: float = -inf
    high: float = inf

    @property
    def optional(self) -> bool:
        return self.missing is not None


def _f(number: int, name: str, unit: str, low: float, high: float) -> Field:
    return Field(number, name, Wire.FLOAT, "<f4", unit, nan, low, high)


FIELDS: tuple[Field, ...] = (
    Field(1, "device_id", Wire.BYTES16, "uuid", "UUID", None),
    Field(2, "time_ms", Wire.FIXED64, "<i8", "ms since 1970", None),
    Field(3, "boot_id", Wire.FIXED32, "<u4", "1", None),
    Field(4, "seq", Wire.UINT32, "<u4", "1", None),
    Field(5, "latitude_e7", Wire.SINT32, "<i4", "1e-7 deg", MISSING_E7, -900_000_000, 900_000_000),
    Field(6, "longitude_e7", Wire.SINT32, "<i4", "1e-7 deg", MISSING_E7, -1_800_000_000, 1_800_000_000),
    _f(7, "horizontal_accuracy_m", "m", 0, 10_000),
    _f(8, "speed_mps", "m/s", 0, 90),
    _f(9, "heading_deg", "deg", 0, 360),
    _f(10, "battery_soc_pct", "%", 0, 100),
    _f(11, "battery_voltage_v", "V", 0, 1_000),
    _f(12, "battery_current_a", "A, + = charging", -2_000, 2_000),
    _f(13, "battery_temperature_c", "degC", -60, 200),
    Field(14, "status", Wire.UINT32, "<u4", "bits", None),
    _f(15, "altitude_m", "m over the ellipsoid", -500, 9_000),
    Field(16, "satellites", Wire.UINT32, "<i2", "1", MISSING_INT, 0, 200),
    _f(17, "battery_soh_pct", "%", 0, 100),
    Field(18, "battery_cycles", Wire.UINT32, "<i4", "1", MISSING_INT, 0, 100_000),
    _f(19, "range_m", "m", 0, 2_000_000),
    Field(20, "odometer_m", Wire.DOUBLE, "<f8", "m", nan, 0, 5e9),
    _f(21, "tyre_pressure_front_left_kpa", "kPa", 0, 2_000),
    _f(22, "tyre_pressure_rear_left_kpa", "kPa", 0, 2_000),
    _f(23, "tyre_pressure_front_right_kpa", "kPa", 0, 2_000),
    _f(24, "tyre_pressure_rear_right_kpa", "kPa", 0, 2_000),
    _f(25, "accel_peak_x_mps2", "m/s2", -2_000, 2_000),
    _f(26, "accel_peak_y_mps2", "m/s2", -2_000, 2_000),
    _f(27, "accel_peak_z_mps2", "m/s2", -2_000, 2_000),
    _f(28, "accel_rms_mps2", "m/s2", 0, 2_000),
    _f(29, "roll_deg", "deg", -180, 180),
    _f(30, "vibration_band1_rms_mps2", "m/s2", 0, 2_000),
    _f(31, "vibration_band2_rms_mps2", "m/s2", 0, 2_000),
    _f(32, "vibration_band3_rms_mps2", "m/s2", 0, 2_000),
    _f(33, "vibration_band4_rms_mps2", "m/s2", 0, 2_000),
    Field(34, "fault_bits", Wire.UINT64, "<u8", "bits", None),
    Field(35, "rssi_dbm", Wire.SINT32, "<i2", "dBm", MISSING_RSSI, -150, 0),
    Field(36, "firmware_version", Wire.STRING, f"S{FIRMWARE_BYTES}", "", None),
    Field(37, "model_id", Wire.UINT32, "<u4", "1", None),
    Field(38, "trip_id", Wire.BYTES16, "uuid", "UUID, pseudonym", None),
    _f(39, "ambient_temperature_c", "degC", -60, 70),
    Field(40, "previous_last_seq", Wire.UINT32, "<i8", "1", MISSING_INT, 0, 2**32 - 1),
)
BY_NAME = {field.name: field for field in FIELDS}

ORIGIN: tuple[tuple[str, str], ...] = (
    ("append_ms", "<i8"),  # Kafka timestamp of the record, ms since 1970
    ("offset", "<i8"),  # Kafka offset of the record
    ("position", "<i4"),  # which frame of its record, from 0
    ("partition", "<i2"),
    ("kind", "u1"),  # Kind
    ("operation", "u1"),  # Operation code if kind is OPERATION, see operations.py
    ("implausible", "<u8"),  # bit (number - 1) of each field that was set to missing because out of its range
)


def _columns() -> list[tuple[str, str]]:
    columns = list(ORIGIN)
    for field in FIELDS:
        if field.dtype == "uuid":
            stem = field.name.removesuffix("_id")
            columns += [(f"{stem}_hi", "<u8"), (f"{stem}_lo", "<u8")]  # big-endian halves: UUID(int=hi << 64 | lo)
        else:
            columns.append((field.name, field.dtype))
    return columns


FRAME: np.dtype[np.void] = np.dtype(_columns(), align=True)
"""One decoded frame, operation or tick: its origin, then a column a field (device_hi, device_lo, ..., trip_hi, trip_lo, ...).

An array of records and not one array a field: the state kernel reads all fields of one frame together, and a batch
is one buffer to pickle. `frames["speed_mps"]` is the column.
"""


def empty(n: int) -> NDArray[Any]:
    """(n,) FRAME rows with every field missing."""
    frames = np.zeros(n, dtype=FRAME)
    for field in FIELDS:
        if field.missing is not None:
            frames[field.name] = field.missing
    return frames
