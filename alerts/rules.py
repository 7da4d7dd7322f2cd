"""The table of rules: what a condition of the state kernel means to operators and technicians. Data, and the sentences.

Thresholds stand in config/ and are applied in state/; here stands what follows from a condition.
"""

from dataclasses import dataclass
from enum import IntEnum
from math import isfinite
from typing import Any, Literal

from fleetpulse.alerts.evidence import FactRow
from fleetpulse.alerts.parameters import LifecycleParameters
from fleetpulse.codecs.schema import FIELDS
from fleetpulse.state.facts import VALUE_NAMES, Condition, Fact, Sensor

Component = Literal["battery", "tyre", "brake", "motor", "structure", "sensor"]


class Severity(IntEnum):
    """How urgent; the lower-case name stands in events."""

    INFO = 0
    WARNING = 1
    CRITICAL = 2

    @property
    def text(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Maintenance:
    """What a technician has to look at.

    recovers  True: it is resolved when the condition is false again, because the cause is then really gone
    task      one sentence for the technician
    """

    component: Component
    severity: Severity
    recovers: bool
    task: str


@dataclass(frozen=True)
class Rule:
    """What follows from a condition.

    name         in evidence, and the rule of maintenance and availability events
    alert        rule of the alert, None: no alert. Conditions that share it share one open alert
    severity     of the alert
    reason       one sentence for the operator
    maintenance  what it requires, if anything
    escalates    True: an open alert of the same rule escalates when this condition joins it
    by_city      True: the city flow raises the alert, when it has seen whether others are silent too (alerts/silences.py)
    latched      True: the condition's end does not close the alert; maintenance_done does. True at any age, so also when late
    """

    name: str
    alert: str | None
    severity: Severity
    reason: str
    maintenance: Maintenance | None = None
    escalates: bool = False
    latched: bool = False
    by_city: bool = False


INFO, WARNING, CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL

RULES: dict[Condition, Rule] = {
    Condition.LOW_BATTERY: Rule(
        "low_battery", "low_battery", INFO, "Charge is {battery_soc_pct:.0f} %, below {limit_pct:.0f} %, and it is not charging."
    ),
    Condition.UNRENTABLE_BATTERY: Rule(
        "unrentable_battery",
        None,
        INFO,
        "Charge is {battery_soc_pct:.0f} %, below the {limit_pct:.0f} % that a rental needs.",
        Maintenance("battery", INFO, True, "Charge is {battery_soc_pct:.0f} %, too low to rent: {charge}."),
    ),
    Condition.OVER_TEMPERATURE: Rule(
        "over_temperature",
        "over_temperature",
        CRITICAL,
        "Battery is at {battery_temperature_c:.0f} degC, above {limit_c:.0f} degC.",
        Maintenance(
            "battery",
            CRITICAL,
            False,
            "Battery reached {battery_temperature_c:.0f} degC (limit {limit_c:.0f} degC): check it before anybody rides.",
        ),
    ),
    Condition.GEOFENCE: Rule(
        "geofence",
        "geofence",
        WARNING,
        "It breaks the rule of zone {place} by {distance_m:.0f} m; its position is accurate to {horizontal_accuracy_m:.0f} m.",
    ),
    Condition.OUTSIDE_JURISDICTION: Rule(
        "outside_jurisdiction",
        "geofence",
        CRITICAL,
        "It is {distance_m:.0f} m outside the jurisdiction; its position is accurate to {horizontal_accuracy_m:.0f} m.",
        escalates=True,
    ),
    Condition.CRASH: Rule(
        "crash",
        "crash",
        CRITICAL,
        "{crash}",
        Maintenance("structure", CRITICAL, False, "{crash} Inspect frame, steering and brakes."),
        latched=True,
    ),
    Condition.TIPPED: Rule("tipped", "tipped", WARNING, "It has been lying on its side for {dwell_s:.0f} s (roll {roll_deg:.0f} deg)."),
    Condition.THEFT: Rule(
        "theft", "theft", CRITICAL, "It moves while locked, at {speed_mps:.1f} m/s, {distance_m:.0f} m from where it was parked."
    ),
    Condition.TAMPER: Rule(
        "tamper",
        "tamper",
        WARNING,
        "Its tamper contact is open.",
        Maintenance("structure", WARNING, False, "The tamper contact opened: check housing, lock and wiring."),
    ),
    Condition.TYRE_PRESSURE: Rule(
        "tyre_pressure",
        "tyre_pressure",
        WARNING,
        "The {wheel_name} tyre has {tyre_pressure_kpa:.0f} kPa, below {limit_kpa:.0f} kPa.",
        Maintenance(
            "tyre", WARNING, True, "Inflate or mend the {wheel_name} tyre: {tyre_pressure_kpa:.0f} kPa, limit {limit_kpa:.0f} kPa."
        ),
    ),
    Condition.FAULT_CODE: Rule(
        "fault_code",
        "fault_code",
        WARNING,
        "Its controller reports fault {codes} ({component}).",
        Maintenance("sensor", INFO, True, "Read out the controller: fault {codes} ({component})."),
    ),
    Condition.OFFLINE: Rule(
        "offline", "offline", WARNING, "No telemetry for {silent_s:.0f} s; it may be silent for {limit_s:.0f} s.", by_city=True
    ),
    Condition.MISSING: Rule(
        "missing", "offline", CRITICAL, "No telemetry for {silent_h:.1f} h: it counts as missing.", escalates=True, by_city=True
    ),
    Condition.VOLTAGE_SAG: Rule(
        "voltage_sag",
        "voltage_sag",
        WARNING,
        "Battery falls to {battery_voltage_v:.1f} V under load, below {limit_v:.1f} V.",
        Maintenance(
            "battery",
            WARNING,
            False,
            "Battery falls to {battery_voltage_v:.1f} V at {battery_current_a:.1f} A: test its cells, replace it.",
        ),
    ),
    Condition.SENSOR: Rule(
        "sensor",
        "sensor",
        INFO,
        "{untrue}.",
        Maintenance("sensor", INFO, True, "{untrue}: check the telemetry unit."),
    ),
}

OF_BATTERY = frozenset(rule.alert for rule in RULES.values() if rule.alert and rule.maintenance and rule.maintenance.component == "battery")
"""Alerts that another battery ends."""

FAULT_COMPONENTS: tuple[tuple[int, int, Component, Severity], ...] = (
    (16, 23, "brake", CRITICAL),
    (0, 15, "motor", WARNING),
    (24, 39, "battery", WARNING),
    (40, 63, "sensor", INFO),
)
"""Bits of `fault_bits`, first and last, whose they are and how grave; the gravest first."""

TRIP, OPERATION, BATTERY_SWAP, EVICTION = "trip", "operation", "battery_swap", "eviction"
"""Rules of events that no condition tips."""
RULE_NAMES = (*(rule.name for rule in RULES.values()), TRIP, OPERATION, BATTERY_SWAP, EVICTION)
WHEELS = ("front left", "rear left", "front right", "rear right")


@dataclass(frozen=True)
class Judgement:
    """A rule applied to one fact: what stands in its events."""

    rule: Rule
    severity: Severity
    reason: str
    component: Component | None
    maintenance_severity: Severity
    task: str


class _Measured(float):
    """A value in a sentence, without a minus sign before a zero; says so when it was not measured."""

    def __format__(self, spec: str) -> str:
        return super().__format__("z" + spec) if isfinite(self) else "an unknown number of"


def fault_component(bits: int) -> tuple[Component, Severity]:
    """Whose the gravest of the set bits is. No bit: a sensor's, because the code itself is wrong.

    >>> fault_component(1 << 17 | 1)[0]
    'brake'
    """
    for first, last, component, severity in FAULT_COMPONENTS:
        if bits >> first & ((1 << (last - first + 1)) - 1):
            return component, severity
    return "sensor", INFO


_SENSES: dict[Sensor, str] = {
    Sensor.POSITION_STUCK: "Its position stays while it rides on",
    Sensor.POSITION_JUMPS: "Its position jumps to where it cannot be",
    Sensor.CHARGE_FROZEN: "Its charge stays while energy is taken",
    Sensor.CHARGE_JUMPS: "Its charge jumps as no battery's does",
    Sensor.SPEED: "It measures a speed while wheels and position stand",
    Sensor.CHARGING: "It says that it charges while it rides",
}


def _untrue(implausible: float, clock_off_s: float, sensors: float) -> str:
    """What a sensor said that cannot be; the gravest sense."""
    bad = Sensor(int(sensors)) if isfinite(sensors) else Sensor(0)
    for sense, text in _SENSES.items():
        if sense in bad:
            return text
    bits = int(implausible) if isfinite(implausible) else 0
    names = ", ".join(field.name for field in FIELDS if bits >> (field.number - 1) & 1)
    if names:
        return f"It measures what cannot be ({names})"
    if isfinite(clock_off_s) and clock_off_s != 0:
        return f"Its clock is {abs(clock_off_s):.0f} s {'ahead' if clock_off_s > 0 else 'behind'}"
    return "It measured what cannot be"


def judge(row: FactRow, parameters: LifecycleParameters) -> Judgement:
    """What a raised or cleared condition means."""
    condition = Condition(row.condition)
    rule = RULES[condition]
    severity = rule.severity
    work = rule.maintenance
    component, work_severity = (work.component, work.severity) if work else (None, INFO)
    names = VALUE_NAMES.get((Fact.RAISED, condition), ())
    said: dict[str, Any] = {name: _Measured(value) for name, value in zip(names, row.value, strict=False)}
    if condition == Condition.CRASH:
        peak = "Peak acceleration was {accel_peak_mps2:.0f} m/s2".format(**said)
        if said["crash_bit"] > 0:
            said["crash"] = f"Its crash detector fired. {peak}."
        else:  # the flow's second opinion
            severity = work_severity = WARNING
            said["crash"] = "{}, above {limit_mps2:.0f} m/s2, and it stopped; but its crash detector did not fire.".format(peak, **said)
    elif condition == Condition.FAULT_CODE:
        bits = int(row.value[0]) if isfinite(row.value[0]) else 0
        component, work_severity = fault_component(bits)
        severity = work_severity
        said["codes"] = ", ".join(str(bit) for bit in range(64) if bits >> bit & 1) or "none"
        said["component"] = component
    elif condition == Condition.TYRE_PRESSURE:
        wheel = int(row.value[2]) if isfinite(row.value[2]) else -1
        said["wheel_name"] = WHEELS[wheel] if 0 <= wheel < len(WHEELS) else "softest"
    elif condition == Condition.GEOFENCE:
        zone = int(row.value[0]) if isfinite(row.value[0]) else 0
        said["place"] = parameters.zone_name(zone) or "service area"
    elif condition == Condition.UNRENTABLE_BATTERY:
        said["charge"] = "swap its battery" if parameters.can_swap(row.vehicle_model) else "bring it to a charger"
    elif condition == Condition.SENSOR:
        said["untrue"] = _untrue(row.value[0], row.value[1], row.value[2])
    elif condition == Condition.MISSING:
        said["silent_h"] = _Measured(row.value[0] / 3600)
    return Judgement(rule, severity, rule.reason.format(**said), component, work_severity, work.task.format(**said) if work else "")
