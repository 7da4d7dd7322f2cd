"""How often a client may ask: a token bucket each, by the token's subject, else by address. Bounded; ASGI middleware."""

import ipaddress
import time
from collections import OrderedDict
from http import HTTPStatus
from math import ceil

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from fleetpulse.gateway.egress import problems
from fleetpulse.gateway.egress.auth import caller_of

CLIENTS_KEPT = 10_000
"""Buckets; the one that was asked longest ago goes first, and is full again when it comes back."""
FREE = ("/livez", "/readyz")


class Buckets:
    """`rate` requests a second, `burst` at once."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, client: str, now_s: float) -> float:
        """0: the request is taken; else how long until the next one would be."""
        left, at_s = self._left.pop(client, (float(self._burst), now_s))
        left = min(self._burst, left + (now_s - at_s) * self._rate)
        taken = left >= 1
        self._left[client] = (left - taken, now_s)
        if len(self._left) > CLIENTS_KEPT:
            self._left.popitem(last=False)
        return 0.0 if taken else (1 - left) / self._rate


def client_of(connection: HTTPConnection) -> str:
    """Who counts as one client: the token's subject, else the address."""
    caller = caller_of(connection)
    return address_of(connection) if caller is None else f"subject {caller.subject}"


def address_of(connection: HTTPConnection) -> str:
    """The address; of IPv6 the network of 64 bits, in which one host may take any address."""
    host = connection.client.host if connection.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"address {host}"
    return f"address {ipaddress.ip_network((address, 64), strict=False) if address.version == 6 else address}"


class Limit:
    """429 with Retry-After for a client that asks too often. Stands behind Auth, or before it (`by_address`) against guessing."""

    def __init__(self, app: ASGIApp, buckets: Buckets, *, by_address: bool = False) -> None:
        self._app = app
        self._buckets = buckets
        self._by_address = by_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"] in FREE:
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        client = address_of(connection) if self._by_address else client_of(connection)
        wait_s = self._buckets.wait_s(client, time.monotonic())
        if wait_s:
            detail = f"a client may ask only so often; ask again in {wait_s:.1f} s"
            headers = {"Retry-After": str(ceil(wait_s))}
            await problems.respond(HTTPStatus.TOO_MANY_REQUESTS, detail, instance=scope["path"], headers=headers)(scope, receive, send)
            return
        await self._app(scope, receive, send)
