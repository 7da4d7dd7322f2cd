"""Plays a plan: simulated fleet, uplink, `vehicle-telemetry`; and says what was true. Only the simulator's clock counts."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
import shapely
from numpy.typing import NDArray

from fleetpulse.bench.quality.cases import AREA_OUTAGE, Case
from fleetpulse.bench.quality.plan import SIZES, Plan
from fleetpulse.bench.quality.uplink import Span, Uplink
from fleetpulse.bench.topic import Filler
from fleetpulse.codecs.schema import Status, empty
from fleetpulse.config.fleet import Fleet
from fleetpulse.flows.topics import TELEMETRY
from fleetpulse.vehicle_agent import streets
from fleetpulse.vehicle_agent.faults import Fault
from fleetpulse.vehicle_agent.simulator import Simulator

_STEP_MS = 1_800_000
_HOUR_MS = 3_600_000
_LAST_MS = 120_000
"""After the last frame, ticks go on so long."""
_OWN_OUTAGE = (62.0, 62.4)
_AREA_OUTAGES = ((34.0, 35.5), (58.5, 59.5))
"""Hours after the start, of runs that last as long."""
_AREA_M = 1_000.0
_LOW_PCT, _CLEAR_PCT = 15.0, 20.0
_LEAP_S, _LEAST_LEAPS = 2, 3
"""A leap of the position lasts so long; in so many frames it must show to be a fault of the sense."""
_CHARGING = int(Status.CHARGING)


@dataclass(frozen=True)
class Label:
    """What was wrong, from when to when. `device`: empty for an area; `members`: of an area."""

    case: Case
    device: str
    start_ms: int
    end_ms: int
    members: frozenset[str] = frozenset()
    area: str = ""


@dataclass
class Truth:
    """What a run really held.

    labels     of planned cases that showed
    low        device -> spans with little charge, whoever caused it
    free       devices without any planned fault
    outages    of areas
    down       spans of our own outage
    stories    device -> its FRAME rows, of one vehicle of each case
    """

    vehicle_days: float
    devices: list[str]
    free: frozenset[str]
    labels: list[Label] = field(default_factory=list)
    low: dict[str, list[Span]] = field(default_factory=dict)
    outages: list[Label] = field(default_factory=list)
    down: list[Span] = field(default_factory=list)
    frames: int = 0
    stories: dict[str, NDArray[Any]] = field(default_factory=dict)


def fill(address: str, fleet: Fleet, plan: Plan, *, partitions: int, say: Callable[[str], None]) -> Truth:
    """Write the whole history of a plan to the topic; returns when Kafka has it."""
    simulator = Simulator(fleet, plan.vehicles, plan.seed, plan.start_ms, plan.faults, cadence=SIZES[plan.run].cadence)
    ids = _ids(simulator.vehicles)
    devices = [str(UUID(bytes=device_id)) for device_id in ids]
    uplink = Uplink(ids, simulator.faults, partitions=partitions, seed=plan.seed, start_ms=plan.start_ms)
    free = frozenset(name for v, name in enumerate(devices) if v not in plan.cases)
    truth = Truth(len(free) * (plan.end_ms - plan.start_ms) / 86_400_000, devices, free)
    outages = _outages(plan)
    if (down := _span(plan, *_OWN_OUTAGE)) is not None:
        truth.down.append(down)
        uplink.stop_bridge(down)
    low, visits, leaps = _Low(plan.vehicles), _Visits(fleet, simulator, plan), _Leaps(simulator.faults)
    shown = {case.name: v for v, case in sorted(plan.cases.items(), reverse=True)}
    stories: dict[int, list[NDArray[Any]]] = {v: [] for v in shown.values()}
    filler = Filler(address, TELEMETRY)
    now_ms = plan.start_ms
    while now_ms < plan.end_ms:
        for city, span in outages:
            if now_ms <= span.start_ms < now_ms + _STEP_MS and city < len(fleet.cities):
                members = _crowd(simulator, fleet, city)
                uplink.silence(members, span)
                truth.outages.append(_outage(fleet, city, span, frozenset(devices[v] for v in members)))
        now_ms = min(plan.end_ms, now_ms + _STEP_MS)
        frames = simulator.step(now_ms)
        truth.frames += len(frames)
        low.look(frames)
        visits.look(frames)
        leaps.look(frames)
        for v, parts in stories.items():
            parts.append(frames[frames["offset"] == v])
        filler.write(uplink.send(frames, now_ms).records())
    filler.write(uplink.send(empty(0), plan.end_ms + _LAST_MS).records())
    filler.settle()
    liars = {v for v, case in plan.cases.items() if case.fault in (Fault.FROZEN_SOC, Fault.JUMPING_SOC, Fault.IMPOSSIBLE_VALUES)}
    spans = {v: _honest(simulator.faults, v, found) if v in liars else found for v, found in low.spans(plan.end_ms).items()}
    truth.low = {devices[v]: found for v, found in spans.items() if found}
    truth.stories = {devices[v]: np.concatenate(parts) for v, parts in stories.items()}
    truth.labels = _labels(simulator.faults, plan, devices, visits, leaps)
    say(f"{plan.run} seed {plan.seed}: {plan.vehicles} vehicles, {truth.frames:,} frames, {len(truth.labels)} labels")
    return truth


def _ids(born: NDArray[Any]) -> list[bytes]:
    halves = zip(born["device_hi"].tolist(), born["device_lo"].tolist(), strict=True)
    return [(hi << 64 | lo).to_bytes(16, "big") for hi, lo in halves]


def _span(plan: Plan, begin_h: float, end_h: float) -> Span | None:
    span = Span(plan.start_ms + int(begin_h * _HOUR_MS), plan.start_ms + int(end_h * _HOUR_MS))
    return span if plan.run == "days" and span.end_ms + _HOUR_MS < plan.end_ms else None


def _outages(plan: Plan) -> list[tuple[int, Span]]:
    """(city, span) of areas without radio."""
    spans = [_span(plan, *hours) for hours in _AREA_OUTAGES]
    return [(1 + k, span) for k, span in enumerate(spans) if span is not None]


def _outage(fleet: Fleet, city: int, span: Span, members: frozenset[str]) -> Label:
    case = Case(AREA_OUTAGE, Fault.OFFLINE, frozenset())
    return Label(case, "", span.start_ms, span.end_ms, members, fleet.city_names[city])


def _crowd(simulator: Simulator, fleet: Fleet, city: int) -> NDArray[np.int64]:
    """The vehicles within _AREA_M of the place of a city where most stand."""
    rec = simulator.vehicles
    row = streets.build(fleet).cities[city]
    east = ((rec["i"] - row["half"]) * row["cos"] - (rec["j"] - row["half"]) * row["sin"]) * streets.SPACING_M
    north = ((rec["i"] - row["half"]) * row["sin"] + (rec["j"] - row["half"]) * row["cos"]) * streets.SPACING_M
    own = np.flatnonzero(rec["city"] == city)
    if not len(own):
        return own
    near: NDArray[np.bool_] = np.hypot(east[own][:, None] - east[own], north[own][:, None] - north[own]) <= _AREA_M
    crowd: NDArray[np.int64] = own[near[np.argmax(near.sum(axis=0))]]
    return crowd


def _honest(faults: NDArray[Any], v: int, low: list[Span]) -> list[Span]:
    """The spans that begin while nothing is wrong with what the vehicle says of its charge."""
    own = faults[(faults["vehicle"] == v) & np.isin(faults["kind"], (Fault.FROZEN_SOC, Fault.JUMPING_SOC, Fault.IMPOSSIBLE_VALUES))]
    return [span for span in low if not ((own["start_ms"] <= span.start_ms) & (span.start_ms < own["end_ms"])).any()]


class _Low:
    """When vehicles have little charge, from their frames: begins below 15 % without charging, ends with charging or at 20 %."""

    def __init__(self, vehicles: int) -> None:
        self._since = np.zeros(vehicles, dtype=np.int64)
        self._spans: dict[int, list[Span]] = {}

    def look(self, frames: NDArray[Any]) -> None:
        soc, charging = frames["battery_soc_pct"], (frames["status"] & _CHARGING) != 0
        low = (soc < _LOW_PCT) & ~charging
        clear = (soc >= _CLEAR_PCT) | charging
        open_ = (self._since[frames["offset"]] > 0) | np.isin(frames["offset"], frames["offset"][low])
        rows = np.flatnonzero(low | (clear & open_))
        for v, at_ms, bad in zip(frames["offset"][rows].tolist(), frames["append_ms"][rows].tolist(), low[rows].tolist(), strict=True):
            since = int(self._since[v])
            if bad and not since:
                self._since[v] = at_ms
            elif since and not bad:
                self._spans.setdefault(v, []).append(Span(since, at_ms))
                self._since[v] = 0

    def spans(self, end_ms: int) -> dict[int, list[Span]]:
        for v in np.flatnonzero(self._since):
            self._spans.setdefault(int(v), []).append(Span(int(self._since[v]), end_ms))
        return self._spans


class _Visits:
    """When vehicles that were sent into a zone were really in it, from their frames."""

    def __init__(self, fleet: Fleet, simulator: Simulator, plan: Plan) -> None:
        self._areas: dict[int, Any] = {}
        self.spans: dict[int, Span] = {}
        for v, case in plan.cases.items():
            if case.fault == Fault.GEOFENCE:
                city, model = fleet.cities[int(simulator.vehicles["city"][v])], fleet.models[int(simulator.vehicles["model"][v])]
                assert city is not None, "vehicles are born in cities"
                assert model is not None, "vehicles have a model"
                fits = [z for z in city.zones if z.kind == "no_go" and (not z.vehicle_types or model.vehicle_type in z.vehicle_types)]
                self._areas[v] = shapely.unary_union([shapely.Polygon(z.ring) for z in fits])

    def look(self, frames: NDArray[Any]) -> None:
        for v, area in self._areas.items():
            own = frames[frames["offset"] == v]
            inside = own["append_ms"][shapely.contains_xy(area, own["longitude_e7"] / 1e7, own["latitude_e7"] / 1e7)]
            if len(inside):
                before = self.spans.get(v, Span(int(inside[0]), 0))
                self.spans[v] = Span(before.start_ms, int(inside[-1]))


class _Leaps:
    """How often a position that leaps for two seconds at a time was in a frame: a vehicle that reports every five may show none of it."""

    def __init__(self, faults: NDArray[Any]) -> None:
        self._rows = {int(row["vehicle"]): row for row in faults if row["kind"] == Fault.GPS_TELEPORT}
        self.shown = dict.fromkeys(self._rows, 0)

    def look(self, frames: NDArray[Any]) -> None:
        for v, row in self._rows.items():
            made_ms = frames["append_ms"][frames["offset"] == v]
            within = made_ms[(made_ms >= row["start_ms"]) & (made_ms < row["end_ms"])]
            age_s = within // 1000 - row["start_ms"] // 1000
            self.shown[v] += int((age_s % max(1, int(row["a"])) < _LEAP_S).sum())


def _labels(faults: NDArray[Any], plan: Plan, devices: list[str], visits: _Visits, leaps: _Leaps) -> list[Label]:
    """Of every case that showed."""
    found = []
    for v, case in plan.cases.items():
        row = faults[(faults["vehicle"] == v) & (faults["kind"] == case.fault)][0]
        span = visits.spans.get(v) if case.fault == Fault.GEOFENCE else Span(int(row["began_ms"]), int(row["ended_ms"]))
        if span is not None and span.start_ms > 0 and leaps.shown.get(v, _LEAST_LEAPS) >= _LEAST_LEAPS:
            found.append(Label(case, devices[v], span.start_ms, span.end_ms))
    return found
