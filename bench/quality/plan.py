"""Cases to a fault table: which vehicle gets what, when, how strong. One case a vehicle; the rest are free of faults. Seeded."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from fleetpulse.bench.quality.cases import CASES, DAY_S, Case, Run
from fleetpulse.config.fleet import Fleet
from fleetpulse.vehicle_agent import scenario, specs, streets, vehicles
from fleetpulse.vehicle_agent.faults import Fault, Planned, table
from fleetpulse.vehicle_agent.simulator import Cadence

_DEPTH_M = 30.0
_M_PER_DEG = 111_320.0
_TAIL_S = 3 * 3600.0
"""Nothing begins so late that its end, and this much more, is not seen."""
_LONGEST_SHARE = 0.6
_SMALLEST = 2


@dataclass(frozen=True)
class Size:
    """Of one run: vehicles free of faults, vehicles a case, days, when the first fault may begin, and how often vehicles report."""

    free: int
    each: int
    days: float
    warm_s: float
    cadence: Cadence


SIZES: dict[Run, Size] = {
    "days": Size(650, 20, 3.0, DAY_S, Cadence(ride_ms=5000, idle_s=120, sleep_s=240)),
    "weeks": Size(80, 40, 20.0, 4 * DAY_S, Cadence(ride_ms=10_000, idle_s=300, sleep_s=300)),
}


@dataclass
class Plan:
    """cases: vehicle -> its case; every vehicle below `vehicles` that is not in it is free of faults."""

    run: Run
    seed: int
    vehicles: int
    start_ms: int
    end_ms: int
    faults: NDArray[Any]
    cases: dict[int, Case] = field(default_factory=dict)


def make(fleet: Fleet, run: Run, *, seed: int, which: str, start_ms: int, scale: float = 1.0) -> Plan:
    """The run's plan for one seed. `which`: evaluation or tuning."""
    size = SIZES[run]
    end_ms = start_ms + int(size.days * DAY_S) * 1000
    wanted = [(case, max(_SMALLEST, round(size.each * case.share * scale))) for case in CASES if case.run == run]
    count = sum(n for _, n in wanted) + max(20, round(size.free * scale))
    born = vehicles.populate(count, seed=seed, fleet=fleet, specs=specs.build(fleet), streets_map=streets.build(fleet))
    wheels = np.array([model.wheels if model else 0 for model in fleet.models])[born["model"]]
    rng = np.random.Generator(np.random.PCG64([seed, 0x9A11]))
    order = rng.permutation(count)
    plan = Plan(run, seed, count, start_ms, end_ms, table(()))
    planned: list[Planned] = []
    for case, n in sorted(wanted, key=lambda pair: pair[0].who == "any"):  # the choosy ones first
        fits = {"any": wheels > 0, "two_wheels": wheels == 2, "four_wheels": wheels == 4}[case.who]
        pool = [int(v) for v in order if fits[v] and int(v) not in plan.cases]
        for v in pool[:n]:
            rows = _planned(case, v, plan, size, rng, fleet, born[v], which)
            if rows:
                planned += rows
                plan.cases[v] = case
    plan.faults = table(planned)
    return plan


def _planned(case: Case, v: int, plan: Plan, size: Size, rng: np.random.Generator, fleet: Fleet, born: Any, which: str) -> list[Planned]:
    values = tuple(float(rng.uniform(*pair)) for pair in case.strengths(which))
    whole_s = (plan.end_ms - plan.start_ms) / 1000
    length_s = min(float(rng.uniform(*case.duration_s)), _LONGEST_SHARE * whole_s)
    latest_s = max(0.0, whole_s - length_s - _TAIL_S)
    begin_ms = plan.start_ms + int(1000 * rng.uniform(min(size.warm_s, latest_s), latest_s))
    end_ms = begin_ms + int(length_s * 1000)
    if case.fault in (Fault.GEOFENCE, Fault.BORDER):
        place = _place(fleet, born, rng, edge=case.fault == Fault.BORDER)
        if place is None:
            return []
        values = (*place, *values[2:])
    elif case.fault in (Fault.TYRE_LEAK, Fault.THEFT):
        first = float(round(values[0]))
        values = (first, values[1]) if case.fault == Fault.TYRE_LEAK else (values[0], float(round(values[1])))
    elif case.fault == Fault.FAULT_CODE:
        values = (float(1 << int(rng.integers(40))),)
    if case.fault == Fault.BORDER:
        begin_ms, end_ms = plan.start_ms, plan.end_ms
        return [Planned(v, Fault.BORDER, begin_ms, end_ms, values), Planned(v, Fault.STAND, begin_ms, end_ms)]
    rows = [Planned(v, case.fault, begin_ms, end_ms, values)]
    if case.ride_s > 0:
        rows.append(Planned(v, Fault.RIDE, begin_ms - int(case.ride_s * 1000), begin_ms + int(case.ride_for_s * 1000)))
    elif case.ride_s < 0:  # after it
        rows.append(Planned(v, Fault.RIDE, end_ms, end_ms + int(case.ride_for_s * 1000)))
    return rows


def _place(fleet: Fleet, born: Any, rng: np.random.Generator, *, edge: bool) -> tuple[float, float] | None:
    """(longitude, latitude) in the middle of a zone where the vehicle may not be, or a little inside its edge; None: there is no zone."""
    city, model = fleet.cities[int(born["city"])], fleet.models[int(born["model"])]
    assert city is not None, "vehicles are born in cities"
    assert model is not None, "vehicles have a model"
    zone = scenario.forbidden(city, model.vehicle_type, rng)
    if zone is None:
        return None
    if not edge:
        return scenario.middle(zone)
    stretch = np.array([np.cos(np.radians(city.centre_latitude_deg)), 1.0]) * _M_PER_DEG
    inner = shapely.Polygon(np.array(zone.ring) * stretch).buffer(-_DEPTH_M)
    if inner.is_empty or not isinstance(inner, shapely.Polygon):
        return None
    point = inner.exterior.interpolate(float(rng.uniform()), normalized=True)
    longitude, latitude = np.array([point.x, point.y]) / stretch
    return float(longitude), float(latitude)
