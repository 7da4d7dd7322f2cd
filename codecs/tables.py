"""The Arrow tables that leave the shard: fleet state, closed windows, zone reports. Rows as NumPy records, bytes as Arrow IPC.

No I/O, no clock. One dtype a table is the truth; the Arrow schema derives from it. Codes become dictionary-encoded names.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fleetpulse.codecs.columns import Layout

STATE: np.dtype[np.void] = np.dtype(
    [
        ("device_hi", "<u8"),
        ("device_lo", "<u8"),
        ("slot", "<u4"),
        ("shard", "<u2"),
        ("city", "u1"),  # code; 0 = none
        ("vehicle_model", "u1"),  # code; 0 = unknown
        ("vehicle_state", "u1"),  # MDS state code, alerts/availability.py
        ("event_type", "u1"),  # MDS event type that led to the state
        ("state_since_ms", "<i8"),
        ("last_heard_ms", "<i8"),  # stream time of the last frame
        ("last_frame_ms", "<i8"),  # event time of the newest frame
        ("latitude_deg", "<f8"),  # NaN: never measured
        ("longitude_deg", "<f8"),
        ("odometer_m", "<f8"),
        ("horizontal_accuracy_m", "<f4"),
        ("speed_mps", "<f4"),
        ("heading_deg", "<f4"),
        ("altitude_m", "<f4"),
        ("battery_soc_pct", "<f4"),
        ("battery_voltage_v", "<f4"),
        ("battery_current_a", "<f4"),
        ("battery_temperature_c", "<f4"),
        ("battery_soh_pct", "<f4"),
        ("range_m", "<f4"),
        ("tyre_pressure_min_kpa", "<f4"),
        ("status", "<u4"),  # bits, schema.Status
        ("fault_bits", "<u8"),
        ("trip_hi", "<u8"),
        ("trip_lo", "<u8"),
        ("trips", "<u4"),  # trips ended since first seen
        ("alerts", "<u4"),  # bit (condition code) of each alert that is active
        ("maintenance", "<u4"),  # bit (condition code) of each maintenance that is required
        ("received", "<u8"),  # sequence audit of the vehicle, in frames
        ("duplicate", "<u4"),
        ("late", "<u4"),
        ("quarantined", "<u4"),
        ("missing", "<u4"),
        ("boot_id", "<u4"),
        ("seq", "<u4"),
        ("firmware_version", "S16"),
        ("sensors", "<u2"),  # bits of what it senses badly, state/facts.Sensor
        ("service", "u1"),  # 1: in service, so that it has no alerts
    ],
    align=True,
)
"""A row of `fleet.state`: the public state of one vehicle."""

WINDOW: np.dtype[np.void] = np.dtype(
    [
        ("device_hi", "<u8"),
        ("device_lo", "<u8"),
        ("slot", "<u4"),
        ("city", "u1"),
        ("vehicle_model", "u1"),
        ("window_start_ms", "<i8"),
        ("window_end_ms", "<i8"),
        ("closed_ms", "<i8"),  # stream time when it closed
        ("first_offset", "<i8"),
        ("last_offset", "<i8"),
        ("boot_id", "<u4"),  # of the last frame in the window
        ("seq", "<u4"),
        ("frames", "<u4"),
        ("latitude_deg", "<f8"),  # last
        ("longitude_deg", "<f8"),
        ("distance_m", "<f4"),
        ("climb_m", "<f4"),  # sum of rises, >= 0
        ("in_use_s", "<f4"),
        ("charging_s", "<f4"),
        ("moving_s", "<f4"),
        ("speed_mean_mps", "<f4"),
        ("speed_max_mps", "<f4"),
        ("soc_first_pct", "<f4"),
        ("soc_last_pct", "<f4"),
        ("soc_min_pct", "<f4"),
        ("voltage_mean_v", "<f4"),
        ("voltage_min_v", "<f4"),
        ("current_mean_a", "<f4"),
        ("current_min_a", "<f4"),
        ("energy_out_wh", "<f4"),  # integral of V * -I while discharging, >= 0
        ("battery_temperature_mean_c", "<f4"),
        ("battery_temperature_max_c", "<f4"),
        ("ambient_temperature_mean_c", "<f4"),
        ("accel_rms_mean_mps2", "<f4"),
        ("vibration_band1_mean_mps2", "<f4"),
        ("vibration_band2_mean_mps2", "<f4"),
        ("vibration_band3_mean_mps2", "<f4"),
        ("vibration_band4_mean_mps2", "<f4"),
        ("tyre_pressure_min_kpa", "<f4"),
        ("soh_pct", "<f4"),
        ("cycles", "<i4"),
    ],
    align=True,
)
"""A row of `fleet.features`: one closed 60 s window of one vehicle. A mean or extreme over no sample is NaN."""

ZONE: np.dtype[np.void] = np.dtype(
    [
        ("cell", "<u8"),  # H3 cell, resolution 8
        ("city", "u1"),
        ("vehicle_state", "u1"),  # MDS state code; 255 in rows that count trips
        ("vehicle_model", "u1"),
        ("charge_band", "u1"),  # 0: < 20 %, 1: 20-50 %, 2: >= 50 %, 3: not measured
        ("vehicles", "<i4"),
        ("trip_starts", "<i4"),  # since the boundary before
        ("trip_ends", "<i4"),
    ],
    align=True,
)
"""A row of `fleet.zones`: counts of one (cell, state, model, charge band) at an interval boundary of stream time."""

CANDIDATE: np.dtype[np.void] = np.dtype(
    [
        ("device_hi", "<u8"),
        ("device_lo", "<u8"),
        ("cell", "<u8"),
        ("city", "u1"),
        ("vehicle_state", "u1"),
        ("vehicle_model", "u1"),
        ("latitude_deg", "<f8"),
        ("longitude_deg", "<f8"),
        ("battery_soc_pct", "<f4"),
        ("state_since_ms", "<i8"),
    ],
    align=True,
)
"""A vehicle that could be moved or whose battery could be swapped; stands in `fleet.zones` beside the counts."""


class Encoder:
    """Arrow IPC streams of one table; keeps what does not change from one to the next.

    dtype  one of the dtypes above; the halves device_hi/lo and trip_hi/lo become fixed_size_binary(16) columns `device_id` and
           `trip_id` (null where 0)
    names  code column -> its names by code, for example {"city": ("", "berlin", "paris")}
    """

    def __init__(self, dtype: np.dtype[np.void], names: Mapping[str, Sequence[str]]) -> None:
        self._layout = Layout(dtype, names)

    def encode(self, rows: NDArray[Any], *, metadata: Mapping[str, str] | None = None) -> bytes:
        """One record batch of (N,) rows; `metadata` goes to the schema's metadata."""
        batch = self._layout.batch(rows, metadata or {})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        value: bytes = sink.getvalue().to_pybytes()
        return value


def encode(rows: NDArray[Any], names: Mapping[str, Sequence[str]], *, metadata: Mapping[str, str] | None = None) -> bytes:
    """Encoder(rows.dtype, names).encode(rows), for what is written seldom."""
    return Encoder(rows.dtype, names).encode(rows, metadata=metadata)


def read(value: bytes) -> pa.RecordBatch:
    """The record batch of an Arrow IPC value written by encode. Raises pa.ArrowInvalid for other bytes."""
    with pa.ipc.open_stream(value) as reader:
        return reader.read_next_batch()


def decode(value: bytes, dtype: np.dtype[np.void], names: Mapping[str, Sequence[str]]) -> NDArray[Any]:
    """(N,) rows of `dtype` again; a name that `names` lacks becomes code 0. The inverse of encode."""
    batch = read(value)
    rows = np.zeros(batch.num_rows, dtype=dtype)
    for name in dtype.names or ():
        if name.endswith("_lo"):
            continue
        if name.endswith("_hi"):
            stem = name.removesuffix("_hi")
            ids = [v or b"\0" * 16 for v in batch.column(f"{stem}_id").to_pylist()]
            halves = np.frombuffer(b"".join(ids), dtype=">u8").reshape(-1, 2)
            rows[name], rows[f"{stem}_lo"] = halves[:, 0], halves[:, 1]
            continue
        column = batch.column(name)
        if name in names:
            code = {n: i for i, n in enumerate(names[name])}
            table = np.array([code.get(n, 0) for n in column.dictionary.to_pylist()], dtype=np.int64)
            rows[name] = table[column.indices.to_numpy(zero_copy_only=False)] if len(table) else 0
        elif dtype[name].kind == "S":
            rows[name] = [v.encode() for v in column.to_pylist()]
        else:
            rows[name] = column.to_numpy(zero_copy_only=False)
    return rows
