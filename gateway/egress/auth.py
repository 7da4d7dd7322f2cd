"""Who asks: bearer tokens (JWT, RFC 7519) and what their roles may do. ASGI middleware; no route sees a request that may not be made.

Tokens come from the operator's own issuer; the gateway has its public keys alone. The algorithm is the one of the key's kind and never
the token's choice. A stream ends when its token expires. Keys are read at the start: a new one is put beside the old one in the file, and
taken out after the last old token has expired.

What is not open wants a token; what is no reading wants a role that may do something, and the route says which (`author`).
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleetpulse.config.settings import ConfigError, Gateway
from fleetpulse.gateway.egress import problems
from fleetpulse.gateway.egress.problems import Problem

ROLES = ("viewer", "operator", "service", "admin")
OPEN = ("/", "/livez", "/readyz", "/openapi.json")
"""Paths that anybody may ask for, and those below /static/: the page without data, and what orchestration needs."""
STAFF = frozenset(
    {
        "alert_acknowledged",
        "maintenance_done",
        "rebalance_pick_up",
        "drop_off",
        "decommissioned",
        "recommissioned",
        "snooze",
        "service_mode",
    }
)
SYSTEMS = frozenset({"reservation_start", "reservation_stop", "reservation_cancel"})
MAY_DO: dict[str, frozenset[str]] = {"viewer": frozenset(), "operator": STAFF, "service": SYSTEMS, "admin": STAFF | SYSTEMS}
"""Role -> operations. Every role may read."""
_READING = ("GET", "HEAD", "OPTIONS")
LEEWAY_S = 10
MIN_RSA_BITS = 2048
MAX_TOKEN_BYTES = 8 << 10
SUBPROTOCOL = "fleetpulse.v1"
_BEARER = "bearer."
_STREAM = "text/event-stream"
_PEM_END = b"-----END PUBLIC KEY-----"
_EXPIRED = 1008
"""WebSocket close code: policy violation."""
_LONGEST_S = 366 * 86_400
"""A stream ends after a year, whatever its token says: timers take no date without end."""


class TokenError(Exception):
    """A token that is not taken; the text says why, in one sentence."""


@dataclass(frozen=True)
class Caller:
    """Whom a token speaks of. expires_s: Unix time."""

    subject: str
    roles: tuple[str, ...]
    expires_s: float

    def may(self, operation: str) -> bool:
        return any(operation in MAY_DO[role] for role in self.roles)


class Tokens:
    """Checks tokens against the public keys of a PEM file. Raises ConfigError when it holds none that will do."""

    def __init__(self, settings: Gateway) -> None:
        if settings.jwt_public_key_file is None:
            raise ConfigError(
                'gateway.jwt_public_key_file must be set when gateway.auth is "jwt"; it holds the issuer\'s public keys (PEM)'
            )
        self._keys = _public_keys(settings.jwt_public_key_file)
        self._issuer, self._audience = settings.jwt_issuer, settings.jwt_audience

    def caller(self, token: str) -> Caller:
        """Raises TokenError."""
        if len(token) > MAX_TOKEN_BYTES:
            raise TokenError(f"a token must have at most {MAX_TOKEN_BYTES} bytes")
        failure: jwt.PyJWTError | None = None
        for key, algorithm in self._keys:
            try:
                claims = jwt.decode(
                    token,
                    key,
                    algorithms=[algorithm],
                    audience=self._audience,
                    issuer=self._issuer,
                    leeway=LEEWAY_S,
                    options={"require": ["exp", "sub"], "verify_iss": self._issuer is not None},
                )
            except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError) as error:
                if failure is None or isinstance(error, jwt.InvalidSignatureError):  # the key may be another one
                    failure = error
            except (jwt.PyJWTError, OverflowError) as error:  # a date without end
                raise TokenError(f"the token is not taken: {str(error).rstrip('.').lower()}") from None
            else:
                return _caller(claims)
        raise TokenError(f"the token is not taken: {str(failure).rstrip('.').lower()}")


def _caller(claims: dict[str, object]) -> Caller:
    found, subject, expires = claims.get("roles"), claims["sub"], claims["exp"]
    roles = tuple(role for role in found if role in ROLES) if isinstance(found, list) else ()  # others are another service's
    if not roles:
        raise TokenError(f"the token's claim roles must be a list with one or more of {', '.join(ROLES)}")
    if not isinstance(subject, str) or not 0 < len(subject) <= 100 or not subject.isprintable():
        raise TokenError("the token's claim sub must be text of 1-100 printable characters")
    if not isinstance(expires, int | float):
        raise TokenError("the token's claim exp must be a number")
    return Caller(subject, roles, float(expires))


def _public_keys(file: Path) -> list[tuple[RSAPublicKey | Ed25519PublicKey, str]]:
    try:
        text = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"gateway.jwt_public_key_file must be readable; got: {error.strerror} ({file})") from None
    keys: list[tuple[RSAPublicKey | Ed25519PublicKey, str]] = []
    for block in text.split(_PEM_END)[:-1]:
        try:
            key = load_pem_public_key(block[block.find(b"-----BEGIN") :] + _PEM_END)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ConfigError(f"gateway.jwt_public_key_file must hold public keys as PEM; got: {error} ({file})") from None
        if isinstance(key, RSAPublicKey) and key.key_size >= MIN_RSA_BITS:
            keys.append((key, "RS256"))
        elif isinstance(key, Ed25519PublicKey):
            keys.append((key, "EdDSA"))
        else:
            raise ConfigError(f"a key of gateway.jwt_public_key_file must be Ed25519, or RSA of at least {MIN_RSA_BITS} bits ({file})")
    if not keys:
        raise ConfigError(f"gateway.jwt_public_key_file must hold at least one PUBLIC KEY block (PEM); got none ({file})")
    return keys


class Auth:
    """ASGI middleware: 401 without a token that is taken; the caller in the scope for the routes; an end to streams in time."""

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"] in OPEN or scope["path"].startswith("/static/"):
            await self._app(scope, receive, send)
            return
        try:
            caller = self._tokens.caller(_token(scope))
        except TokenError as error:
            headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            answer = problems.respond(HTTPStatus.UNAUTHORIZED, str(error), instance=scope["path"], headers=headers)
            await answer(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        if scope["type"] == "http" and scope["method"] not in _READING and not any(MAY_DO[role] for role in caller.roles):
            needed = " or ".join(role for role in ROLES if MAY_DO[role])
            detail = f"{scope['method']} needs the role {needed}; the token has {', '.join(caller.roles)}"
            await problems.respond(HTTPStatus.FORBIDDEN, detail, instance=scope["path"])(scope, receive, send)
            return
        await self._until_expiry(caller, scope, receive, send)

    async def _until_expiry(self, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        """The request; a stream no longer than its token holds. What is answered once is not cut short: it may have taken effect."""
        left_s = min(caller.expires_s + LEEWAY_S - time.time(), _LONGEST_S)
        end = asyncio.get_running_loop().time() + left_s
        limit = asyncio.timeout_at(end if scope["type"] == "websocket" else None)

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and Headers(raw=message["headers"]).get("content-type", "").startswith(_STREAM):
                limit.reschedule(end)
            await send(message)

        try:
            async with limit:
                await self._app(scope, receive, watched)
        except TimeoutError:
            if not limit.expired():
                raise
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": _EXPIRED, "reason": "the token has expired; come again with a new one"})
            else:
                await send({"type": "http.response.body", "body": b"event: expired\ndata: {}\n\n"})


def _token(scope: Scope) -> str:
    """From the Authorization header; for browsers' WebSockets, which cannot set it, from a subprotocol `bearer.TOKEN`."""
    headers = Headers(scope=scope)
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and token:
        return token.strip()
    if scope["type"] == "websocket":
        offered: Sequence[str] = scope.get("subprotocols") or ()
        for protocol in offered:
            if protocol.startswith(_BEARER):
                return protocol.removeprefix(_BEARER)
    raise TokenError("a token must come in the header `Authorization: Bearer TOKEN`")


def caller_of(connection: HTTPConnection) -> Caller | None:
    """Who asks; None while gateway.auth is off."""
    caller: Caller | None = getattr(connection.state, "caller", None)
    return caller


def author(connection: HTTPConnection, operation: str, *, said: str) -> str:
    """Who does an operation: the token's subject, or what the request says while gateway.auth is off. Raises a 403."""
    caller = caller_of(connection)
    if caller is None:
        return said
    if not caller.may(operation):
        needed = [role for role in ROLES if operation in MAY_DO[role]]
        raise Problem(HTTPStatus.FORBIDDEN, f"{operation} needs the role {' or '.join(needed)}; the token has {', '.join(caller.roles)}")
    return caller.subject


def own_key(connection: HTTPConnection, key: str | None) -> str | None:
    """An Idempotency-Key as one of the caller's own: nobody meets, or takes beforehand, the keys of another."""
    caller = caller_of(connection)
    return key if key is None or caller is None else f"{caller.subject}\x1f{key}"
