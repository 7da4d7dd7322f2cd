"""The HTTP application: routes, faults, guards, OpenAPI. What it serves is in the hub."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

from fleetpulse.gateway.egress import answers, problems
from fleetpulse.gateway.egress.auth import Auth, Tokens
from fleetpulse.gateway.egress.guard import LOOPBACK_NAMES, Guard
from fleetpulse.gateway.egress.hub import Hub
from fleetpulse.gateway.egress.limit import Buckets, Limit
from fleetpulse.gateway.egress.metrics import Metrics, Timed
from fleetpulse.gateway.egress.routes import alerts, audit, events, fleet, health, maintenance, operations, page, stream, vehicles, zones

DESCRIPTION = """Latest state, events and operations of the fleet.

Times are Unix milliseconds unless the name says otherwise; units stand at the end of each name. A value that was never measured is absent.
Faults are `application/problem+json` (RFC 9457) with one sentence in `detail`. Before the gateway has read its topics once, `/v1` answers
503 with `Retry-After`.

Events are CloudEvents 1.0; a service that reads them drops doubles by (`source`, `id`). Follow them with `GET /v1/events` and its cursor,
with `GET /v1/stream` (Server-Sent Events, resumes by `Last-Event-ID`), or with the WebSocket `/v1/ws` (the same filters as query
parameters; messages `{"cursor", "event"}` and, to a client that is too slow, `{"cursor", "dropped"}`)."""

ADDRESS_CLIENTS = 20
"""Clients that may stand behind one address (a proxy, an office) before its requests are refused unread."""

TAGS = [
    {"name": "fleet", "description": "Numbers, map and state of vehicles."},
    {"name": "events", "description": "What happened, as it happened."},
    {"name": "alerts", "description": "What people should look at, and their task list."},
    {"name": "zones", "description": "Where vehicles are and where they are missing."},
    {"name": "operations", "description": "What people and services did; written into the vehicle's own log."},
    {"name": "health", "description": "For orchestration and monitoring."},
]

UNAVAILABLE: dict[int | str, dict[str, Any]] = {
    503: {"model": answers.Problem, "description": "Not ready yet, too many streams, or Kafka does not answer."}
}


def create(hub: Hub) -> FastAPI:
    """The application over a hub; its life span starts and stops the hub."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        hub.start()
        yield
        await hub.stop()

    app = FastAPI(
        title="Fleetpulse gateway",
        version=version("fleetpulse"),
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=life,
        docs_url=None,  # its page loads from other origins
        redoc_url=None,
        responses={422: {"model": answers.Problem, "description": "A parameter is wrong."}},
    )
    app.state.hub = hub
    app.state.metrics = metrics = Metrics(hub)
    for module in (fleet, vehicles, audit, events, stream, alerts, maintenance, zones, operations):
        app.include_router(module.router, responses=UNAVAILABLE)
    app.include_router(health.router)
    app.include_router(page.router)
    problems.install(app)
    gateway = hub.settings.gateway
    app.add_middleware(Limit, buckets=Buckets(gateway.requests_per_s, gateway.request_burst))
    if gateway.auth == "jwt":
        app.add_middleware(Auth, tokens=Tokens(gateway))
        crowd = Buckets(ADDRESS_CLIENTS * gateway.requests_per_s, ADDRESS_CLIENTS * gateway.request_burst)
        app.add_middleware(Limit, buckets=crowd, by_address=True)
    app.add_middleware(Guard, hosts=LOOPBACK_NAMES if gateway.auth == "off" else None)
    app.add_middleware(Timed, metrics=metrics)
    return app
