"""For orchestration and monitoring: alive, ready, metrics."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from fleetpulse.gateway.egress import answers
from fleetpulse.gateway.egress.metrics import Metrics
from fleetpulse.gateway.egress.routes.context import AnyHub

router = APIRouter(tags=["health"])
NOT_READY: dict[int | str, dict[str, Any]] = {503: {"model": answers.Ready, "description": "The topics are not read yet."}}


@router.get("/livez", summary="The process serves", description="Depends on nothing else.", response_model=answers.Alive)
async def alive() -> Response:
    return answers.respond({"alive": True})


@router.get(
    "/readyz",
    summary="The topics are read",
    description="200 when the derived topics were read to their end once; from then on the gateway serves what it knows, also "
    "while Kafka is away.",
    response_model=answers.Ready,
    responses=NOT_READY,
)
async def ready(hub: AnyHub) -> Response:
    answer = {"ready": hub.ready, "vehicles": len(hub.state), "kafka_away": hub.feed.away, "lag_s": hub.lag_s, "stale": hub.stale}
    return answers.respond(answer, HTTPStatus.OK if hub.ready else HTTPStatus.SERVICE_UNAVAILABLE)


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus text format."}},
)
async def metrics(request: Request) -> Response:
    registry = request.app.state.metrics
    assert isinstance(registry, Metrics)
    return Response(registry.expose(), headers={"Content-Type": CONTENT_TYPE_LATEST})
