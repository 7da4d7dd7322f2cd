"""The technicians' task list."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from fleetpulse.gateway.egress import answers, maintenance_view
from fleetpulse.gateway.egress.routes.context import PREFIX, Cities, Limit, ReadyHub, city_codes

router = APIRouter(prefix=PREFIX, tags=["alerts"])
Component = Literal["battery", "tyre", "brake", "motor", "structure", "sensor"]


@router.get(
    "/maintenance",
    summary="Open maintenance tasks",
    description="Most urgent first: severity, predicted day, age. A task ends by the operation `maintenance_done`, "
    "a battery swap, or recovery.",
    response_model=answers.MaintenanceList,
)
async def list_tasks(
    hub: ReadyHub,
    city: Cities = (),
    component: Annotated[tuple[Component, ...], Query(description="Only of this component; may be repeated.")] = (),
    severity: Annotated[tuple[answers.Severity, ...], Query(description="Only of this severity; may be repeated.")] = (),
    device_id: Annotated[UUID | None, Query(description="Only of this vehicle.")] = None,
    limit: Limit = 100,
) -> Response:
    city_codes(hub, city)
    tasks = hub.maintenance.ordered() if device_id is None else hub.maintenance.of(str(device_id))
    chosen = [
        task
        for task in tasks
        if (not city or task.data.get("city") in city)
        and (not component or task.data["component"] in component)
        and (not severity or task.data["severity"] in severity)
    ]
    now_ms = hub.clock.now_ms()
    return answers.respond({"tasks": [maintenance_view.render(task, now_ms=now_ms) for task in chosen[:limit]], "total": len(chosen)})
