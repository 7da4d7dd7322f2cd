"""What the sensors of a simulated vehicle say: one FRAME row of a moment, with noise and with the faults that lie. Part of kernels."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs.jit import inlined
from fleetpulse.codecs.schema import Status
from fleetpulse.vehicle_agent import effects, noise, rides, streets
from fleetpulse.vehicle_agent.vehicles import Mode

_PARKED, _PAUSED = int(Mode.PARKED), int(Mode.PAUSED)
_CHARGING, _LOCKED, _IN_USE, _MOVING, _TIPPED = (
    int(s) for s in (Status.CHARGING, Status.LOCKED, Status.IN_USE, Status.MOVING, Status.TIPPED)
)
_FIX, _CRASH, _TAMPER = int(Status.GNSS_FIX), int(Status.CRASH), int(Status.TAMPER)
_NAN = np.float32(math.nan)
_SPEED_BIT = np.uint64(1 << 7)
"""Bit of field 8 in `implausible`: the agent writes a NaN to the wire."""


@inlined
def drift(rec: Any, second: int) -> None:
    """One second of the slow error of the position: AR(1) with a correlation of 0.97."""
    step = 0.2431 * rec.gps_sigma_m
    rec.gps_east_m = 0.97 * rec.gps_east_m + step * noise.normal(rec.key, second, 30)
    rec.gps_north_m = 0.97 * rec.gps_north_m + step * noise.normal(rec.key, second, 31)


@inlined
def status_bits(rec: Any, fx: NDArray[np.float64], second: int) -> int:
    """Status of this second; the crash bit since the detector found one."""
    bits = _FIX
    if rec.charging == 1:
        bits |= _CHARGING
    if rec.mode in (_PARKED, _PAUSED):
        bits |= _LOCKED
    if rec.mode != _PARKED:
        bits |= _IN_USE
    if rec.speed_mps > 0.3:
        bits |= _MOVING
    if rec.tipped == 1:
        bits |= _TIPPED
    if rec.alarmed == 1:
        bits |= _CRASH
    if rec.stolen == 1 and fx[effects.TAMPER] > 0.0:
        bits |= _TAMPER
    return bits


@inlined
def _tyre_kpa(rec: Any, spec: Any, ambient_c: float, wheel: int, second: int) -> float:
    """Pressure of a wheel: cold pressure at 20 degC, less the leak, with the tyre's temperature (ideal gas, over absolute zero)."""
    cold = spec.tyre_kpa * (rec.tyre_share - 0.012 * wheel) + 101.3
    if wheel == rec.leak_wheel:
        cold -= rec.leak_kpa
    warm = cold * (ambient_c + rec.tyre_heat_c + 273.15) / 293.15 - 101.3
    return float(max(0.0, warm + 0.4 * noise.normal(rec.key, second, 32 + wheel)))


@inlined
def write(
    row: Any,
    rec: Any,
    spec: Any,
    city: Any,
    fx: NDArray[np.float64],
    made_ms: int,
    status: int,
    east: float,
    north: float,
    speed: float,
    acceleration: float,
    odometer: float,
    altitude: float,
    ambient_c: float,
    blow: bool,
) -> None:
    """Fill one row. `offset` is set by the caller; `append_ms` holds the true time, whatever the vehicle's clock says.

    blow  the peaks of this frame are those of the blow
    """
    second = made_ms // 1000
    row.append_ms = made_ms
    row.position = 0
    row.partition = 0
    row.kind = 0
    row.operation = 0
    row.implausible = np.uint64(0)
    row.device_hi = rec.device_hi
    row.device_lo = rec.device_lo
    row.time_ms = made_ms + int(fx[effects.CLOCK_MS])
    row.boot_id = rec.boot_id
    row.seq = rec.seq
    row.previous_last_seq = rec.previous_last if rec.seq == 0 else -1
    row.status = status
    row.model_id = int(fx[effects.MODEL_ID]) if fx[effects.MODEL_ID] > 0.0 else rec.model
    row.trip_hi = rec.trip_hi
    row.trip_lo = rec.trip_lo
    row.fault_bits = np.uint64(fx[effects.FAULT_BITS])
    soc = 100.0 * rides.charge(rec, spec)
    row.range_m = spec.range_m * soc / 100.0 * rec.soh_pct / 100.0
    if fx[effects.FROZEN] > 0.0:
        if rec.frozen_soc < 0.0:
            rec.frozen_soc = soc
        soc = rec.frozen_soc
    else:
        rec.frozen_soc = -1.0
    if fx[effects.JUMP_S] > 0.0:
        jump = 2.0 * noise.uniform(rec.key, second // max(1, int(fx[effects.JUMP_S])), 60) - 1.0
        soc = min(100.0, max(0.0, soc + fx[effects.JUMP_PCT] * jump))
    row.battery_soc_pct = round(soc * 10.0) / 10.0
    row.battery_voltage_v = rec.voltage_v * (1.0 + 0.0005 * noise.normal(rec.key, made_ms, 36))
    row.battery_current_a = rec.current_a * (1.0 + 0.01 * noise.normal(rec.key, made_ms, 37))
    row.battery_temperature_c = round((rec.battery_c + 0.1 * noise.normal(rec.key, made_ms, 38)) * 10.0) / 10.0
    row.battery_soh_pct = rec.soh_pct
    row.battery_cycles = int(rec.cycles)
    row.ambient_temperature_c = round(ambient_c * 2.0) / 2.0
    row.odometer_m = odometer
    _place(row, rec, city, fx, made_ms, east, north)
    sigma_m = fx[effects.WANDER_M] if fx[effects.BORDER] > 0.0 else rec.gps_sigma_m
    row.horizontal_accuracy_m = 2.0 * sigma_m * (1.0 + 0.15 * noise.uniform(rec.key, second, 39))
    row.satellites = 8 + int(9.0 * noise.uniform(rec.key, second // 60, 44))
    row.altitude_m = altitude + 1.5 * rec.gps_north_m
    row.speed_mps = max(0.0, speed + 0.05 * noise.normal(rec.key, made_ms, 45)) if speed > 0.0 else 0.0
    row.heading_deg = streets.heading_deg(city, rec.direction)
    row.rssi_dbm = int(
        max(-120.0, min(-45.0, -78.0 + 11.0 * noise.normal(rec.key, second // 120, 46) + 2.5 * noise.normal(rec.key, made_ms, 47)))
    )
    row.tyre_pressure_front_left_kpa = _tyre_kpa(rec, spec, ambient_c, 0, second)
    row.tyre_pressure_rear_left_kpa = _tyre_kpa(rec, spec, ambient_c, 1, second)
    if spec.wheels == 4:
        row.tyre_pressure_front_right_kpa = _tyre_kpa(rec, spec, ambient_c, 2, second)
        row.tyre_pressure_rear_right_kpa = _tyre_kpa(rec, spec, ambient_c, 3, second)
    else:
        row.tyre_pressure_front_right_kpa = _NAN
        row.tyre_pressure_rear_right_kpa = _NAN
    _shake(row, rec, spec, fx, made_ms, speed if rec.stolen == 0 else 0.5 * speed, acceleration, blow)
    if fx[effects.IMPOSSIBLE] > 0.0:
        _lie(row, int(fx[effects.IMPOSSIBLE]) % 4)


@inlined
def _place(row: Any, rec: Any, city: Any, fx: NDArray[np.float64], made_ms: int, east: float, north: float) -> None:
    e = east + rec.gps_east_m + 0.12 * noise.normal(rec.key, made_ms, 48)
    n = north + rec.gps_north_m + 0.12 * noise.normal(rec.key, made_ms, 49)
    if fx[effects.BORDER] > 0.0:
        wander = fx[effects.WANDER_M] / rec.gps_sigma_m
        e = (fx[effects.BORDER_LONGITUDE] - city.longitude_deg) * city.east_m_per_deg + wander * rec.gps_east_m
        n = (fx[effects.BORDER_LATITUDE] - city.latitude_deg) * city.north_m_per_deg + wander * rec.gps_north_m
    if fx[effects.TELEPORT_M] > 0.0:
        way = 6.2832 * noise.uniform(rec.key, made_ms // 10_000, 50)
        e += fx[effects.TELEPORT_M] * math.cos(way)
        n += fx[effects.TELEPORT_M] * math.sin(way)
    latitude = round((city.latitude_deg + n / city.north_m_per_deg) * 1e7)
    longitude = round((city.longitude_deg + e / city.east_m_per_deg) * 1e7)
    if fx[effects.STUCK] > 0.0:
        if rec.stuck == 0:
            rec.stuck, rec.stuck_latitude, rec.stuck_longitude = 1, int(latitude), int(longitude)
        latitude, longitude = float(rec.stuck_latitude), float(rec.stuck_longitude)
    else:
        rec.stuck = 0
    row.latitude_e7 = int(latitude)
    row.longitude_e7 = int(longitude)


@inlined
def _shake(row: Any, rec: Any, spec: Any, fx: NDArray[np.float64], made_ms: int, speed: float, acceleration: float, blow: bool) -> None:
    """Vibration in four bands grows with speed and with the road; a worn bearing shows in the upper two."""
    r = speed / 7.0
    road = spec.roughness * (0.7 + 0.7 * noise.uniform(np.uint64(rec.i * 65536 + rec.j), rec.city, 51))
    worn = fx[effects.BEARING]
    b1 = (0.03 + 1.3 * road * r) * (1.0 + 0.12 * noise.normal(rec.key, made_ms, 52))
    b2 = (0.03 + 0.8 * road * r**1.3) * (1.0 + 0.12 * noise.normal(rec.key, made_ms, 53))
    b3 = (0.02 + 0.35 * road * r**1.6) * (1.0 + 2.5 * worn) * (1.0 + 0.12 * noise.normal(rec.key, made_ms, 54))
    b4 = (0.02 + 0.18 * road * r * r) * (1.0 + 6.0 * worn) * (1.0 + 0.12 * noise.normal(rec.key, made_ms, 55))
    rms = math.sqrt(b1 * b1 + b2 * b2 + b3 * b3 + b4 * b4)
    row.vibration_band1_rms_mps2 = b1
    row.vibration_band2_rms_mps2 = b2
    row.vibration_band3_rms_mps2 = b3
    row.vibration_band4_rms_mps2 = b4
    row.accel_rms_mps2 = rms
    if blow:
        row.accel_peak_x_mps2, row.accel_peak_y_mps2, row.accel_peak_z_mps2 = rec.peak_x, rec.peak_y, rec.peak_z
    else:
        row.accel_peak_x_mps2 = acceleration + 1.6 * rms * noise.normal(rec.key, made_ms, 56)
        row.accel_peak_y_mps2 = 1.3 * rms * noise.normal(rec.key, made_ms, 57)
        row.accel_peak_z_mps2 = 2.4 * rms * (1.0 + 0.3 * noise.normal(rec.key, made_ms, 58))
    if rec.tipped == 1:
        row.roll_deg = rec.roll_deg + 0.5 * noise.normal(rec.key, made_ms, 59)
    elif rec.mode == _PARKED or spec.wheels == 4:
        row.roll_deg = rec.roll_deg + 0.3 * noise.normal(rec.key, made_ms, 59)
    else:
        row.roll_deg = 2.5 * noise.normal(rec.key, made_ms, 59)


@inlined
def _lie(row: Any, which: int) -> None:
    """A value that cannot be."""
    if which == 0:
        row.latitude_e7 = 2_000_000_000
    elif which == 1:
        row.speed_mps = _NAN
        row.implausible = _SPEED_BIT
    elif which == 2:
        row.battery_soc_pct = -5.0
    else:
        row.longitude_e7 = -2_000_000_000
