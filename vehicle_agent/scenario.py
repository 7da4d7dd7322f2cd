"""Which vehicles get which faults, and when. A scenario is a list of entries and a seed; it makes the fault table of faults.py.

`mixed` is the demo's: within ten minutes of the deployment's clock everything that Fleetpulse can notice has happened, and every kind of
bad input was sent. It goes on in rounds of half an hour with other vehicles.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fleetpulse.config.fleet import City, Fleet, Zone
from fleetpulse.config.settings import ConfigError
from fleetpulse.vehicle_agent import specs, streets, vehicles
from fleetpulse.vehicle_agent.faults import Fault, Planned, table

Who = Literal["any", "two_wheels", "four_wheels"]
ROUND_S = 1800


@dataclass(frozen=True)
class Entry:
    """One fault for some vehicles of each round.

    least, share  vehicles: max(least, share x V)
    start_s       begins within this range of seconds of the round
    duration_s    how long
    values        of the fault; a pair is a range to draw from
    ride_s        > 0: the vehicle is sent on a ride this long before the fault ...
    ride_for_s    ... until this long after its begin, at most until its end
    once          only in the first round
    """

    kind: Fault
    duration_s: float
    values: tuple[float | tuple[float, float], ...] = ()
    start_s: tuple[float, float] = (30.0, 240.0)
    least: int = 1
    share: float = 0.002
    who: Who = "any"
    ride_s: float = 0.0
    ride_for_s: float = 86_400.0
    once: bool = False


@dataclass(frozen=True)
class Scenario:
    """A name and its entries."""

    name: str
    entries: tuple[Entry, ...]

    def faults(self, fleet: Fleet, vehicle_count: int, seed: int, start_ms: int, *, hours: float = 12.0) -> NDArray[Any]:
        """(F,) FAULT rows for this fleet, over the next `hours`. Each vehicle gets one fault a round, while there are enough of them."""
        if not self.entries:
            return table(())
        rng = np.random.Generator(np.random.PCG64([seed, 0xF1EE7]))
        born = vehicles.populate(vehicle_count, seed=seed, fleet=fleet, specs=specs.build(fleet), streets_map=streets.build(fleet))
        wheels = np.array([model.wheels if model else 0 for model in fleet.models])[born["model"]]
        planned: list[Planned] = []
        for number in range(max(1, round(hours * 3600 / ROUND_S))):
            order = rng.permutation(vehicle_count)
            free = {"any": order, "two_wheels": order[wheels[order] == 2], "four_wheels": order[wheels[order] == 4]}
            used: set[int] = set()
            for entry in self.entries:
                if entry.once and number > 0:
                    continue
                pool = [int(v) for v in free[entry.who] if int(v) not in used] or [int(v) for v in free[entry.who]]
                for v in pool[: max(entry.least, round(entry.share * vehicle_count))]:
                    used.add(v)
                    planned += _plan(entry, v, start_ms + number * ROUND_S * 1000, rng, fleet, born[v])
        return table(planned)


def _plan(entry: Entry, v: int, round_ms: int, rng: np.random.Generator, fleet: Fleet, born: Any) -> list[Planned]:
    start_ms = round_ms + int(rng.uniform(*entry.start_s) * 1000)
    end_ms = start_ms + int(entry.duration_s * 1000)
    values = tuple(float(rng.uniform(*value)) if isinstance(value, tuple) else value for value in entry.values)
    if entry.kind == Fault.GEOFENCE:
        city = fleet.cities[int(born["city"])]
        model = fleet.models[int(born["model"])]
        assert city is not None
        assert model is not None
        zone = forbidden(city, model.vehicle_type, rng)
        if zone is None:
            return []
        values = middle(zone)
    planned = [Planned(v, entry.kind, start_ms, end_ms, values)]
    if entry.ride_s > 0:
        ride_end_ms = min(end_ms, start_ms + int(entry.ride_for_s * 1000))
        planned.append(Planned(v, Fault.RIDE, start_ms - int(entry.ride_s * 1000), ride_end_ms))
    return planned


def forbidden(city: City, vehicle_type: str, rng: np.random.Generator) -> Zone | None:
    """One of the zones where vehicles of this type may not be; None when there is none."""
    zones = [z for z in city.zones if z.kind == "no_go" and (not z.vehicle_types or vehicle_type in z.vehicle_types)]
    return zones[int(rng.integers(len(zones)))] if zones else None


def middle(zone: Zone) -> tuple[float, float]:
    """(longitude_deg, latitude_deg) of a zone's middle."""
    ring = np.array(zone.ring[:-1])
    longitude, latitude = ring.mean(axis=0)
    return float(longitude), float(latitude)


_TWO: Who = "two_wheels"
_FOUR: Who = "four_wheels"
_DAY_S = 86_400.0
_HOUR_MS = 3_600_000.0
_VEHICLE_FAULTS = (
    Entry(Fault.LOW_BATTERY, 3600, ((11.0, 14.0),), (0, 1), least=4, share=0.012, once=True),
    Entry(Fault.LOW_BATTERY, 3600, ((5.0, 8.0),), (0, 1), least=1, share=0.004, once=True),
    Entry(Fault.LOW_BATTERY, 3600, ((15.2, 15.6),), (0, 1), share=0.004, who=_TWO, ride_s=1, ride_for_s=240, once=True),
    Entry(Fault.LOW_BATTERY, 3600, ((10.2, 10.6),), (0, 1), share=0.004, who=_TWO, ride_s=1, ride_for_s=240, once=True),
    Entry(Fault.LOW_BATTERY, 60, ((12.0, 14.0),), (0, 1), least=2, share=0.006, who=_TWO, once=True),
    Entry(Fault.CRASH, 300, (0.0,), (60, 180), least=1, share=0.004, who=_TWO, ride_s=60),
    Entry(Fault.CRASH, 300, (0.0,), (90, 180), who=_FOUR, ride_s=90),
    Entry(Fault.TIP_OVER, 300, ((75.0, 88.0),), (20, 200), share=0.004, who=_TWO),
    Entry(Fault.THEFT, 240, ((3.5, 6.0), 1.0), (30, 200), who=_TWO),
    Entry(Fault.THEFT, 240, ((3.5, 6.0), 0.0), (30, 200), who=_TWO),
    Entry(Fault.TYRE_LEAK, 900, (0.0, 70.0), (20, 100), who=_TWO),
    Entry(Fault.TYRE_LEAK, 900, (1.0, 60.0), (20, 100)),
    Entry(Fault.TYRE_LEAK, 1500, (1.0, 4.0), (20, 240)),
    Entry(Fault.GEOFENCE, 480, (0.0, 0.0), (10, 60), share=0.004, ride_s=1),
    Entry(Fault.OVER_TEMPERATURE, 400, ((0.25, 0.35),), (20, 120), who=_TWO),
    Entry(Fault.DRAIN_PARKED, 1200, ((70.0, 110.0),), who=_TWO),
    Entry(Fault.DRAIN_PARKED, 1200, ((1200.0, 2000.0),), who=_FOUR),
    Entry(Fault.DRAIN_RIDING, 900, ((1.9, 2.6),), ride_s=30),
    Entry(Fault.DEAD_CELL, 1200, (3.0, 0.15), who=_TWO, ride_s=20),
    Entry(Fault.DEAD_CELL, 1200, (30.0, 0.1), who=_FOUR, ride_s=20),
    Entry(Fault.BEARING_VIBRATION, 900, (0.4, 1.0), ride_s=30),
    Entry(Fault.GPS_STUCK, 480, (), ride_s=30),
    Entry(Fault.GPS_TELEPORT, 480, (20.0, (2000.0, 9000.0)), ride_s=30),
    Entry(Fault.FROZEN_SOC, 1200, (), ride_s=30),
    Entry(Fault.FAULT_CODE, 600, (4.0,)),
    Entry(Fault.CLOCK_SKEW, 1200, (90_000.0,)),
    Entry(Fault.CLOCK_SKEW, 1200, (-90_000.0,)),
    Entry(Fault.OFFLINE, 660, (), (15, 40)),
    Entry(Fault.OFFLINE, 150, (), (60, 240), share=0.006, ride_s=30),
    Entry(Fault.DUPLICATES, 600, (0.3,)),
    Entry(Fault.REORDERING, 600, (5.0,), ride_s=10),
    Entry(Fault.REBOOT, 20),
)
_BAD_INPUT = (
    Entry(Fault.IMPOSSIBLE_VALUES, 900, (5.0,), (20, 60)),
    Entry(Fault.CLOCK_AHEAD, 60, (_HOUR_MS,)),
    Entry(Fault.CLOCK_BEHIND, 60, (-30 * 24 * _HOUR_MS,)),
    Entry(Fault.UNKNOWN_MODEL, 300, (99.0,)),
    Entry(Fault.GARBAGE, 900, (15.0,), (10, 60)),
    Entry(Fault.TRUNCATED, 900, (30.0,), (10, 60)),
    Entry(Fault.OVERSIZE, 301, (300.0,), (60, 120)),
    Entry(Fault.WRONG_ID_LENGTH, 900, (30.0,), (10, 60)),
    Entry(Fault.JSON_FIRMWARE, _DAY_S, (), (0, 0.001), share=0.01, once=True),
)
SCENARIOS = {
    scenario.name: scenario
    for scenario in (Scenario("calm", ()), Scenario("faults", _VEHICLE_FAULTS), Scenario("mixed", (*_VEHICLE_FAULTS, *_BAD_INPUT)))
}


def named(name: str) -> Scenario:
    """The scenario of this name. Raises ConfigError."""
    if name not in SCENARIOS:
        raise ConfigError(f"a scenario must be one of {', '.join(SCENARIOS)}; got {name!r}")
    return SCENARIOS[name]
