"""What is refused before any route sees it: foreign pages in a browser, names that are not ours, large bodies. And what every answer says
to browsers.

Without authentication (auth = off, loopback only) the browser is the hole: a page on the internet may ask 127.0.0.1, under a name that
it points there. So the Host must be a loopback name, and a request with an Origin must come from the page that this server gave. With
tokens no browser sends one by itself, and any name will do. Pages of other origins read nothing unless CORS allows it (`create`).
"""

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleetpulse.gateway.egress import problems

MAX_BODY_BYTES = 64 << 10
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
_SAFE = ("GET", "HEAD", "OPTIONS")
HSTS_S = 365 * 86_400
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware. `hosts`: names under which the server may be asked; None: any. `origins`: whose pages may change things too."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None, origins: frozenset[str] = frozenset()) -> None:
        self._app = app
        self._hosts = hosts
        self._origins = origins

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
        if changes and origin is not None and origin not in self._origins and not _same(origin, host):
            return HTTPStatus.FORBIDDEN, f"a page of another origin must not change anything or open a stream; got {origin[:80]!r}"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body must have at most {MAX_BODY_BYTES} bytes; got {length[:20]}"
        return None


class Labelled:
    """ASGI middleware: the security headers of every answer that does not set its own. `tls`: browsers come by TLS alone from now on."""

    def __init__(self, app: ASGIApp, *, tls: bool) -> None:
        self._app = app
        self._headers = HEADERS | ({"Strict-Transport-Security": f"max-age={HSTS_S}"} if tls else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def labelled(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                answer = MutableHeaders(raw=message["headers"])
                for name, value in self._headers.items():
                    answer.setdefault(name, value)
                message["headers"] = answer.raw
            await send(message)

        await self._app(scope, receive, labelled)


def _same(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc == host
    except ValueError:
        return False


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
