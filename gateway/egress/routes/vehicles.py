"""Vehicles: lists with filters, one, its events, and why it is not available."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

import numpy as np
import orjson
from fastapi import APIRouter, Query
from numpy.typing import NDArray
from starlette.responses import Response

from fleetpulse.alerts.states import CONDITION_NAMES, STATE_NAMES
from fleetpulse.gateway.egress import alert_view, answers, availability_view, maintenance_view
from fleetpulse.gateway.egress.event_log import Filter
from fleetpulse.gateway.egress.hub import Hub
from fleetpulse.gateway.egress.problems import Problem
from fleetpulse.gateway.egress.routes.context import PREFIX, Cities, DeviceId, Limit, ReadyHub, Types, city_codes, event_filter, row_of
from fleetpulse.gateway.egress.routes.events import page
from fleetpulse.gateway.egress.state_view import Selection

router = APIRouter(prefix=PREFIX, tags=["fleet"])
NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": answers.Problem, "description": "No such vehicle has been seen."}}
RECENT = 10


def _bbox(text: str | None) -> tuple[float, float, float, float] | None:
    if text is None:
        return None
    try:
        west, south, east, north = (float(part) for part in text.split(","))
        if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
            raise ValueError
    except ValueError:
        what = "query.bbox must be west,south,east,north in degrees with west <= east within -180..180 and south <= north within -90..90"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{what}; got {text[:80]!r}") from None
    return west, south, east, north


def _after(cursor: str | None) -> int:
    if cursor is None:
        return -1
    shard, _, slot = cursor.partition(".")
    if not (shard.isascii() and shard.isdigit() and slot.isascii() and slot.isdigit() and len(cursor) <= 16):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"query.cursor must be one that this service gave; got {cursor[:60]!r}")
    return (int(shard) << 32) + int(slot)


def _model_codes(hub: Hub, names: Sequence[str]) -> tuple[int, ...]:
    known = hub.fleet.model_names
    for name in names:
        if not name or name not in known:
            listed = ", ".join(n for n in known if n)
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"query.vehicle_model must be one of {listed}; got {name[:80]!r}")
    return tuple(known.index(name) for name in names)


def _alerted(hub: Hub, rule: str | None) -> NDArray[np.int64] | None:
    """Rows of the vehicles with an open alert of the rule (`any`: of any)."""
    if rule is None:
        return None
    return hub.state.find_all({UUID(a.device_id).int for a in hub.alerts if a.device_id is not None and rule in ("any", a.rule)})


@router.get(
    "/vehicles",
    summary="List vehicles",
    description="In an order that does not change, so that paging by `next_cursor` gives every vehicle that matches all the while exactly "
    "once.",
    response_model=answers.VehicleList,
)
async def list_vehicles(
    hub: ReadyHub,
    city: Cities = (),
    vehicle_model: Annotated[tuple[str, ...], Query(description="scooter, ebike, car, van; may be repeated.")] = (),
    vehicle_state: Annotated[tuple[answers.VehicleState, ...], Query(description="MDS state; may be repeated.")] = (),
    min_soc: Annotated[float | None, Query(ge=0, le=100, description="State of charge in per cent, at least.")] = None,
    max_soc: Annotated[float | None, Query(ge=0, le=100, description="State of charge in per cent, at most.")] = None,
    alert: Annotated[str | None, Query(description="With an open alert of this rule; `any`: of any.")] = None,
    service: Annotated[bool | None, Query(description="Only those in service, or only the others.")] = None,
    bbox: Annotated[str | None, Query(description="west,south,east,north in degrees.", examples=["13.3,52.4,13.5,52.6"])] = None,
    limit: Limit = 100,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> Response:
    selection = Selection(
        cities=city_codes(hub, city),
        models=_model_codes(hub, vehicle_model),
        states=tuple(STATE_NAMES.index(state) for state in vehicle_state),
        min_soc_pct=min_soc,
        max_soc_pct=max_soc,
        bbox=_bbox(bbox),
        rows=_alerted(hub, alert),
        service=service,
    )
    found = hub.state.select(selection, after_key=_after(cursor), limit=limit)
    next_cursor = None if found.next_key is None else f"{found.next_key >> 32}.{found.next_key & 0xFFFFFFFF}"
    return answers.respond({"vehicles": _render(hub, found.rows), "total": found.total, "next_cursor": next_cursor})


def _render(hub: Hub, rows: NDArray[Any]) -> list[dict[str, Any]]:
    """Rows as JSON objects; alerts of models, which have no bit in the state, are added from their events."""
    vehicles = hub.vehicle_json.render(rows)
    for vehicle in vehicles:
        told = [a.rule for a in hub.alerts.of(vehicle["device_id"]) if a.rule not in CONDITION_NAMES]
        if told:
            vehicle["alerts"] = [*vehicle["alerts"], *told]
    return vehicles


@router.get("/vehicles/{device_id}", summary="One vehicle", response_model=answers.Vehicle, responses=NOT_FOUND)
async def one_vehicle(hub: ReadyHub, device_id: DeviceId) -> Response:
    row = row_of(hub, device_id)
    return answers.respond(_render(hub, hub.state.rows[row : row + 1])[0])


@router.get(
    "/vehicles/{device_id}/events",
    summary="Events of a vehicle",
    description="The last ones without a cursor; with one, those after it. Oldest first.",
    response_model=answers.EventPage,
    responses=NOT_FOUND,
)
async def vehicle_events(
    hub: ReadyHub,
    device_id: DeviceId,
    type_: Types = (),
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before, or `start`.")] = None,
    limit: Limit = 100,
) -> Response:
    row_of(hub, device_id)
    wanted = event_filter(hub, types=type_, cities=(), devices=(device_id,), rules=(), severities=())
    return page(hub, wanted, cursor=cursor, limit=limit)


@router.get(
    "/vehicles/{device_id}/why",
    summary="Why is it not available?",
    description="State, since when, the event that caused it with its evidence, and what is open on the vehicle.",
    response_model=answers.Why,
    responses=NOT_FOUND,
)
async def why(hub: ReadyHub, device_id: DeviceId) -> Response:
    row = row_of(hub, device_id)
    vehicle = hub.vehicle_json.render(hub.state.rows[row : row + 1])[0]
    id_, now_ms = str(device_id), hub.clock.now_ms()
    change = hub.availability.of(id_)
    if change is not None and change.time_ms > vehicle["state_since_ms"]:  # fleet.state comes up to 2 s after the event
        vehicle |= {"vehicle_state": change.state, "event_type": change.event_type, "state_since_ms": change.time_ms}
    alerts, tasks = hub.alerts.of(id_), hub.maintenance.of(id_)
    answer: dict[str, Any] = {
        "device_id": id_,
        "available": vehicle["vehicle_state"] == "available",
        "vehicle_state": vehicle["vehicle_state"],
        "event_type": vehicle["event_type"],
        "reason": availability_view.reason(vehicle, alerts, tasks),
        "alerts": [alert_view.render(alert, now_ms=now_ms) for alert in alerts],
        "maintenance": [maintenance_view.render(task, now_ms=now_ms) for task in tasks],
    }
    if vehicle["state_since_ms"]:  # 0: it has been in this state since it was first seen
        answer |= {"since_ms": vehicle["state_since_ms"], "for_s": max(0, now_ms - vehicle["state_since_ms"]) // 1000}
    if change is not None and change.state == vehicle["vehicle_state"]:
        answer["event"] = orjson.Fragment(change.body)
    numbers = hub.events.select(Filter(subjects=(id_,)), after=0)[-RECENT:].tolist()
    answer["recent"] = [orjson.Fragment(hub.events.kept(n).body) for n in reversed(numbers)]
    return answers.respond(answer)
