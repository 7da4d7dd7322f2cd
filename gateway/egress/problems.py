"""Errors as RFC 9457 problem details: one clear sentence in `detail`, the same form for every fault."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError, ValidationException, WebSocketRequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from fleetpulse.gateway.egress.event_log import CursorError
from fleetpulse.gateway.egress.operations import KeyReuseError, UnavailableError
from fleetpulse.gateway.egress.streams import FullError

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
RETRY_S = 2
_OF_ROUTER = {404: "there is nothing at {path}", 405: "{method} is not possible at {path}"}


class Problem(HTTPException):
    """A fault that a route answers with."""


def respond(status: int, detail: str, *, instance: str | None = None, headers: Mapping[str, str] | None = None) -> Response:
    """The answer."""
    body: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    if instance is not None:
        body["instance"] = instance
    return Response(
        orjson.dumps(body), status, {**(headers or {}), "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}, MEDIA_TYPE
    )


def sentence(error: ValidationException) -> str:
    """The first of a request's faults: where, what must hold, what was got."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
    message = str(first["msg"]).removeprefix("Value error, ")
    got = "" if first["type"] in ("missing", "value_error", "json_invalid") else f"; got {str(first.get('input'))[:80]!r}"
    return f"{where}: {message}{got}"


def _told(document: dict[str, Any]) -> None:
    """Say in the OpenAPI document that a problem has its own media type: FastAPI takes every model for application/json."""
    for path in document["paths"].values():
        for operation in path.values():
            for response in operation["responses"].values():
                content = response.get("content", {})
                if content.get("application/json", {}).get("schema", {}).get("$ref") == "#/components/schemas/Problem":
                    content[MEDIA_TYPE] = content.pop("application/json")


def install(app: FastAPI) -> None:
    """Have every fault of `app` answered as a problem, and its OpenAPI document say so."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        _told(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = error.detail
        if not isinstance(error, Problem) and error.status_code == HTTPStatus.BAD_REQUEST:  # FastAPI's word for bytes that are no text
            return respond(HTTPStatus.UNPROCESSABLE_ENTITY, "the body must be JSON in UTF-8", instance=request.url.path)
        if not isinstance(error, Problem) and error.status_code in _OF_ROUTER:
            detail = _OF_ROUTER[error.status_code].format(method=request.scope.get("method", "GET"), path=request.url.path)
        return respond(error.status_code, detail, instance=request.url.path, headers=error.headers)

    async def on_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, ValidationException)
        return respond(HTTPStatus.UNPROCESSABLE_ENTITY, sentence(error), instance=request.url.path)

    async def on_caller(request: Request, error: Exception) -> Response:
        return respond(HTTPStatus.UNPROCESSABLE_ENTITY, str(error), instance=request.url.path)

    async def on_unavailable(request: Request, error: Exception) -> Response:
        return respond(HTTPStatus.SERVICE_UNAVAILABLE, str(error), instance=request.url.path, headers={"Retry-After": str(RETRY_S)})

    async def on_defect(request: Request, error: Exception) -> Response:
        log.error("a request failed by a defect", path=request.url.path, error=repr(error))
        return respond(HTTPStatus.INTERNAL_SERVER_ERROR, "the gateway failed by a defect; its log says where", instance=request.url.path)

    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(WebSocketRequestValidationError, on_validation)
    app.add_exception_handler(CursorError, on_caller)
    app.add_exception_handler(KeyReuseError, on_caller)
    app.add_exception_handler(UnavailableError, on_unavailable)
    app.add_exception_handler(FullError, on_unavailable)
    app.add_exception_handler(Exception, on_defect)
