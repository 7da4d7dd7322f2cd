"""Kafka gone for ten minutes of the deployment's time, under load: agents and bridge hold within their bounds, catch up, and lose nothing
that the bounds do not make them drop; what they drop is counted, and the sequence audit sees it."""

import time
from pathlib import Path

import orjson
import pytest

from fleetpulse.config.settings import Settings
from fleetpulse.flows import topics
from fleetpulse.flows.child import Part
from fleetpulse.flows.embedded import free_port
from fleetpulse.flows.offsets import lag
from tests.gateway.egress.support import gateway
from tests.support.deployments import Vehicles, deployment
from tests.support.metrics import scrape
from tests.support.processes import part, wait_for, workers
from tests.support.servers import ApacheKafka, Mosquitto, running

SPEED = 20.0
OUTAGE_MS = 600_000
VEHICLES = 20
SETTLED = 1000
"""Frames that may be under way when the rest is caught up: some seconds of load."""
CATCH_UP_S = 120.0
RECEIVE_MAXIMUM = 200


def _settings(folder: Path, apache: ApacheKafka, mosquitto: Mosquitto, **agent: int) -> Settings:
    return deployment(
        folder,
        apache,
        mosquitto,
        clock={"speed": SPEED},
        bridge={"receive_maximum": RECEIVE_MAXIMUM, "metrics_port": free_port()},
        gateway={"port": 0},
        agent=agent,
    )


def _in_flight(settings: Settings) -> float:
    return scrape(settings.bridge.metrics_port).get("fleet_bridge_in_flight_messages", 0.0)


def _behind(settings: Settings) -> int:
    return lag(settings, group="fleetpulse.telemetry", topic=topics.TELEMETRY, partitions=4)


def _until_running(settings: Settings, flow: Part) -> None:
    def up() -> bool:
        known = scrape(settings.bridge.metrics_port)
        return known.get("fleet_bridge_mqtt_up") == known.get("fleet_bridge_kafka_up") == 1.0 and len(workers(flow)) == 1

    wait_for(up, limit_s=90, what="bridge and flow must run")


def _away(apache: ApacheKafka, settings: Settings) -> float:
    """Kill Kafka, let the outage pass under load, start it again. The most messages that the bridge had in flight."""
    apache.kill()
    began, most = time.monotonic(), 0.0

    def over() -> bool:
        nonlocal most
        most = max(most, _in_flight(settings))
        return (time.monotonic() - began) * 1000 * SPEED >= OUTAGE_MS

    wait_for(over, limit_s=120, what="the outage must end")
    assert scrape(settings.bridge.metrics_port)["fleet_bridge_kafka_up"] == 0
    apache.start()
    return most


@pytest.mark.timeout(600)
def test_within_the_bounds_nothing_is_lost_and_no_part_restarts(tmp_path: Path, apache: ApacheKafka, mosquitto: Mosquitto) -> None:
    settings = _settings(tmp_path, apache, mosquitto)
    with (
        part(settings, tmp_path, "flow", "telemetry") as flow,
        part(settings, tmp_path, "bridge") as bridge,
        Vehicles(settings, tmp_path, vehicles=VEHICLES, seed=31) as vehicles,
    ):
        _until_running(settings, flow)
        vehicles.make(1000)
        (worker,) = workers(flow)
        made = vehicles.frames()
        most = _away(apache, settings)
        outage = vehicles.frames() - made
        vehicles.make(1000)
        wait_for(lambda: vehicles.account()["pending"] < SETTLED, limit_s=CATCH_UP_S, what="agents and bridge must catch up")
        account = vehicles.end()
        assert [p.pid for p in workers(flow)] == [worker.pid], "the outage must not restart the flow"
        assert bridge.end(limit_s=15) == 0
        wait_for(lambda: _behind(settings) == 0, limit_s=CATCH_UP_S, what="the flow must catch up")
    assert outage > 2000, "there was load all the while"
    assert 0 < most <= RECEIVE_MAXIMUM + 1
    assert (account["pending"], account["dropped"]) == (0, 0)
    assert account["duplicates"] < 4 * outage, "copies of what nobody answers do not multiply"
    assert vehicles.lost() == set()


@pytest.mark.timeout(600)
def test_beyond_the_bounds_what_is_lost_is_counted_and_the_audit_names_it(tmp_path: Path, apache: ApacheKafka) -> None:
    """A store of 1 MiB, and a broker that keeps few messages: both are full long before Kafka is back."""
    with running(Mosquitto(tmp_path / "mosquitto", config_lines=["max_queued_messages 500"])) as mosquitto:
        settings = _settings(tmp_path, apache, mosquitto, store_bytes=1 << 20)
        with (
            part(settings, tmp_path, "flow", "telemetry") as flow,
            part(settings, tmp_path, "bridge"),
            Vehicles(settings, tmp_path, vehicles=2 * VEHICLES, seed=32) as vehicles,
            gateway(settings) as served,
        ):
            _until_running(settings, flow)
            vehicles.make(1000)
            most = _away(apache, settings)
            assert vehicles.account()["store_bytes"] <= (1 << 20) + (2 << 17)
            vehicles.make(2000)
            wait_for(lambda: vehicles.account()["pending"] < SETTLED, limit_s=CATCH_UP_S, what="agents and bridge must catch up")
            account = vehicles.end()
            lost = vehicles.lost()
            wait_for(
                lambda: served.get("/v1/audit")["frames"]["missing"] == len(lost),
                limit_s=CATCH_UP_S,
                what=f"the audit must name {len(lost)} frames; ledger {orjson.dumps(account).decode()}",
            )
            assert served.get("/v1/audit")["objective"]["met"] is False
    assert most <= RECEIVE_MAXIMUM + 1
    assert account["pending"] == 0
    assert 0 < len(lost) <= account["dropped"]
