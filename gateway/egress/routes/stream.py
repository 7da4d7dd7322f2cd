"""Events as they come: Server-Sent Events and WebSocket, with the same filters and cursors."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Header, Query, Request, WebSocket
from sse_starlette import EventSourceResponse
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect

from fleetpulse.gateway.egress import answers
from fleetpulse.gateway.egress.auth import SUBPROTOCOL, caller_of
from fleetpulse.gateway.egress.event_log import Filter
from fleetpulse.gateway.egress.hub import Hub
from fleetpulse.gateway.egress.limit import client_of
from fleetpulse.gateway.egress.problems import Problem
from fleetpulse.gateway.egress.routes.context import PREFIX, Cities, ReadyHub, Rules, Types, event_filter
from fleetpulse.gateway.egress.streams import Batch, Follower

router = APIRouter(prefix=PREFIX, tags=["events"])
PING_S = 15
RETRY_MS = 2_000
GOING_AWAY = 1001

Vehicles = Annotated[tuple[UUID, ...], Query(alias="vehicle", description="Only of this vehicle; may be repeated.")]
Severities = Annotated[tuple[answers.Severity, ...], Query(alias="severity", description="Only of this severity; may be repeated.")]
Cursor = Annotated[
    str | None, Query(description="Go on after it (`next_cursor`, or the `id` of a streamed event); without it, from now on.")
]


@router.get(
    "/stream",
    summary="Events as Server-Sent Events",
    description="`data` is a CloudEvent, `id` its cursor. The first message is `event: hello` with the cursor of the start. "
    "`Last-Event-ID` resumes after it. A client that falls too far behind gets `event: dropped` with the number `dropped` in place of so "
    "many of the oldest; one that takes nothing for 30 s is disconnected.",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "An endless stream."}},
)
async def stream(
    hub: ReadyHub,
    connection: Request,
    type_: Types = (),
    city: Cities = (),
    vehicle: Vehicles = (),
    rule: Rules = (),
    severity: Severities = (),
    cursor: Cursor = None,
    last_event_id: Annotated[str | None, Header(description="Set by browsers when they reconnect; wins over `cursor`.")] = None,
) -> Response:
    wanted = event_filter(hub, types=type_, cities=city, devices=vehicle, rules=rule, severities=severity)
    follower = _open(hub, connection, wanted, cursor=last_event_id or cursor, transport="sse")
    return EventSourceResponse(_sse(hub, follower), ping=PING_S)


def _open(hub: Hub, connection: HTTPConnection, wanted: Filter, *, cursor: str | None, transport: str, patient: bool = False) -> Follower:
    """A follower of the caller's. Raises CursorError, FullError, and a 429 when a token's subject has as many as one may have."""
    client, most = client_of(connection), hub.settings.gateway.streams_per_client
    if caller_of(connection) is not None and hub.streams.count_of(client) >= most:
        detail = f"a client may have at most {most} streams open; close one"
        raise Problem(HTTPStatus.TOO_MANY_REQUESTS, detail, {"Retry-After": str(RETRY_MS // 1000)})
    return hub.streams.open(wanted, cursor=cursor, transport=transport, client=client)


async def _sse(hub: Hub, follower: Follower) -> AsyncIterator[bytes]:
    try:
        cursor = hub.events.cursor(follower.position)
        yield f"id: {cursor}\nevent: hello\nretry: {RETRY_MS}\ndata: {{}}\n\n".encode()
        async for batch in hub.streams.follow(follower):
            yield _sse_chunk(batch)
    finally:
        hub.streams.release(follower)


def _sse_chunk(batch: Batch) -> bytes:
    parts = [b'event: dropped\ndata: {"dropped":%d}\n\n' % batch.dropped] if batch.dropped else []
    parts += [b"id: %b\ndata: %b\n\n" % (kept.cursor.encode(), kept.body) for kept in batch.events]
    return b"".join(parts)


@router.websocket("/ws")
async def websocket(
    socket: WebSocket,
    hub: ReadyHub,
    type_: Types = (),
    city: Cities = (),
    vehicle: Vehicles = (),
    rule: Rules = (),
    severity: Severities = (),
    cursor: Cursor = None,
) -> None:
    """Events as messages `{"cursor", "event"}`; `{"cursor", "dropped": n}` in place of the n oldest to a client that is too slow. What the
    client sends is passed over. A refused request is answered with its problem before the connection is made."""
    wanted = event_filter(hub, types=type_, cities=city, devices=vehicle, rules=rule, severities=severity)
    follower = _open(hub, socket, wanted, cursor=cursor, transport="websocket")
    sender: asyncio.Task[None] | None = None
    try:
        await socket.accept(SUBPROTOCOL if SUBPROTOCOL in socket.scope.get("subprotocols", ()) else None)
        sender = asyncio.create_task(_send(socket, hub, follower))
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
    finally:
        hub.streams.release(follower)
        if sender is not None:
            sender.cancel()
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await sender


async def _send(socket: WebSocket, hub: Hub, follower: Follower) -> None:
    await socket.send_text(orjson.dumps({"cursor": hub.events.cursor(follower.position)}).decode())
    async for batch in hub.streams.follow(follower):
        if batch.dropped:
            first = batch.events[0].n - 1 if batch.events else follower.position
            await socket.send_text(orjson.dumps({"cursor": hub.events.cursor(first), "dropped": batch.dropped}).decode())
        for kept in batch.events:
            await socket.send_text(orjson.dumps({"cursor": kept.cursor, "event": orjson.Fragment(kept.body)}).decode())
    await socket.close(GOING_AWAY, "the gateway is going away; reconnect with the last cursor")
