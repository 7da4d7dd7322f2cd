"""Events by cursor and by id."""

from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from fleetpulse.gateway.egress import answers
from fleetpulse.gateway.egress.event_log import Filter
from fleetpulse.gateway.egress.hub import Hub
from fleetpulse.gateway.egress.problems import Problem
from fleetpulse.gateway.egress.routes.context import PREFIX, Cities, Limit, ReadyHub, Rules, Types, event_filter

router = APIRouter(prefix=PREFIX, tags=["events"])
NOT_KEPT: dict[int | str, dict[str, Any]] = {404: {"model": answers.Problem, "description": "No such event, or no longer kept."}}
START = "start"


def page(hub: Hub, wanted: Filter, *, cursor: str | None, limit: int) -> Response:
    """The last `limit` matching events without a cursor, the first `limit` after it with one; `start`: after none. Raises CursorError."""
    log = hub.events
    position = 0 if cursor in (None, START) else log.position(str(cursor))
    numbers = log.select(wanted, after=position)
    more = cursor is not None and len(numbers) > limit
    chosen = (numbers[-limit:] if cursor is None else numbers[:limit]).tolist()
    answer = {
        "events": [orjson.Fragment(log.kept(n).body) for n in chosen],
        "next_cursor": log.cursor(chosen[-1] if more else log.newest),
        "more": more,
        "lost": max(0, log.oldest - 1 - position) if cursor not in (None, START) else 0,
    }
    return answers.respond(answer)


@router.get(
    "/events",
    summary="Events by cursor",
    description="Without a cursor the last `limit` that match. Then ask with `next_cursor`, again and again: each event comes exactly "
    "once, in the order in which the gateway read them. After a restart of the gateway, or at another one, a cursor still works, and some "
    "events may come twice with the same id. `cursor=start` begins at the oldest kept.",
    response_model=answers.EventPage,
)
async def list_events(
    hub: ReadyHub,
    type_: Types = (),
    device_id: Annotated[tuple[UUID, ...], Query(description="Only of this vehicle; may be repeated.")] = (),
    city: Cities = (),
    rule: Rules = (),
    severity: Annotated[tuple[answers.Severity, ...], Query(description="Only of this severity; may be repeated.")] = (),
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before, or `start`.")] = None,
    limit: Limit = 100,
) -> Response:
    wanted = event_filter(hub, types=type_, cities=city, devices=device_id, rules=rule, severities=severity)
    return page(hub, wanted, cursor=cursor, limit=limit)


@router.get("/events/{event_id}", summary="One event", response_model=answers.CloudEvent, responses=NOT_KEPT)
async def one_event(hub: ReadyHub, event_id: Annotated[str, Path(max_length=200, description="`id` of the CloudEvent.")]) -> Response:
    body = hub.events.get(event_id)
    if body is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no event {event_id!r} among the last {hub.settings.gateway.events_kept}")
    return Response(body, media_type="application/json")
