"""What is refused before any route sees it: foreign pages in a browser, names that are not ours, large bodies.

Without authentication (auth = off, loopback only) the browser is the hole: a page on the internet may ask 127.0.0.1, under a name that
it points there. So the Host must be a loopback name, and a request with an Origin must come from the page that this server gave.
"""

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleetpulse.gateway.egress import problems

MAX_BODY_BYTES = 64 << 10
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
_SAFE = ("GET", "HEAD", "OPTIONS")


class Guard:
    """ASGI middleware. `hosts`: names under which the server may be asked; None: any."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            status, detail = refusal
            await problems.respond(status, detail, instance=scope["path"])(scope, receive, send)
            return
        await self._app(scope, _bounded(receive), send)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if self._hosts is not None and _name(host) not in self._hosts:
            return HTTPStatus.MISDIRECTED_REQUEST, f"without authentication the host must be a loopback name; got {host[:80]!r}"
        origin = headers.get("origin")
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE
        if changes and origin is not None and urlsplit(origin).netloc != host:
            return HTTPStatus.FORBIDDEN, f"a page of another origin must not change anything or open a stream; got {origin[:80]!r}"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body must have at most {MAX_BODY_BYTES} bytes; got {length[:20]}"
        return None


def _name(host: str) -> str:
    """The host without its port and brackets."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _bounded(receive: Receive) -> Receive:
    """A body of unknown length ends the request when it becomes too long."""
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b"")) if message["type"] == "http.request" else 0
        if taken > MAX_BODY_BYTES:
            raise problems.Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body must have at most {MAX_BODY_BYTES} bytes; got more")
        return message

    return bounded
