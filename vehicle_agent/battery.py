"""The simulated battery: open-circuit voltage, sag under load, energy, heat. Parts of kernels; powers in W, + = out of the battery."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs.jit import inlined
from fleetpulse.vehicle_agent import effects, rides
from fleetpulse.vehicle_agent.vehicles import Mode

_PARKED = int(Mode.PARKED)
_OCV_SOC = np.array([0.0, 0.05, 0.10, 0.20, 0.50, 0.80, 1.0])
_OCV_V = np.array([3.05, 3.38, 3.47, 3.56, 3.69, 3.95, 4.17])
"""Open-circuit voltage of one NMC cell."""
_AIR = 0.5 * 1.2
_G = 9.81


@inlined
def open_circuit_v(soc: float) -> float:
    """Of one cell at a state of charge of 0..1."""
    for k in range(1, len(_OCV_SOC)):
        if soc < _OCV_SOC[k]:
            share = (soc - _OCV_SOC[k - 1]) / (_OCV_SOC[k] - _OCV_SOC[k - 1])
            return float(_OCV_V[k - 1] + share * (_OCV_V[k] - _OCV_V[k - 1]))
    return float(_OCV_V[-1])


@inlined
def drive_w(spec: Any, speed_mps: float, acceleration_mps2: float, slope: float, ambient_c: float) -> float:
    """Power that moving takes from the battery (negative: regenerated), without what is always on."""
    force = spec.mass_kg * (_G * (spec.rolling + slope) + acceleration_mps2) + _AIR * spec.drag_m2 * speed_mps * speed_mps
    wheel = force * speed_mps
    if wheel < 0.0:
        return float(max(wheel * spec.regeneration, -0.4 * spec.motor_max_w))
    cold = 1.0 + 0.006 * max(0.0, 15.0 - ambient_c)
    return float(min(wheel * spec.motor_share / spec.efficiency * cold, spec.motor_max_w))


@inlined
def auxiliary_w(spec: Any, ambient_c: float) -> float:
    """What is on while the vehicle is used; heating and cooling grow with the distance from 20 degC."""
    return float(spec.ride_w * (0.6 + 0.02 * abs(ambient_c - 20.0)))


@inlined
def terminal_v(open_v: float, power_w: float, resistance_ohm: float) -> float:
    """Voltage under load: the higher root of V^2 - V*open + P*R = 0; half of open where the battery cannot give P."""
    root = open_v * open_v - 4.0 * power_w * resistance_ohm
    return 0.5 * (open_v + math.sqrt(root)) if root > 0.0 else 0.5 * open_v


@inlined
def resistance_ohm(spec: Any, soh_pct: float, temperature_c: float) -> float:
    return float(spec.resistance_ohm * (1.0 + 0.02 * max(0.0, 20.0 - temperature_c)) * (1.0 + 0.03 * (100.0 - soh_pct)))


@inlined
def warmer_c(spec: Any, current_a: float, resistance: float, temperature_c: float, ambient_c: float) -> float:
    """Change of the battery's temperature in one second."""
    return float(current_a * current_a * resistance / spec.heat_j_per_k - (temperature_c - ambient_c) / spec.cooling_s)


@inlined
def spend(rec: Any, spec: Any, fx: NDArray[np.float64], before_mps: float, slope: float, ambient_c: float, sleeps: bool) -> None:
    """One second of the vehicle's battery: energy, voltage, current, heat; and of its tyres. `sleeps`: parked and hardly awake."""
    if rec.battery_c != rec.battery_c:
        rec.battery_c = ambient_c
    in_use = rec.mode != _PARKED
    power_w = spec.sleep_w if sleeps else spec.idle_w
    if in_use:
        power_w += auxiliary_w(spec, ambient_c)
        mean_mps = 0.5 * (before_mps + rec.speed_mps)
        if mean_mps > 0.0:
            power_w += drive_w(spec, mean_mps, rec.speed_mps - before_mps, slope, ambient_c)
        power_w *= fx[effects.RIDING_FACTOR]
    else:
        power_w += fx[effects.PARKED_W]
    soc = rides.charge(rec, spec)
    if rec.charging == 1:
        power_w -= spec.charge_w * min(1.0, 0.15 + (1.0 - soc) * 5.0)
    resistance = resistance_ohm(spec, rec.soh_pct, rec.battery_c) + fx[effects.OHM]
    open_v = open_circuit_v(soc) * (spec.cells - fx[effects.CELLS])
    rec.voltage_v = terminal_v(open_v, power_w, resistance)
    rec.current_a = -power_w / rec.voltage_v
    full_wh = spec.battery_wh * rec.soh_pct / 100.0
    loss_w = rec.current_a * rec.current_a * resistance
    rec.energy_wh = min(full_wh, max(0.0, rec.energy_wh - (power_w + loss_w) / 3600.0))
    rec.battery_c += warmer_c(spec, rec.current_a, resistance, rec.battery_c, ambient_c)
    if rec.battery_c < 95.0:
        rec.battery_c += fx[effects.HEAT_C]
    rec.tyre_heat_c += (14.0 * min(1.0, rec.speed_mps / 12.0) - rec.tyre_heat_c) / 600.0
    if fx[effects.LEAK] > 0.0:
        rec.leak_wheel = int(fx[effects.LEAK_WHEEL])
        rec.leak_kpa = min(rec.leak_kpa + fx[effects.LEAK], spec.tyre_kpa)
    else:
        rec.leak_kpa = 0.0
