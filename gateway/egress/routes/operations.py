"""Operations on a vehicle: what people and services did."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from fleetpulse.codecs.operations import Operation
from fleetpulse.gateway.egress import answers, operations, requests
from fleetpulse.gateway.egress.auth import author, own_key
from fleetpulse.gateway.egress.operations import Written
from fleetpulse.gateway.egress.routes.context import PREFIX, DeviceId, ReadyHub, row_of

router = APIRouter(prefix=PREFIX, tags=["operations"])
NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": answers.Problem, "description": "No such vehicle has been seen."}}


def accepted(written: Written) -> Response:
    """The answer to an operation that Kafka has."""
    record = written.record
    answer = {
        "operation_id": record.operation_id,
        "operation": record.operation.name.lower(),
        "device_id": str(record.device_id),
        "time_ms": record.time_ms,
        "by": record.by,
        "partition": written.partition,
        "offset": written.offset,
        "repeated": written.repeated,
    }
    return answers.respond(answer, HTTPStatus.ACCEPTED)


@router.post(
    "/vehicles/{device_id}/operations",
    summary="Report an operation",
    description="Written to the vehicle's own partition of the raw topic, so that a replay meets it in the same order; answered when Kafka "
    "has it, 503 with `Retry-After` when Kafka does not answer in time. The flow decides what it leads to (an illegal move leads to "
    "nothing); follow the vehicle's events. With an `Idempotency-Key` a repetition is the same operation.",
    status_code=HTTPStatus.ACCEPTED,
    response_model=answers.OperationAccepted,
    responses=NOT_FOUND,
)
async def report(
    hub: ReadyHub,
    connection: Request,
    device_id: DeviceId,
    request: requests.OperationRequest,
    idempotency_key: Annotated[
        str | None, Header(min_length=1, max_length=255, description="Chosen by the client, one for each operation.")
    ] = None,
) -> Response:
    by = author(connection, request.operation, said=request.by)
    row_of(hub, device_id)
    names = ("reservation_id", "component", "rule", "minutes", "until_ms", "mode", "note")
    detail: operations.Detail = {name: value for name in names if (value := getattr(request, name)) is not None}
    written = await hub.operations.write(
        Operation[request.operation.upper()],
        device_id,
        by=by,
        key=own_key(connection, idempotency_key),
        detail=detail,
    )
    return accepted(written)
