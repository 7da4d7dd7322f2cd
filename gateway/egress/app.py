"""The HTTP application: routes, faults, guards, OpenAPI. What it serves is in the hub."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from fleetpulse.config.settings import Gateway
from fleetpulse.gateway.egress import answers, problems
from fleetpulse.gateway.egress.auth import Auth, Tokens
from fleetpulse.gateway.egress.guard import LOOPBACK_NAMES, Guard, Labelled
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
parameters; messages `{"cursor", "event"}` and, to a client that is too slow, `{"cursor", "dropped"}`).

With authentication on, every request needs `Authorization: Bearer TOKEN` (JWT, RS256 or EdDSA) with a role that may make it; on a WebSocket
of a browser the subprotocols `fleetpulse.v1` and `bearer.TOKEN`. A stream ends when its token expires."""

REQUESTS_PER_S, REQUEST_BURST = 100.0, 500
"""Of a client, where tokens tell clients apart and the settings say nothing else."""
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


REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": answers.Problem, "description": "Authentication is on, and no token came that is taken."},
    403: {"model": answers.Problem, "description": "The token's roles may not do this, or a page of another origin asks."},
    422: {"model": answers.Problem, "description": "A parameter is wrong."},
    429: {"model": answers.Problem, "description": "The client asks too often; `Retry-After` says when to come again."},
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
        responses=REFUSALS,
    )
    app.state.hub = hub
    app.state.metrics = metrics = Metrics(hub)
    for module in (fleet, vehicles, audit, events, stream, alerts, maintenance, zones, operations):
        app.include_router(module.router, responses=UNAVAILABLE)
    app.include_router(health.router)
    app.include_router(page.router)
    problems.install(app)
    _protect(app, hub.settings.gateway)
    app.add_middleware(Timed, metrics=metrics)
    return app


def _protect(app: FastAPI, gateway: Gateway) -> None:
    """What a request passes before a route, the last one here first."""
    guarded = gateway.auth == "jwt"
    rate, burst = gateway.requests_per_s, gateway.request_burst or REQUEST_BURST
    if rate is None and guarded:
        rate = REQUESTS_PER_S
    if rate is not None:
        app.add_middleware(Limit, buckets=Buckets(rate, burst))
    if guarded:
        app.add_middleware(Auth, tokens=Tokens(gateway))
        assert rate is not None
        app.add_middleware(Limit, buckets=Buckets(ADDRESS_CLIENTS * rate, ADDRESS_CLIENTS * burst), by_address=True)
    if gateway.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=gateway.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"],
            expose_headers=["Retry-After"],
        )
    app.add_middleware(Guard, hosts=None if guarded else LOOPBACK_NAMES, origins=frozenset(gateway.cors_origins))
    app.add_middleware(Labelled, tls=gateway.certificate_file is not None)
