"""What is tried on the simulated fleet: each kind of fault, its strength, and which rules must find it. Data only.

Two sets of strengths: `tuning` may be looked at while thresholds are chosen, `evaluation` is what is reported. They overlap nowhere at
both ends, have seeds of their own (SEEDS), and are drawn anew for each vehicle.
"""

from dataclasses import dataclass
from typing import Literal

from fleetpulse.vehicle_agent.faults import Fault
from fleetpulse.vehicle_agent.impacts import Impact

Who = Literal["any", "two_wheels", "four_wheels"]
Range = tuple[float, float]
Run = Literal["days", "weeks"]
HOUR_S = 3600.0
DAY_S = 86_400.0

SEEDS: dict[str, tuple[int, ...]] = {"evaluation": (1001, 1002, 1003, 1004, 1005), "tuning": (11, 12, 13, 14, 15)}
"""First seeds of each set; `--seed` shifts them."""


@dataclass(frozen=True)
class Case:
    """One kind.

    name        in the report
    rules       an alert or a maintenance of one of them finds it; none: nothing may be raised
    values      of the fault, for evaluation: each a range to draw from
    tuning      the same for tuning
    duration_s  how long, a range
    also        rules of true consequences, which count neither way
    after_s     an alarm may come this long after the fault's end
    ride_s      > 0: sent on a ride this long before
    ride_for_s  and kept riding until this long after the begin
    once        a second alarm for the same fault is a false one at any time, else within REPEAT_S
    share       vehicles, as a multiple of the run's usual number
    """

    name: str
    fault: Fault
    rules: frozenset[str]
    values: tuple[Range, ...] = ()
    tuning: tuple[Range, ...] = ()
    duration_s: Range = (HOUR_S, HOUR_S)
    also: frozenset[str] = frozenset()
    after_s: float = 600.0
    who: Who = "any"
    ride_s: float = 0.0
    ride_for_s: float = 0.0
    once: bool = False
    run: Run = "days"
    share: float = 1.0

    @property
    def negative(self) -> bool:
        return not self.rules

    def strengths(self, which: str) -> tuple[Range, ...]:
        return self.tuning if which == "tuning" else self.values


def _rules(*names: str) -> frozenset[str]:
    return frozenset(names)


_DRAIN = _rules("battery_drain")
_SENSOR = _rules("sensor")
_FALLS = _rules("tipped", "theft", "tamper")
_LOW = _rules("low_battery", "unrentable_battery")
_TWO: Who = "two_wheels"
_FOUR: Who = "four_wheels"
_KERB, _STAIRS, _DROP, _BROKEN = (float(kind) for kind in (Impact.KERB, Impact.STAIRS, Impact.DROP, Impact.BROKEN_SENSOR))


def _is(value: float) -> Range:
    return value, value


CASES: tuple[Case, ...] = (
    Case("drain_parked", Fault.DRAIN_PARKED, _DRAIN, ((8, 40),), ((12, 60),), (8 * HOUR_S, 24 * HOUR_S), _LOW, who=_TWO, share=0.5),
    Case("drain_parked", Fault.DRAIN_PARKED, _DRAIN, ((350, 900),), ((300, 1200),), (14 * HOUR_S, 24 * HOUR_S), _LOW, who=_FOUR, share=0.5),
    Case("drain_riding", Fault.DRAIN_RIDING, _DRAIN, ((1.7, 2.3),), ((1.8, 2.6),), (20 * HOUR_S, 30 * HOUR_S), _LOW | {"voltage_sag"}),
    Case(
        "dead_cell",
        Fault.DEAD_CELL,
        _rules("voltage_sag", "battery_drain"),
        ((2, 3), (0.1, 0.25)),
        ((3, 3), (0.15, 0.3)),
        (20 * HOUR_S, 30 * HOUR_S),
        _LOW,
        who=_TWO,
    ),
    Case(
        "bearing_vibration",
        Fault.BEARING_VIBRATION,
        _rules("vibration"),
        ((0.3, 0.6), (0.6, 1.1)),
        ((0.4, 0.6), (0.8, 1.2)),
        (20 * HOUR_S, 30 * HOUR_S),
    ),
    Case(
        "over_temperature",
        Fault.OVER_TEMPERATURE,
        _rules("over_temperature"),
        ((0.03, 0.3),),
        ((0.05, 0.35),),
        (0.7 * HOUR_S, 1.5 * HOUR_S),
    ),
    Case(
        "tyre_leak_fast",
        Fault.TYRE_LEAK,
        _rules("tyre_pressure", "tyre_forecast"),
        ((0, 1), (2, 40)),
        ((0, 1), (4, 70)),
        (2 * HOUR_S, 4 * HOUR_S),
    ),
    Case("crash", Fault.CRASH, _rules("crash"), (_is(0.0),), (_is(0.0),), _is(600.0), _FALLS, ride_s=90, ride_for_s=300),
    Case("tip_over", Fault.TIP_OVER, _rules("tipped"), ((68, 89),), ((75, 88),), (900, 3000), who=_TWO),
    Case(
        "theft",
        Fault.THEFT,
        _rules("theft", "tamper"),
        ((2.2, 6.5), (0, 1)),
        ((3.5, 6.0), (0, 1)),
        (300, 900),
        _rules("geofence"),
        who=_TWO,
    ),
    Case("gps_stuck", Fault.GPS_STUCK, _SENSOR, (), (), (3 * HOUR_S, 8 * HOUR_S), ride_s=60, ride_for_s=1200),
    Case(
        "gps_teleport",
        Fault.GPS_TELEPORT,
        _SENSOR,
        ((15, 90), (800, 12_000)),
        ((20, 60), (2000, 9000)),
        (HOUR_S, 4 * HOUR_S),
        ride_s=60,
        ride_for_s=1200,
    ),
    Case("clock_skew", Fault.CLOCK_SKEW, _SENSOR, ((45_000, 280_000),), ((60_000, 240_000),), (3 * HOUR_S, 9 * HOUR_S), share=0.5),
    Case("clock_skew", Fault.CLOCK_SKEW, _SENSOR, ((-1_800_000, -45_000),), ((-900_000, -60_000),), (3 * HOUR_S, 9 * HOUR_S), share=0.5),
    Case("frozen_soc", Fault.FROZEN_SOC, _SENSOR, (), (), (6 * HOUR_S, 14 * HOUR_S), ride_s=60, ride_for_s=1800),
    Case("jumping_soc", Fault.JUMPING_SOC, _SENSOR, ((30, 300), (15, 60)), ((60, 300), (20, 60)), (3 * HOUR_S, 8 * HOUR_S)),
    Case("impossible_values", Fault.IMPOSSIBLE_VALUES, _SENSOR, (_is(1.0),), (_is(1.0),), (HOUR_S, 4 * HOUR_S)),
    Case("offline", Fault.OFFLINE, _rules("offline"), (), (), (HOUR_S, 5 * HOUR_S)),
    Case("low_battery", Fault.LOW_BATTERY, _rules("low_battery"), ((3, 14),), ((5, 14),), (2 * HOUR_S, 6 * HOUR_S), _LOW | _DRAIN),
    Case(
        "geofence",
        Fault.GEOFENCE,
        _rules("geofence"),
        ((0, 0), (0, 0)),
        ((0, 0), (0, 0)),
        (2400, 3600),
        who=_TWO,
        ride_s=1,
        ride_for_s=3600,
        share=0.5,
    ),
    Case("geofence_border", Fault.BORDER, _rules("geofence"), ((0, 0), (0, 0), (6, 12)), ((0, 0), (0, 0), (5, 10)), who=_TWO, once=True),
    Case("fault_code", Fault.FAULT_CODE, _rules("fault_code"), ((1, 1000),), ((1, 1000),), (HOUR_S, 5 * HOUR_S)),
    # nothing may be raised
    Case("preheating", Fault.PREHEATING, frozenset(), ((1500, 4500),), ((1500, 4000),), (480, 1500), who=_FOUR, ride_s=-1, ride_for_s=1800),
    Case("coverage_gap", Fault.OFFLINE, frozenset(), (), (), (100, 400)),
    Case("kerb", Fault.KNOCK, frozenset(), (_is(_KERB), (40, 120)), (_is(_KERB), (40, 110)), _is(600), ride_s=60, ride_for_s=300),
    Case(
        "stairs",
        Fault.KNOCK,
        frozenset(),
        (_is(_STAIRS), (30, 100)),
        (_is(_STAIRS), (30, 90)),
        _is(600),
        who=_TWO,
        ride_s=60,
        ride_for_s=300,
    ),
    Case("dropped", Fault.KNOCK, frozenset(), (_is(_DROP), (50, 180)), (_is(_DROP), (50, 160)), _is(3600), who=_TWO),
    Case("broken_accelerometer", Fault.KNOCK, frozenset(), (_is(_BROKEN), (0, 0)), (_is(_BROKEN), (0, 0)), _is(1800), _rules("sensor")),
    # slow ones
    Case(
        "tyre_leak_slow",
        Fault.TYRE_LEAK,
        _rules("tyre_pressure", "tyre_forecast"),
        ((0, 1), (0.006, 0.02)),
        ((0, 1), (0.008, 0.03)),
        _is(10 * DAY_S),
        run="weeks",
    ),
    Case(
        "ageing",
        Fault.AGEING,
        _rules("battery_life", "battery_rul"),
        ((74, 84), (0.25, 0.8)),
        ((74, 82), (0.3, 1.0)),
        _is(12 * DAY_S),
        after_s=DAY_S,  # it stops ageing, and is as worn as it was
        run="weeks",
        who=_FOUR,
    ),
)
AREA_OUTAGE, OWN_OUTAGE = "area_outage", "own_outage"
AREA_RULES = _rules("area_outage", "offline_area", "outage")
REPEAT_S = HOUR_S
PRECISION = RECALL = 0.95
FALSE_PER_1000_DAYS = 1.0
LEAST_DAYS = 3000.0
"""What is wanted of all kinds together, on so many vehicle-days of the faultless."""
