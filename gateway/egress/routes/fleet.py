"""The fleet's numbers, its map, and the outlines of the cities."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from fastapi import APIRouter
from starlette.responses import Response

from fleetpulse.alerts.states import STATE_NAMES
from fleetpulse.gateway.egress import answers, metrics
from fleetpulse.gateway.egress.hub import Hub
from fleetpulse.gateway.egress.routes.audit import fleet_objective
from fleetpulse.gateway.egress.routes.context import PREFIX, AnyHub, Cities, ReadyHub, city_codes

router = APIRouter(prefix=PREFIX, tags=["fleet"])
_MAP_COLUMNS = ("city", "vehicle_model", "vehicle_state", "alerts", "longitude_deg", "latitude_deg", "battery_soc_pct")


@router.get(
    "/fleet",
    summary="The fleet's numbers",
    description="Vehicles by state, city and model; the audit's counters and the share of frames that is missing; events; "
    "what is open; latency.",
    response_model=answers.FleetNumbers,
)
async def numbers(hub: ReadyHub) -> Response:
    counters = hub.state.counters()
    now_ms = hub.clock.now_ms()
    answer: dict[str, Any] = {
        "deployment": hub.settings.deployment.name,
        "clock": {"now_ms": now_ms, "speed": hub.clock.speed},
        "vehicles": len(hub.state),
        **_counts(hub),
        "frames": metrics.frames(counters),
        "objective": fleet_objective(hub),
        "counters": counters,
        "events": hub.events_seen,
        "alerts_open": _tally(alert.severity for alert in hub.alerts),
        "alerts_suppressed": sum(bool(alert.suppressed_by) for alert in hub.alerts),
        "in_service": hub.state.in_service(),
        "maintenance_open": _tally(str(task.data["component"]) for task in hub.maintenance),
        "latency_ms": hub.latency.percentiles_ms(),
        "stream_ms": hub.state.stream_ms,
        "lag_s": hub.lag_s,
        "stale": hub.stale,
    }
    return answers.respond(answer)


def _tally(names: Iterable[str]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for name in names:
        sums[name] = sums.get(name, 0) + 1
    return sums


def _counts(hub: Hub) -> dict[str, Any]:
    by_state = dict.fromkeys(STATE_NAMES, 0)
    by_city: dict[str, dict[str, int]] = {}
    by_model: dict[str, dict[str, int]] = {}
    for city, model, state, n in hub.state.counts():
        name = STATE_NAMES[state] if state < len(STATE_NAMES) else "unknown"
        by_state[name] = by_state.get(name, 0) + n
        for group, names, code in ((by_city, hub.fleet.city_names, city), (by_model, hub.fleet.model_names, model)):
            states = group.setdefault((names[code] if code < len(names) else "") or "none", {})
            states[name] = states.get(name, 0) + n
    return {"by_state": by_state, "by_city": by_city, "by_model": by_model}


@router.get(
    "/map",
    summary="All positions",
    description="Every vehicle whose position is known, as columns: small and quick to draw.",
    response_model=answers.FleetMap,
)
async def fleet_map(hub: ReadyHub, city: Cities = ()) -> Response:
    here = hub.state.located(city_codes(hub, city))
    columns = {name: hub.state.rows[name][here] for name in _MAP_COLUMNS}
    answer = {
        "cities": hub.fleet.city_names,
        "vehicle_models": hub.fleet.model_names,
        "vehicle_states": STATE_NAMES,
        "city": columns["city"],
        "vehicle_model": columns["vehicle_model"],
        "vehicle_state": columns["vehicle_state"],
        "alerted": (columns["alerts"] != 0).astype(np.uint8),
        "longitude_deg": np.round(columns["longitude_deg"], 5),
        "latitude_deg": np.round(columns["latitude_deg"], 5),
        "battery_soc_pct": np.round(columns["battery_soc_pct"].astype(np.float64), 1),
    }
    return answers.respond(answer)


@router.get("/cities", summary="The cities' zones", description="Outlines as configured.", response_model=answers.Cities)
async def cities(hub: AnyHub) -> Response:
    outlines = [
        {
            "city": city.name,
            "timezone": city.timezone,
            "centre_longitude_deg": city.centre_longitude_deg,
            "centre_latitude_deg": city.centre_latitude_deg,
            "zones": [{"name": zone.name, "kind": zone.kind, "ring": zone.ring} for zone in city.zones],
        }
        for city in hub.fleet.cities
        if city is not None
    ]
    return answers.respond({"cities": outlines})
