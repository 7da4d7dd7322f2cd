"""What one frame says of each condition, in obvious Python: "bad", "good", "between" or "unknown". The twin of state/signals.py."""

from typing import Any

from fleetpulse.codecs.schema import Status
from fleetpulse.state.facts import Condition
from fleetpulse.state.parameters import Parameters
from tests.naive import blow
from tests.naive.places import distance_m, zone_depths

Said = dict[Condition, str]
Frame = dict[str, Any]
WHEELS = ("front_left", "rear_left", "front_right", "rear_right")


def position(frame: Frame, parameters: Parameters) -> tuple[int, int, float] | None:
    """Latitude, longitude, accuracy of a position that may decide something."""
    rules = parameters.rules
    accuracy = rules.fix_default_m if frame["horizontal_accuracy_m"] is None else frame["horizontal_accuracy_m"]
    if frame["latitude_e7"] is None or frame["longitude_e7"] is None or accuracy > rules.fix_worst_m:
        return None
    return frame["latitude_e7"], frame["longitude_e7"], accuracy


def accel_peak(frame: Frame) -> float | None:
    axes = [frame[f"accel_peak_{axis}_mps2"] for axis in "xyz"]
    present = [x for x in axes if x is not None]
    return float(sum(x * x for x in present) ** 0.5) if present else None


def tyres(frame: Frame) -> list[tuple[float, int]]:
    """(pressure, wheel) of the wheels that were measured."""
    pressures = [frame[f"tyre_pressure_{wheel}_kpa"] for wheel in WHEELS]
    return [(p, i) for i, p in enumerate(pressures) if p is not None]


def level(value: float | None, *, bad: bool, good: bool) -> str:
    if value is None:
        return "unknown"
    return "bad" if bad else "good" if good else "between"


def stands_locked(frame: Frame, picked_up: bool) -> bool:
    return bool(frame["status"] & Status.LOCKED) and not frame["status"] & Status.IN_USE and not picked_up


def displaced_m(frame: Frame, anchor: tuple[int, int, float] | None, parameters: Parameters) -> float | None:
    here = position(frame, parameters)
    if anchor is None or here is None:
        return None
    return distance_m(anchor[:2], here[:2]) - anchor[2] - here[2]


def said(
    frame: Frame,
    *,
    model: Any,
    city: int,
    picked_up: bool,
    anchor: tuple[int, int, float] | None,
    senses_badly: bool,
    leapt: bool,
    fastest_mps: float | None,
    parameters: Parameters,
) -> Said:
    """What the frame says of every condition that frames decide. fastest_mps: within its minute, its own speed included;
    leapt: its position did, not long ago."""
    rules, status = parameters.rules, frame["status"]
    charging = bool(status & Status.CHARGING)
    soc, temperature, voltage, current = (frame[f"battery_{name}"] for name in ("soc_pct", "temperature_c", "voltage_v", "current_a"))
    result: Said = {}
    if charging:
        result[Condition.LOW_BATTERY] = "good"
    else:
        result[Condition.LOW_BATTERY] = level(
            soc, bad=soc is not None and soc < rules.low_battery_pct, good=soc is not None and soc >= rules.low_battery_clear_pct
        )
    result[Condition.UNRENTABLE_BATTERY] = level(
        soc, bad=soc is not None and soc < rules.unrentable_pct, good=soc is not None and soc >= rules.unrentable_clear_pct
    )
    result[Condition.OVER_TEMPERATURE] = level(
        temperature,
        bad=temperature is not None and temperature > model.temperature_limit_c,
        good=temperature is not None and temperature <= model.temperature_clear_c,
    )
    if voltage is None or current is None or current >= 0:
        result[Condition.VOLTAGE_SAG] = "unknown"
    else:
        result[Condition.VOLTAGE_SAG] = level(voltage, bad=voltage < model.voltage_limit_v, good=voltage >= 1.02 * model.voltage_limit_v)
    crash = blow.crashed(frame, model.crash_limit_mps2, fastest_mps, rules.tipped_roll_deg)
    result[Condition.CRASH] = "bad" if crash else "unknown"  # nothing but a person says that it is over
    roll = frame["roll_deg"]
    if status & Status.TIPPED or (roll is not None and abs(roll) > rules.tipped_roll_deg):
        result[Condition.TIPPED] = "between" if status & Status.MOVING else "bad"
    else:
        result[Condition.TIPPED] = "good"
    result[Condition.TAMPER] = "bad" if status & Status.TAMPER else "good"
    result[Condition.FAULT_CODE] = "bad" if frame["fault_bits"] else "good"
    result[Condition.SENSOR] = "bad" if senses_badly else "good"
    pressures = tyres(frame)
    lowest = min(pressures)[0] if pressures else None
    result[Condition.TYRE_PRESSURE] = level(
        lowest,
        bad=lowest is not None and lowest < model.tyre_limit_kpa,
        good=lowest is not None and lowest >= model.tyre_limit_kpa + rules.tyre_clear_kpa,
    )
    result[Condition.THEFT] = theft(frame, picked_up, None if leapt else anchor, parameters)
    result.update(places(frame, model, city, parameters))
    return result


def theft(frame: Frame, picked_up: bool, anchor: tuple[int, int, float] | None, parameters: Parameters) -> str:
    if not stands_locked(frame, picked_up):
        return "good"
    speed, away = frame["speed_mps"], displaced_m(frame, anchor, parameters)
    if (speed is not None and speed > parameters.rules.theft_speed_mps) or (away is not None and away > parameters.rules.theft_distance_m):
        return "bad"
    return "unknown" if speed is None and away is None else "good"


def places(frame: Frame, model: Any, city: int, parameters: Parameters) -> Said:
    """Geofence and jurisdiction, from the depths in all polygons."""
    here = position(frame, parameters)
    if here is None or not city:
        return {Condition.GEOFENCE: "unknown", Condition.OUTSIDE_JURISDICTION: "unknown"}
    accuracy, leave = here[2], parameters.rules.geofence_leave_m
    depths = zone_depths(parameters, city, model.type_bit, here[0], here[1])
    jurisdiction = max(depth for kind, _, depth in depths if kind == "jurisdiction")
    result = {Condition.OUTSIDE_JURISDICTION: level(1, bad=jurisdiction < -accuracy, good=jurisdiction > leave)}
    if frame["status"] & Status.MOVING and not frame["status"] & Status.IN_USE:
        return {**result, Condition.GEOFENCE: "unknown"}
    no_go = [depth for kind, _, depth in depths if kind == "no_go"]
    service = [depth for kind, _, depth in depths if kind == "service_area"]
    bad = any(depth > accuracy for depth in no_go) or (bool(service) and max(service) < -accuracy)
    good = all(depth < -leave for depth in no_go) and (not service or max(service) > leave)
    return {**result, Condition.GEOFENCE: level(1, bad=bad, good=good)}


def at_any_age(frame: Frame, *, picked_up: bool, parameters: Parameters) -> list[Condition]:
    """What a frame of a closed window still tells of."""
    status, roll, speed = frame["status"], frame["roll_deg"], frame["speed_mps"]
    moving = bool(status & Status.MOVING)
    result = []
    if status & Status.CRASH:
        result.append(Condition.CRASH)
    if not moving and (status & Status.TIPPED or (roll is not None and abs(roll) > parameters.rules.tipped_roll_deg)):
        result.append(Condition.TIPPED)
    if stands_locked(frame, picked_up) and moving and speed is not None and speed > parameters.rules.theft_speed_mps:
        result.append(Condition.THEFT)
    if status & Status.TAMPER:
        result.append(Condition.TAMPER)
    return result
