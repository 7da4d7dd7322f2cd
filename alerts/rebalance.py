"""What to do in a city after an interval: vehicles to move, batteries to swap, clusters of empty ones. Decisions; pure.

All inputs are integer sums and candidates in the order (cell, device id), so the events depend on what was counted and not on
the order in which shards reported it. They name no offsets of fleet.zones: those differ from run to run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from fleetpulse.alerts import event, moves, swaps
from fleetpulse.alerts.clusters import Clusters
from fleetpulse.alerts.event import Event
from fleetpulse.alerts.moves import Lack, Move
from fleetpulse.alerts.states import VehicleState
from fleetpulse.alerts.swaps import Swap
from fleetpulse.models import store
from fleetpulse.models.demand import DemandModel

VERSION = "1"
TRIPS_ROW = 255
"""vehicle_state of tables.ZONE rows that count trips."""
LOW_BAND = 0
"""charge_band of vehicles below 20 %."""
MOVE_CHARGE_PCT, RIDER_CHARGE_PCT = 30.0, 40.0
"""Least charge of a vehicle that is moved, and of one that a rider is asked to move."""
LEAST_FORECAST = 0.2
"""A cell where fewer trips are expected wants no vehicle."""
MOVE_INTERVALS, SWAP_INTERVALS = 2, 4
"""Intervals for which a recommendation holds."""
GROUPS = ("scooters and eBikes", "cars and vans")
"""Vehicles that stand in for one another; a car does not help where scooters lack."""
_MAGIC, _VERSION = b"CITY", 1

Key = tuple[int, int]
Kind = Literal["move", "swap"]


@dataclass(frozen=True)
class RebalanceParameters:
    """groups     place in GROUPS by vehicle-model code
    swappable  whether the battery can be swapped, by vehicle-model code
    """

    interval_ms: int
    season_intervals: int
    max_move_m: float
    target_supply_min: int
    incentive_min_eur: float
    incentive_max_eur: float
    cluster_low_battery: int
    groups: tuple[int, ...]
    swappable: tuple[bool, ...]


@dataclass(frozen=True)
class Reservation:
    """A vehicle that was recommended: not again before it expires. cell: where it was to go (0: a swap, it stays)."""

    cell: int
    group: int
    expires_ms: int


@dataclass(frozen=True)
class _Now:
    """The city at the end of an interval.

    devices   id halves of each candidate
    groups    group of each candidate
    free      whether it stands on no list that still holds
    supply    (cell, group) -> rentable vehicles
    expected  the same, after the moves that are under way
    forecast  (cell, group) -> trips expected in the next interval
    """

    start_ms: int
    end_ms: int
    horizon_ms: int
    candidates: NDArray[Any]
    devices: list[Key]
    groups: NDArray[np.int64]
    free: NDArray[np.bool_]
    supply: dict[Key, int]
    expected: dict[Key, int]
    forecast: dict[Key, float]


class CityPlanner:
    """One city: its demand model, what was recommended and not yet expired, its open cluster alerts."""

    def __init__(self, city: str, parameters: RebalanceParameters) -> None:
        self.city = city
        self._parameters = parameters
        self._demand = DemandModel(seasons=parameters.season_intervals, interval_ms=parameters.interval_ms)
        self._clusters = Clusters(city, limit=parameters.cluster_low_battery)
        self._reserved: dict[Key, Reservation] = {}
        self._supply: dict[Key, int] = {}

    def decide(self, end_ms: int, counts: NDArray[Any], candidates: NDArray[Any]) -> list[Event]:
        """The interval that ended at `end_ms`: moves by zone, swaps by zone, cluster alerts by zone.

        counts      tables.ZONE rows of all shards, in any order
        candidates  tables.CANDIDATE rows of all shards, in any order
        """
        candidates = candidates[np.lexsort((candidates["device_lo"], candidates["device_hi"], candidates["cell"]))]
        standing = counts[counts["vehicle_state"] != TRIPS_ROW]
        low = standing["charge_band"] == LOW_BAND
        available = standing["vehicle_state"] == VehicleState.AVAILABLE
        supply = self._sums(standing[available & ~low], "vehicles")
        self._demand.learn(end_ms, self._sums(counts, "trip_starts"), supply.keys() | self._supply.keys())
        self._supply = supply
        self._reserved = {key: r for key, r in self._reserved.items() if r.expires_ms > end_ms}
        devices = list(zip(candidates["device_hi"].tolist(), candidates["device_lo"].tolist(), strict=True))
        now = _Now(
            start_ms=end_ms - self._parameters.interval_ms,
            end_ms=end_ms,
            horizon_ms=end_ms + self._parameters.interval_ms,
            candidates=candidates,
            devices=devices,
            groups=np.array(self._parameters.groups, dtype=np.int64)[candidates["vehicle_model"]],
            free=np.array([device not in self._reserved for device in devices], dtype=np.bool_),
            supply=supply,
            expected=self._expected(supply, dict(zip(devices, candidates["cell"].tolist(), strict=True))),
            forecast=self._demand.forecasts(),
        )
        idle = available | (standing["vehicle_state"] == VehicleState.NON_OPERATIONAL)
        empty: dict[int, int] = {}
        for (cell, _), vehicles in self._sums(standing[low & idle], "vehicles").items():
            empty[cell] = empty.get(cell, 0) + vehicles
        return [*self._moves(now), *self._swaps(now), *self._clusters.judge(empty, now.start_ms, end_ms)]

    def _sums(self, rows: NDArray[Any], column: str) -> dict[Key, int]:
        """(cell, group) -> sum, where it is not 0; in the order of keys."""
        groups = np.array(self._parameters.groups)[rows["vehicle_model"]].tolist()
        sums: dict[Key, int] = {}
        for key, value in zip(zip(rows["cell"].tolist(), groups, strict=True), rows[column].tolist(), strict=True):
            if value:
                sums[key] = sums.get(key, 0) + value
        return dict(sorted(sums.items()))

    def _expected(self, supply: dict[Key, int], standing: dict[Key, int]) -> dict[Key, int]:
        """Supply after the moves that were recommended and have neither arrived nor expired. standing: device -> cell."""
        expected = dict(supply)
        for device, reservation in self._reserved.items():
            here = standing.get(device)
            if reservation.cell and here != reservation.cell:
                expected[reservation.cell, reservation.group] = expected.get((reservation.cell, reservation.group), 0) + 1
                if here is not None:
                    expected[here, reservation.group] = expected.get((here, reservation.group), 0) - 1
        return expected

    def _target(self, forecast: float) -> int:
        return max(self._parameters.target_supply_min, ceil(round(forecast, 3))) if forecast >= LEAST_FORECAST else 0

    # moves

    def _moves(self, now: _Now) -> list[Event]:
        keys = sorted(now.expected.keys() | now.forecast.keys())
        lacking = {key: self._target(now.forecast.get(key, 0.0)) - now.expected.get(key, 0) for key in keys}
        lacks = [Lack(cell, group, n, now.forecast.get((cell, group), 0.0)) for (cell, group), n in lacking.items() if n > 0]
        spare = {key: -n for key, n in lacking.items() if n < 0}
        charged = now.candidates["battery_soc_pct"] >= MOVE_CHARGE_PCT
        eligible = now.free & charged & (now.candidates["vehicle_state"] == VehicleState.AVAILABLE)
        chosen = moves.plan(lacks, now.candidates, now.groups, spare, eligible, max_move_m=self._parameters.max_move_m)
        by_zone: dict[int, list[Move]] = {}
        for move in chosen:
            by_zone.setdefault(move.cell, []).append(move)
        return [self._move_event(now, cell, by_zone[cell], lacking) for cell in sorted(by_zone)]

    def _move_event(self, now: _Now, cell: int, chosen: list[Move], lacking: dict[Key, int]) -> Event:
        groups = [group for group in range(len(GROUPS)) if lacking.get((cell, group), 0) > 0]
        forecast = sum(now.forecast.get((cell, group), 0.0) for group in groups)
        supply = sum(now.supply.get((cell, group), 0) for group in groups)
        expected = sum(now.expected.get((cell, group), 0) for group in groups)
        deficit = sum(lacking[cell, group] for group in groups)
        priority = _step(forecast - expected, (3.0, 2.0, 1.0, 0.5))
        expires_ms = now.end_ms + MOVE_INTERVALS * self._parameters.interval_ms
        for move in chosen:
            self._reserved[now.devices[move.row]] = Reservation(cell, int(now.groups[move.row]), expires_ms)
        what = " and ".join(GROUPS[group] for group in groups)
        reason = (
            f"{forecast:.1f} trips of {what} are expected here until {_clock(now.horizon_ms)} UTC and {supply} can be rented: "
            f"bring {len(chosen)} from up to {max(move.distance_m for move in chosen):.0f} m away."
        )
        values = {"expected_supply": expected, "target": expected + deficit, "moves": len(chosen)}
        shown = {"moves": [self._shown_move(now, move, priority) for move in chosen]}
        return self._event(now, "move", cell, forecast, supply, deficit, priority, reason, expires_ms, values, shown)

    def _shown_move(self, now: _Now, move: Move, priority: int) -> dict[str, Any]:
        row = now.candidates[move.row]
        soc = float(row["battery_soc_pct"])
        rider = int(now.groups[move.row]) == 0 and soc >= RIDER_CHARGE_PCT
        return {
            "device_id": _uuid(now.devices[move.row]),
            "from_zone": f"{int(row['cell']):x}",
            "to_zone": f"{move.cell:x}",
            "distance_m": move.distance_m,
            "latitude_deg": round(float(row["latitude_deg"]), 7),
            "longitude_deg": round(float(row["longitude_deg"]), 7),
            "battery_soc_pct": round(soc, 1),
            "by": "rider" if rider else "staff",
            **({"incentive_eur": self._incentive_eur(move.distance_m, priority)} if rider else {}),
        }

    def _incentive_eur(self, distance_m: float, priority: int) -> float:
        """Half by distance, half by urgency."""
        low, high = self._parameters.incentive_min_eur, self._parameters.incentive_max_eur
        share = (min(1.0, distance_m / self._parameters.max_move_m) + (5 - priority) / 4) / 2
        return round(low + (high - low) * share, 2)

    # swaps

    def _swaps(self, now: _Now) -> list[Event]:
        demand: dict[int, float] = {}
        for (cell, _), forecast in now.forecast.items():
            demand[cell] = demand.get(cell, 0.0) + forecast
        swappable = np.array(self._parameters.swappable, dtype=np.bool_)[now.candidates["vehicle_model"]]
        by_zone: dict[int, list[Swap]] = {}
        for swap in swaps.rank(now.candidates, swappable & now.free, demand):
            by_zone.setdefault(swap.cell, []).append(swap)
        return [self._swap_event(now, cell, by_zone[cell], demand.get(cell, 0.0)) for cell in sorted(by_zone)]

    def _swap_event(self, now: _Now, cell: int, chosen: list[Swap], demand: float) -> Event:
        expires_ms = now.end_ms + SWAP_INTERVALS * self._parameters.interval_ms
        supply, expected = (sum(n.get((cell, group), 0) for group in range(len(GROUPS))) for n in (now.supply, now.expected))
        target = sum(self._target(now.forecast.get((cell, group), 0.0)) for group in range(len(GROUPS)))
        for swap in chosen:
            self._reserved[now.devices[swap.row]] = Reservation(0, int(now.groups[swap.row]), expires_ms)
        shown = {"swaps": [_shown_swap(now, swap, demand) for swap in chosen]}
        reason = (
            f"{_many(len(chosen), 'battery', 'batteries')} below {swaps.BELOW_PCT:.0f} % to swap here, the emptiest at "
            f"{min(swap['battery_soc_pct'] for swap in shown['swaps']):.0f} %, where {demand:.1f} trips are expected until "
            f"{_clock(now.horizon_ms)} UTC."
        )
        priority = _step(chosen[0].urgency, (0.8, 0.6, 0.4, 0.2))
        values = {"expected_supply": expected, "target": target, "swaps": len(chosen), "urgency": round(chosen[0].urgency, 3)}
        return self._event(now, "swap", cell, demand, supply, target - expected, priority, reason, expires_ms, values, shown)

    # events

    def _event(
        self,
        now: _Now,
        kind: Kind,
        cell: int,
        forecast: float,
        supply: int,
        deficit: int,
        priority: int,
        reason: str,
        expires_ms: int,
        values: Mapping[str, float],
        shown: dict[str, Any],
    ) -> Event:
        zone, rule = f"{cell:x}", f"rebalance_{kind}"
        error, naive = self._demand.errors_rms()
        data = {
            "city": self.city,
            "zone": zone,
            "interval_start_ms": now.start_ms,
            "interval_end_ms": now.end_ms,
            "horizon_end_ms": now.horizon_ms,
            "kind": kind,
            "demand_forecast": round(forecast, 3),
            "supply": supply,
            "deficit": deficit,
            "priority": priority,
            "reason": reason,
            "expires_ms": expires_ms,
            **shown,
            "evidence": {
                "rule": rule,
                "version": VERSION,
                "values": {
                    "demand_forecast": round(forecast, 3),
                    "supply": supply,
                    **values,
                    "forecast_rmse": round(error, 3),
                    "naive_rmse": round(naive, 3),
                },
                "recorded_ms": now.end_ms,
                "window": {"start_ms": now.start_ms, "end_ms": now.end_ms},
            },
        }
        return Event(event.REBALANCE_RECOMMENDED, zone, rule, f"interval.{now.end_ms}", now.end_ms, data)

    def snapshot(self) -> bytes:
        """Versioned bytes, a copy. The inverse is restore."""
        header = {
            "city": self.city,
            "clusters": sorted(self._clusters.opened.items()),
            "reserved": [[*device, r.cell, r.group, r.expires_ms] for device, r in self._reserved.items()],
            "supply": [[*key, vehicles] for key, vehicles in self._supply.items()],
        }
        return store.pack(_MAGIC, _VERSION, header, [self._demand.snapshot()])

    def restore(self, stored: bytes) -> None:
        """Take over a snapshot of this city. Raises StoredStateError for another version."""
        header, (demand,) = store.unpack(stored, _MAGIC, _VERSION, flow="city")
        if header["city"] != self.city:
            raise store.refused(f"of city {self.city}", header["city"], flow="city")
        self._demand.restore(demand)
        self._clusters.opened = dict(header["clusters"])
        self._reserved = {(hi, lo): Reservation(cell, group, expires) for hi, lo, cell, group, expires in header["reserved"]}
        self._supply = {(cell, group): vehicles for cell, group, vehicles in header["supply"]}


def _shown_swap(now: _Now, swap: Swap, demand: float) -> dict[str, Any]:
    row = now.candidates[swap.row]
    return {
        "device_id": _uuid(now.devices[swap.row]),
        "rank": swap.rank,
        "battery_soc_pct": round(float(row["battery_soc_pct"]), 1),
        "latitude_deg": round(float(row["latitude_deg"]), 7),
        "longitude_deg": round(float(row["longitude_deg"]), 7),
        "demand_forecast": round(demand, 3),
    }


def _step(value: float, limits: tuple[float, float, float, float]) -> int:
    """1 at or above the first limit .. 5 below the last."""
    return next((priority for priority, limit in enumerate(limits, 1) if value >= limit), 5)


def _uuid(device: Key) -> str:
    return str(UUID(int=device[0] << 64 | device[1]))


def _many(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"


def _clock(time_ms: int) -> str:
    """HH:MM, UTC."""
    return event.rfc3339(time_ms)[11:16]
