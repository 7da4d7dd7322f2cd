"""What routes share: the hub, whether it is ready, parameters that several have."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query
from starlette.requests import HTTPConnection

from fleetpulse.gateway.egress.event_log import Filter, types_of
from fleetpulse.gateway.egress.hub import Hub
from fleetpulse.gateway.egress.problems import Problem

PREFIX = "/v1"


async def any_hub(connection: HTTPConnection) -> Hub:
    hub = connection.app.state.hub
    assert isinstance(hub, Hub)
    return hub


async def ready_hub(connection: HTTPConnection) -> Hub:
    """The hub. Raises a 503 before it has read its topics once: half a fleet would look like the whole."""
    hub = await any_hub(connection)
    if not hub.ready:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE, "the gateway must read its topics from Kafka first; ask again soon", {"Retry-After": "1"}
        )
    return hub


AnyHub = Annotated[Hub, Depends(any_hub)]
ReadyHub = Annotated[Hub, Depends(ready_hub)]

DeviceId = Annotated[UUID, Path(description="The vehicle's UUID.")]
Cities = Annotated[tuple[str, ...], Query(alias="city", description="Only of this city; may be repeated.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
Types = Annotated[
    tuple[str, ...],
    Query(
        alias="type",
        description="Only this event type, or group of types such as `vehicle.alert`; with or without `eu.mobilitycorp.fleet.`; "
        "may be repeated.",
    ),
]
Rules = Annotated[tuple[str, ...], Query(alias="rule", description="Only of this rule or model; may be repeated.")]


def city_codes(hub: Hub, names: Sequence[str]) -> tuple[int, ...]:
    """Codes of configured cities. Raises a 422 for another name."""
    codes = []
    for name in names:
        code = hub.city_code(name)
        if code is None:
            known = ", ".join(n for n in hub.fleet.city_names if n)
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"query.city must be one of {known}; got {name[:80]!r}")
        codes.append(code)
    return tuple(codes)


def event_filter(
    hub: Hub, *, types: Sequence[str], cities: Sequence[str], devices: Sequence[UUID], rules: Sequence[str], severities: Sequence[str]
) -> Filter:
    """The filter of a request. Raises a 422 for a type or city that does not exist."""
    wanted: list[str] = []
    for name in types:
        named = types_of(name)
        if not named:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"query.type must be an event type or a group of them; got {name[:80]!r}")
        wanted += named
    city_codes(hub, cities)
    return Filter(tuple(dict.fromkeys(wanted)), tuple(cities), tuple(str(d) for d in devices), tuple(rules), tuple(severities))


def row_of(hub: Hub, device_id: UUID) -> int:
    """The vehicle's row in the state. Raises a 404."""
    row = hub.state.find(device_id.int)
    if row is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no vehicle {device_id}")
    return row
