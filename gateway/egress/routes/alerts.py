"""Open alerts in order of urgency, and taking one."""

from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from fleetpulse.alerts.event import rfc3339
from fleetpulse.codecs.operations import Operation
from fleetpulse.gateway.egress import alert_view, answers, requests
from fleetpulse.gateway.egress.auth import author
from fleetpulse.gateway.egress.operations import Detail
from fleetpulse.gateway.egress.problems import Problem
from fleetpulse.gateway.egress.routes.context import PREFIX, Cities, Limit, ReadyHub, Rules, city_codes
from fleetpulse.gateway.egress.routes.operations import accepted

router = APIRouter(prefix=PREFIX, tags=["alerts"])
NOT_OPEN: dict[int | str, dict[str, Any]] = {
    404: {"model": answers.Problem, "description": "No such alert is open."},
    409: {"model": answers.Problem, "description": "It is acknowledged already, or is about a zone."},
}


@router.get(
    "/alerts",
    summary="Open alerts",
    description="Most urgent first: not suppressed, not acknowledged, severity, rule, age.",
    response_model=answers.AlertList,
)
async def list_alerts(
    hub: ReadyHub,
    city: Cities = (),
    rule: Rules = (),
    severity: Annotated[tuple[answers.Severity, ...], Query(description="Only of this severity; may be repeated.")] = (),
    device_id: Annotated[UUID | None, Query(description="Only of this vehicle.")] = None,
    acknowledged: Annotated[bool | None, Query(description="Only those that somebody has taken, or that nobody has.")] = None,
    suppressed: Annotated[bool | None, Query(description="Only those of which nobody is told now, or only the others.")] = None,
    limit: Limit = 100,
) -> Response:
    city_codes(hub, city)
    open_alerts = hub.alerts.ordered() if device_id is None else hub.alerts.of(str(device_id))
    chosen = [
        alert
        for alert in open_alerts
        if (not city or alert.data.get("city") in city)
        and (not rule or alert.rule in rule)
        and (not severity or alert.severity in severity)
        and acknowledged in (None, alert.acknowledged_ms is not None)
        and suppressed in (None, bool(alert.suppressed_by))
    ]
    now_ms = hub.clock.now_ms()
    return answers.respond({"alerts": [alert_view.render(alert, now_ms=now_ms) for alert in chosen[:limit]], "total": len(chosen)})


@router.post(
    "/alerts/{alert_id}/acknowledge",
    summary="Take an alert",
    description="Writes the operation `alert_acknowledged` to the vehicle's partition, answered when Kafka has it; the alert shows as "
    "acknowledged when the flow has read it. Pressing twice is one operation.",
    status_code=HTTPStatus.ACCEPTED,
    response_model=answers.OperationAccepted,
    responses=NOT_OPEN,
)
async def acknowledge(
    hub: ReadyHub,
    connection: Request,
    alert_id: Annotated[str, Path(max_length=100, description="`alert_id` of the alert.")],
    request: requests.AcknowledgeRequest | None = None,
) -> Response:
    request = request or requests.AcknowledgeRequest.model_validate({})
    by = author(connection, Operation.ALERT_ACKNOWLEDGED.name.lower(), said=request.by)
    alert = hub.alerts.get(alert_id)
    if alert is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no open alert {alert_id!r}")
    if alert.acknowledged_ms is not None:
        when = rfc3339(alert.acknowledged_ms)
        raise Problem(HTTPStatus.CONFLICT, f"the alert must not be acknowledged yet; {alert.acknowledged_by} did it at {when}")
    if alert.device_id is None:
        raise Problem(HTTPStatus.CONFLICT, "an alert about a zone cannot be acknowledged; it clears by itself")
    detail: Detail = {"alert_id": alert_id, "rule": alert.rule, **({"note": request.note} if request.note else {})}
    if request.verdict:
        detail["verdict"] = request.verdict
    key = f"acknowledge.{alert_id}.{by}.{request.note or ''}"
    written = await hub.operations.write(Operation.ALERT_ACKNOWLEDGED, UUID(alert.device_id), by=by, key=key, detail=detail)
    return accepted(written)
