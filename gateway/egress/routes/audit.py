"""The proof of loss: the sequence audit of the fleet and of one vehicle, each against the objective."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from fleetpulse.gateway.egress import answers, loss, metrics
from fleetpulse.gateway.egress.feed_items import uuid_of
from fleetpulse.gateway.egress.hub import Hub
from fleetpulse.gateway.egress.routes.context import PREFIX, DeviceId, ReadyHub, row_of

router = APIRouter(prefix=PREFIX, tags=["fleet"])
NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": answers.Problem, "description": "No such vehicle has been seen."}}


def fleet_objective(hub: Hub) -> dict[str, Any]:
    """The objective over all that has reached the flow."""
    counts = metrics.frames(hub.state.counters())
    limit = hub.settings.gateway.missing_share_max
    return loss.objective(received=counts["received"], duplicate=counts["duplicate"], missing=counts["missing"], limit=limit)


@router.get(
    "/audit",
    summary="Which frames are missing",
    description="Every vehicle numbers its frames, and the first of a boot tells where the boot before ended, so what never came is known. "
    "A frame that comes late closes its gap. Counts of the fleet, and the vehicles that miss most.",
    response_model=answers.FleetAudit,
)
async def fleet_audit(
    hub: ReadyHub, limit: Annotated[int, Query(ge=0, le=1000, description="How many vehicles that miss frames are listed at most.")] = 20
) -> Response:
    counters, missing = hub.state.counters(), hub.state.missing()
    most = hub.settings.gateway.missing_share_max
    vehicles = [
        {"device_id": uuid_of(int(row["device_hi"]), int(row["device_lo"])), **loss.audit(row, limit=most)}
        for row in loss.worst(missing, limit)
    ]
    answer = {
        "frames": metrics.frames(counters),
        "objective": fleet_objective(hub),
        "gaps_overflow": counters.get("gaps_overflow", 0),
        "vehicles": len(hub.state),
        "vehicles_missing": len(missing),
        "worst": vehicles,
    }
    return answers.respond(answer)


@router.get(
    "/vehicles/{device_id}/audit",
    summary="Which frames of a vehicle are missing",
    response_model=answers.Audit,
    responses=NOT_FOUND,
)
async def vehicle_audit(hub: ReadyHub, device_id: DeviceId) -> Response:
    row = hub.state.rows[row_of(hub, device_id)]
    limit = hub.settings.gateway.missing_share_max
    return answers.respond({"device_id": str(device_id), **loss.audit(row, limit=limit)})
