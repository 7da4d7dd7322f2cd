"""The 60 s windows of one vehicle: fold frames, share out what lies between frames, close.

A vehicle has at most two open windows: that of its newest frame (`minute` in its record) and the one before (a block of the pool). A window
[s, e) is closed when the vehicle's newest event time >= e + GRACE_MS or stream time >= due_ms(e): e + PATIENCE_MS, and for a while after an
outage of ours as much later as it lasted, since what vehicles sent meanwhile comes only then.
"""

from typing import Any

import numpy as np

from fleetpulse.codecs.jit import inlined, merged
from fleetpulse.codecs.schema import MISSING_E7, MISSING_INT
from fleetpulse.state import pools
from fleetpulse.state.cast import code, real, whole
from fleetpulse.state.geofence import positioned
from fleetpulse.state.vehicle import Pool

GRACE_MS = 2_000
PATIENCE_MS = 60_000
LONGEST_LENIENCE_MS = 900_000
"""After an outage of ours there is so long, and PATIENCE_MS, for what it held up to come; as long as it lasted where that is less."""
_POOL = code(Pool.BEFORE)
_SPEED, _VOLTAGE, _CURRENT, _TEMPERATURE, _AMBIENT, _RMS, _BAND1, _BAND2, _BAND3, _BAND4 = (code(i) for i in range(10))


@inlined
def start_of(time_ms: int, window_ms: int) -> int:
    return time_ms // window_ms * window_ms


@inlined
def due_ms(header: Any, end_ms: int) -> int:
    """Stream time at which a window that ends at end_ms is closed, whatever the vehicle says."""
    late_ms = end_ms + PATIENCE_MS
    return whole(min(late_ms + header.lenience_ms, max(late_ms, header.lenient_until_ms)))


@inlined
def tyre_min(f: Any) -> Any:
    """Lowest pressure of the wheels that a frame measured; NaN when none."""
    low = f.tyre_pressure_front_left_kpa
    for x in (f.tyre_pressure_rear_left_kpa, f.tyre_pressure_front_right_kpa, f.tyre_pressure_rear_right_kpa):
        if not (low <= x) and not np.isnan(x):
            low = x
    return low


@inlined
def _begin(w: Any, start_ms: int) -> None:
    w.start_ms = start_ms
    w.frames = 0
    w.first_ms = 0
    w.last_ms = 0
    w.latitude_e7 = MISSING_E7
    w.longitude_e7 = MISSING_E7
    w.distance_m = 0.0
    w.climb_m = 0.0
    w.in_use_s = 0.0
    w.charging_s = 0.0
    w.moving_s = 0.0
    w.energy_out_wh = 0.0
    w.speed_max = np.nan
    w.soc_first = np.nan
    w.soc_last = np.nan
    w.soc_min = np.nan
    w.voltage_min = np.nan
    w.current_min = np.nan
    w.temperature_max = np.nan
    w.tyre_min = np.nan
    w.soh = np.nan
    w.cycles = MISSING_INT
    for i in range(len(w.sums)):
        w.sums[i] = 0.0
        w.counts[i] = 0


@inlined
def _sample(w: Any, i: int, x: Any) -> None:
    if not np.isnan(x) and w.counts[i] < 65535:
        w.sums[i] += x
        w.counts[i] += 1


@inlined
def _lower(low: Any, x: Any) -> Any:
    return x if x < low or np.isnan(low) else low


@inlined
def _higher(high: Any, x: Any) -> Any:
    return x if x > high or np.isnan(high) else high


@merged
def fold(w: Any, f: Any, time_ms: int) -> None:
    """Fold a frame that lies in the window. Missing values change nothing; of two frames of one time the later one is the last."""
    at = time_ms - w.start_ms
    latest = w.frames == 0 or at >= w.last_ms
    if w.frames == 0:
        w.first_offset = f.offset
        w.last_offset = f.offset
    w.first_offset = min(w.first_offset, f.offset)
    w.last_offset = max(w.last_offset, f.offset)
    w.frames += 1
    soc = f.battery_soc_pct
    if not np.isnan(soc) and (np.isnan(w.soc_first) or at < w.first_ms):
        w.first_ms = at
        w.soc_first = soc
    if latest:
        w.last_ms = at
        w.boot_id = f.boot_id
        w.seq = f.seq
        if positioned(f):
            w.latitude_e7 = f.latitude_e7
            w.longitude_e7 = f.longitude_e7
        if not np.isnan(soc):
            w.soc_last = soc
        if not np.isnan(f.battery_soh_pct):
            w.soh = f.battery_soh_pct
        if f.battery_cycles != MISSING_INT:
            w.cycles = f.battery_cycles
    w.soc_min = _lower(w.soc_min, soc)
    w.speed_max = _higher(w.speed_max, f.speed_mps)
    w.voltage_min = _lower(w.voltage_min, f.battery_voltage_v)
    w.current_min = _lower(w.current_min, f.battery_current_a)
    w.temperature_max = _higher(w.temperature_max, f.battery_temperature_c)
    w.tyre_min = _lower(w.tyre_min, tyre_min(f))
    _sample(w, _SPEED, f.speed_mps)
    _sample(w, _VOLTAGE, f.battery_voltage_v)
    _sample(w, _CURRENT, f.battery_current_a)
    _sample(w, _TEMPERATURE, f.battery_temperature_c)
    _sample(w, _AMBIENT, f.ambient_temperature_c)
    _sample(w, _RMS, f.accel_rms_mps2)
    _sample(w, _BAND1, f.vibration_band1_rms_mps2)
    _sample(w, _BAND2, f.vibration_band2_rms_mps2)
    _sample(w, _BAND3, f.vibration_band3_rms_mps2)
    _sample(w, _BAND4, f.vibration_band4_rms_mps2)


@inlined
def _mean(w: Any, i: int) -> float:
    return real(w.sums[i]) / real(w.counts[i]) if w.counts[i] else np.nan


@inlined
def close(header: Any, windows: Any, v: Any, slot: int, w: Any, window_ms: int) -> None:
    """Write an open window to the output and begin none."""
    row = windows[header.windows]
    header.windows += 1
    row.device_hi = v.device_hi
    row.device_lo = v.device_lo
    row.slot = slot
    row.city = v.city
    row.vehicle_model = v.model
    row.window_start_ms = w.start_ms
    row.window_end_ms = w.start_ms + window_ms
    row.closed_ms = header.stream_ms
    row.first_offset = w.first_offset
    row.last_offset = w.last_offset
    row.boot_id = w.boot_id
    row.seq = w.seq
    row.frames = w.frames
    missing = w.latitude_e7 == MISSING_E7
    row.latitude_deg = np.nan if missing else w.latitude_e7 / 1e7
    row.longitude_deg = np.nan if missing else w.longitude_e7 / 1e7
    row.distance_m = w.distance_m
    row.climb_m = w.climb_m
    row.in_use_s = w.in_use_s
    row.charging_s = w.charging_s
    row.moving_s = w.moving_s
    row.speed_mean_mps = _mean(w, _SPEED)
    row.speed_max_mps = w.speed_max
    row.soc_first_pct = w.soc_first
    row.soc_last_pct = w.soc_last
    row.soc_min_pct = w.soc_min
    row.voltage_mean_v = _mean(w, _VOLTAGE)
    row.voltage_min_v = w.voltage_min
    row.current_mean_a = _mean(w, _CURRENT)
    row.current_min_a = w.current_min
    row.energy_out_wh = w.energy_out_wh
    row.battery_temperature_mean_c = _mean(w, _TEMPERATURE)
    row.battery_temperature_max_c = w.temperature_max
    row.ambient_temperature_mean_c = _mean(w, _AMBIENT)
    row.accel_rms_mean_mps2 = _mean(w, _RMS)
    row.vibration_band1_mean_mps2 = _mean(w, _BAND1)
    row.vibration_band2_mean_mps2 = _mean(w, _BAND2)
    row.vibration_band3_mean_mps2 = _mean(w, _BAND3)
    row.vibration_band4_mean_mps2 = _mean(w, _BAND4)
    row.tyre_pressure_min_kpa = w.tyre_min
    row.soh_pct = w.soh
    row.cycles = w.cycles
    w.frames = 0


@inlined
def due_by(header: Any, store: Any, slot: int, time_ms: int) -> None:
    """The vehicle's timers must be looked at by time_ms."""
    if time_ms < store.deadlines[slot]:
        store.deadlines[slot] = time_ms
        header.deadline_ms = min(header.deadline_ms, time_ms)


@inlined
def close_before(header: Any, store: Any, windows: Any, v: Any, slot: int, window_ms: int) -> None:
    """Close the window before, which must be open, and give its block back."""
    close(header, windows, v, slot, store.before[v.before - 1].minute, window_ms)
    pools.give(header, store.before, _POOL, v.before)
    v.before = 0


@inlined
def before_at(header: Any, store: Any, v: Any, slot: int, start_ms: int, window_ms: int) -> Any:
    """The window before, begun at start_ms if it is not open."""
    if v.before == 0:
        v.before = pools.take(header, store.before, _POOL)
        _begin(store.before[v.before - 1].minute, start_ms)
        due_by(header, store, slot, due_ms(header, start_ms + window_ms))
    return store.before[v.before - 1].minute


@merged
def move_on(header: Any, store: Any, windows: Any, v: Any, slot: int, time_ms: int, start_ms: int, window_ms: int) -> None:
    """The vehicle's newest event time becomes time_ms: close what that closes, and let `minute` be its window, begun at start_ms."""
    w = v.minute
    if v.before and store.before[v.before - 1].minute.start_ms + window_ms + GRACE_MS <= time_ms:
        close_before(header, store, windows, v, slot, window_ms)
    if w.frames == 0:
        _begin(w, start_ms)
    elif w.start_ms != start_ms:
        if w.start_ms + window_ms + GRACE_MS <= time_ms:
            close(header, windows, v, slot, w, window_ms)
        else:
            v.before = pools.take(header, store.before, _POOL)
            store.before[v.before - 1].minute = w
        _begin(w, start_ms)
    else:
        return
    due_by(header, store, slot, due_ms(header, start_ms + window_ms))
