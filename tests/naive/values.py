"""The values of a raised or cleared condition, in the order of facts.VALUE_NAMES."""

from types import SimpleNamespace
from typing import Any

from fleetpulse.codecs.schema import Status
from fleetpulse.state.facts import VALUE_NAMES, Condition, Fact
from fleetpulse.state.parameters import Parameters
from tests.naive import blow, conditions
from tests.naive.conditions import Frame
from tests.naive.places import zone_depths
from tests.naive.vehicle import Vehicle


def model_of(parameters: Parameters, v: Vehicle) -> Any:
    """The MODEL record of a vehicle, its fields as attributes."""
    record = parameters.models_record[v.model]
    return SimpleNamespace(**{name: record[name].item() for name in record.dtype.names or ()})


def values(
    parameters: Parameters,
    v: Vehicle,
    frame: Frame,
    fact: Fact,
    condition: Condition,
    *,
    lasted_ms: int = 0,
    clock_off_ms: int = 0,
    stops: bool = False,
) -> tuple[Any, ...]:
    """In the order of facts.VALUE_NAMES. stops: it has lost its speed within this minute, as far as is known."""
    rules, model = parameters.rules, model_of(parameters, v)
    peak = conditions.accel_peak(frame)
    known = {
        "battery_soc_pct": v.good["soc"],
        "limit_pct": rules.low_battery_pct if condition is Condition.LOW_BATTERY else rules.unrentable_pct,
        "battery_temperature_c": frame["battery_temperature_c"],
        "limit_c": model.temperature_limit_c,
        "accel_peak_mps2": peak,
        "limit_mps2": model.crash_limit_mps2,
        "crash_bit": float(bool(frame["status"] & Status.CRASH)),
        "confidence": blow.confidence(frame, model.crash_limit_mps2, stops=stops),
        "roll_deg": frame["roll_deg"],
        "dwell_s": lasted_ms / 1000,
        "speed_mps": frame["speed_mps"],
        "limit_mps": rules.theft_speed_mps,
        "limit_m": rules.theft_distance_m,
        "limit_kpa": model.tyre_limit_kpa,
        "fault_bits": float(frame["fault_bits"]),
        "battery_voltage_v": frame["battery_voltage_v"],
        "limit_v": model.voltage_limit_v,
        "battery_current_a": frame["battery_current_a"],
        "implausible_fields": float(frame["implausible"]),
        "clock_off_s": clock_off_ms / 1000,
        "sensors": float(v.health.sensors),
    }
    if condition is Condition.THEFT:
        known["distance_m"] = conditions.displaced_m(frame, v.anchor, parameters)
    if condition is Condition.TYRE_PRESSURE:
        known["tyre_pressure_kpa"], known["wheel"] = min(conditions.tyres(frame))
    if condition in (Condition.GEOFENCE, Condition.OUTSIDE_JURISDICTION):
        known |= zone(parameters, v, frame, fact, condition)
    return tuple(known[name] for name in VALUE_NAMES.get((Fact.RAISED, condition), ()))


def zone(parameters: Parameters, v: Vehicle, frame: Frame, fact: Fact, condition: Condition) -> dict[str, float | None]:
    """Which zone: the deepest one that is entered, or the nearest one that was left (or, when cleared, whose edge is nearest)."""
    here = conditions.position(frame, parameters)
    assert here is not None
    depths = zone_depths(parameters, v.city, model_of(parameters, v).type_bit, here[0], here[1])

    def deepest(wanted: str) -> tuple[float, int] | None:
        return max(((depth, -code) for kind, code, depth in depths if kind == wanted), default=None)

    no_go, service = deepest("no_go"), deepest("service_area")
    if condition is Condition.OUTSIDE_JURISDICTION:
        chosen = deepest("jurisdiction")
    elif fact is Fact.RAISED:
        chosen = no_go if no_go is not None and no_go[0] > here[2] else service
    else:
        chosen = min((one for one in (no_go, service) if one is not None), key=lambda one: abs(one[0]))
    assert chosen is not None
    return {"zone": -chosen[1], "distance_m": abs(chosen[0]), "horizontal_accuracy_m": here[2]}
