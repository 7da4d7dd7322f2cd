"""Counts per zone, and what should be moved or swapped."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from fleetpulse.gateway.egress import answers
from fleetpulse.gateway.egress.hub import Hub
from fleetpulse.gateway.egress.routes.context import PREFIX, Cities, ReadyHub, city_codes

router = APIRouter(prefix=PREFIX, tags=["zones"])


@router.get(
    "/zones",
    summary="Counts per zone",
    description="Per H3 cell at the last interval boundary that all shards have reported: vehicles by state, model and charge, trips; "
    "and the recommendations that hold now.",
    response_model=answers.Zones,
)
async def list_zones(hub: ReadyHub, city: Cities = ()) -> Response:
    city_codes(hub, city)
    names = [name for name in hub.fleet.city_names if name and (not city or name in city)]
    return answers.respond({"cities": [_city(hub, name) for name in names]})


def _city(hub: Hub, name: str) -> dict[str, Any]:
    empty: dict[str, Any] = {"city": name, "interval_end_ms": None, "complete": False, "shards": 0, "shards_reported": 0, "cells": []}
    counts = hub.zones.latest(name, hub.fleet.model_names) or empty
    return {**counts, "recommendations": hub.rebalance.current(now_ms=hub.clock.now_ms(), city=name)}


@router.get(
    "/rebalance",
    summary="Recommended moves and swaps",
    description="Of each city's newest interval, not expired, most urgent first.",
    response_model=answers.RecommendationList,
)
async def list_recommendations(
    hub: ReadyHub,
    city: Annotated[str | None, Query(description="Only of this city.")] = None,
    kind: Annotated[Literal["move", "swap"] | None, Query(description="Only moves, or only swaps.")] = None,
) -> Response:
    if city is not None:
        city_codes(hub, [city])
    found = hub.rebalance.current(now_ms=hub.clock.now_ms(), city=city, kind=kind)
    return answers.respond({"recommendations": found, "total": len(found)})
