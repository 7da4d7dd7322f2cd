"""The loss objective over HTTP and as metrics: counts of the fleet and of each vehicle, the worst first, met or not."""

from uuid import UUID

from prometheus_client.parser import text_string_to_metric_families

from fleetpulse.config.settings import Settings
from fleetpulse.gateway.egress import loss
from tests.gateway.egress.conftest import with_gateway
from tests.gateway.egress.support import Running, device, fleet_rows, gateway, problem, publish, state_records, wait_for, wall_ms

VEHICLES = 700
LOST = {device(5): 3, device(9): 40, device(11): 3}
COUNTERS = {"missing": 12, "gaps_overflow": 2}
"""Of each of four shards; the rows' own counts are smaller, as they are when vehicles were evicted."""


def _lossy(settings: Settings, *, stream_ms: int) -> None:
    rows = fleet_rows(VEHICLES, shards=4)
    for mine in rows:
        for id_, missing in LOST.items():
            here = (mine["device_hi"] == id_.int >> 64) & (mine["device_lo"] == id_.int & (1 << 64) - 1)
            mine["missing"][here], mine["duplicate"][here], mine["boot_id"][here], mine["seq"][here] = missing, 10, 7, 89
    publish(settings, state_records(rows, stream_ms=stream_ms, counters=COUNTERS))


def _metrics(running: Running) -> dict[str, float]:
    families = text_string_to_metric_families(running.client.get("/metrics").text)
    return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


def test_fleet_and_vehicles_are_held_against_the_objective(deployment: Settings) -> None:
    _lossy(deployment, stream_ms=wall_ms())
    sent = 100 * VEHICLES - 3 * VEHICLES + 48
    with gateway(deployment) as running:
        answer = running.get("/v1/audit")
        assert answer["frames"]["missing"] == 48
        assert answer["objective"] == {"missing_share": 48 / sent, "limit": 0.0001, "met": False}
        assert answer["objective"] == running.get("/v1/fleet")["objective"]
        assert (answer["gaps_overflow"], answer["vehicles"], answer["vehicles_missing"]) == (8, VEHICLES, 3)
        equals = sorted((device(5), device(11)), key=lambda id_: id_.int)
        assert [(UUID(v["device_id"]), v["missing"]) for v in answer["worst"]] == [(device(9), 40), *((id_, 3) for id_ in equals)]
        assert running.get("/v1/audit", limit=1)["worst"] == answer["worst"][:1]
        one = running.get(f"/v1/vehicles/{device(9)}/audit")
        assert one == answer["worst"][0]
        assert (one["received"], one["duplicate"], one["boot_id"], one["seq"]) == (100, 10, 7, 89)
        assert one["objective"] == {"missing_share": 40 / 130, "limit": 0.0001, "met": False}
        assert running.get(f"/v1/vehicles/{device(1)}/audit")["objective"] == {"missing_share": 0, "limit": 0.0001, "met": True}
        problem(running.client.get(f"/v1/vehicles/{UUID(int=1)}/audit"), 404)
        metrics = _metrics(running)
    assert metrics["fleet_frames_missing"] == 48
    assert metrics["fleet_frames_missing_ratio"] == 48 / sent
    assert metrics["fleet_frames_missing_ratio_objective"] == 0.0001
    assert metrics["fleet_vehicles_missing_frames"] == 3
    assert metrics["fleet_gaps_overflow_total"] == 8


def test_the_objective_is_a_setting(deployment: Settings) -> None:
    _lossy(deployment, stream_ms=wall_ms())
    with gateway(with_gateway(deployment, missing_share_max=0.01)) as running:
        objective = running.get("/v1/audit")["objective"]
        assert (objective["limit"], objective["met"]) == (0.01, True)
        assert _metrics(running)["fleet_frames_missing_ratio_objective"] == 0.01


def test_before_the_first_frame_nothing_is_lost(deployment: Settings) -> None:
    with gateway(deployment) as running:
        answer = running.get("/v1/audit")
        assert answer["objective"] == {"missing_share": 0, "limit": 0.0001, "met": True}
        assert answer["worst"] == []


def test_a_share_at_the_limit_does_not_meet_it() -> None:
    assert loss.objective(received=9_999, duplicate=0, missing=1, limit=0.0001)["met"] is False
    assert loss.objective(received=10_000, duplicate=0, missing=1, limit=0.0001)["met"] is True
    assert loss.share(received=5, duplicate=5, missing=0) == 0.0


def test_without_a_flow_the_gateway_answers_and_says_that_its_state_is_stale(deployment: Settings) -> None:
    """No flow writes any more: what was known is served on, marked; the next block takes the mark away."""
    _lossy(deployment, stream_ms=wall_ms() - 61_000)
    with gateway(deployment) as running:
        assert running.get("/v1/vehicles")["total"] == VEHICLES
        ready = running.get("/readyz")
        assert (ready["ready"], ready["stale"]) == (True, True)
        assert ready["lag_s"] > 60
        assert running.get("/v1/fleet")["stale"] is True
        assert _metrics(running)["fleet_gateway_stale"] == 1
        _lossy(deployment, stream_ms=wall_ms())
        wait_for(lambda: running.get("/readyz")["stale"] is False, "the end of staleness")
        assert running.get("/v1/fleet")["stale"] is False
        assert _metrics(running)["fleet_gateway_stale"] == 0
