"""The console page: a few files from this server, nothing from anywhere else."""

from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

from fleetpulse.gateway.egress.problems import Problem

router = APIRouter(include_in_schema=False)
_FOLDER = Path(__file__).resolve().parent.parent / "static"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


_TYPES = {"console.css": "text/css", "console.js": "text/javascript", "dom.js": "text/javascript", "map.js": "text/javascript"}


def _file(name: str, media_type: str) -> Response:
    return Response((_FOLDER / name).read_bytes(), headers=_HEADERS, media_type=media_type)


@router.get("/")
async def console() -> Response:
    return _file("console.html", "text/html")


@router.get("/static/{name}")
async def static(name: str) -> Response:
    if name not in _TYPES:
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no file {name!r}")
    return _file(name, _TYPES[name])
