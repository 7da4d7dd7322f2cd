"""Bridge or MQTT broker killed with -9 under load, on Mosquitto and Apache Kafka: every frame of the ledgers is in the log."""

from pathlib import Path

from fleetpulse.config.settings import Settings
from fleetpulse.flows.embedded import free_port
from tests.support.deployments import Vehicles, deployment
from tests.support.metrics import scrape
from tests.support.processes import part, wait_for
from tests.support.servers import ApacheKafka, Mosquitto

LOAD = 2000
"""Frames made between two accidents; about 3 s of load."""


def _measured(settings: Settings) -> Settings:
    """The same for a bridge whose metrics can be read."""
    return settings.model_copy(update={"bridge": settings.bridge.model_copy(update={"metrics_port": free_port()})})


def _taken(settings: Settings) -> float:
    return scrape(settings.bridge.metrics_port).get('fleet_bridge_messages_total{kind="telemetry"}', 0.0)


def test_one_of_two_bridges_that_share_the_vehicles_is_killed(tmp_path: Path, apache: ApacheKafka, mosquitto: Mosquitto) -> None:
    settings = deployment(tmp_path, apache, mosquitto)
    one, two = _measured(settings), _measured(settings)
    with part(one, tmp_path / "one", "bridge"), part(two, tmp_path / "two", "bridge") as victim:
        wait_for(lambda: all(scrape(s.bridge.metrics_port).get("fleet_bridge_mqtt_up") for s in (one, two)), what="both bridges must run")
        with Vehicles(settings, tmp_path, vehicles=200, seed=11) as vehicles:
            wait_for(lambda: _taken(one) > 100 and _taken(two) > 100, what="both bridges must have their share")
            vehicles.make(LOAD)
            victim.process.kill()
            victim.process.wait()
            vehicles.make(LOAD)
            with part(two, tmp_path / "again", "bridge"):
                vehicles.make(LOAD)
                account = vehicles.end()
    assert (account["pending"], account["dropped"]) == (0, 0)
    assert account["frames"] >= 3 * LOAD
    assert vehicles.lost() == set()


def test_mosquitto_is_killed_again_and_again_and_forgets_everything(tmp_path: Path, apache: ApacheKafka, mosquitto: Mosquitto) -> None:
    settings = deployment(tmp_path, apache, mosquitto)
    with part(settings, tmp_path, "bridge"), Vehicles(settings, tmp_path, vehicles=200, seed=12) as vehicles:
        for _ in range(3):
            vehicles.make(LOAD)
            mosquitto.kill()
            vehicles.make(LOAD // 4)
            mosquitto.start()
        vehicles.make(LOAD)
        assert vehicles.account()["connections"] > 200, "the vehicles connected anew"
        account = vehicles.end()
    assert (account["pending"], account["dropped"]) == (0, 0)
    assert vehicles.lost() == set()
