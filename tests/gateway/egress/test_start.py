"""Start and end: catching up, a Kafka that is away, a port in use, signals, settings that must not be served."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from fleetpulse.alerts import event
from fleetpulse.config.settings import ConfigError, Settings
from fleetpulse.flows import topics
from fleetpulse.flows.child import spawn
from fleetpulse.flows.embedded import EmbeddedKafka, free_port
from fleetpulse.gateway.egress.main import check, listen
from tests.gateway.egress.conftest import make_settings, with_gateway
from tests.gateway.egress.support import (
    NOW_MS,
    Running,
    alert,
    availability,
    device,
    encoded,
    fleet_rows,
    follow_up,
    gateway,
    maintenance,
    problem,
    publish,
    recommendation,
    state_records,
    wait_for,
)


def shown(running: Running) -> list[object]:
    """What a client can see of the fleet, without ages."""
    alerts = [{k: v for k, v in a.items() if k != "age_s"} for a in running.get("/v1/alerts")["alerts"]]
    tasks = [{k: v for k, v in t.items() if k != "age_s"} for t in running.get("/v1/maintenance")["tasks"]]
    events = sorted(e["id"] for e in running.get("/v1/events", cursor="start", limit=1000)["events"])
    return [running.get("/v1/vehicles", limit=1000), alerts, tasks, events, running.get("/v1/rebalance")]


def test_a_restart_shows_what_was_shown_before(deployment: Settings) -> None:
    rows = fleet_rows(900, shards=4)
    crash, gone = alert(device(1), "crash", severity="critical"), alert(device(2), "tipped")
    made = [
        crash,
        gone,
        follow_up(gone, event.ALERT_CLEARED, ms=NOW_MS + 1),
        maintenance(device(3), "tyre"),
        recommendation("881f1d4887fffff", expires_ms=4_000_000_000_000),
        *(availability(device(i), "on_trip", "trip_start", ms=NOW_MS + i, cause=f"5.{i}") for i in range(100)),
    ]
    with gateway(deployment) as running:
        publish(deployment, [*state_records(rows), *encoded(made)])
        for mine in rows:
            mine["battery_soc_pct"] = 50
        publish(deployment, state_records(rows, stream_ms=NOW_MS + 2_000))
        running.wait_events(len(made))
        wait_for(lambda: running.get("/v1/vehicles", min_soc=50, max_soc=50)["total"] == 900, "the newest state")
        before = shown(running)
    with gateway(deployment) as running:
        assert shown(running) == before
        assert running.get("/v1/alerts")["total"] == 1


def test_only_the_last_events_are_kept(deployment: Settings) -> None:
    settings = with_gateway(deployment, events_kept=1_000)
    made = [availability(device(i % 50), "on_trip", "trip_start", ms=NOW_MS + i, cause=f"5.{i}") for i in range(2_500)]
    with gateway(settings) as running:
        publish(settings, encoded(made[:100]))
        running.wait_events(100)
        old = running.get("/v1/events", limit=1)["next_cursor"]
        publish(settings, encoded(made[100:]))
        running.wait_events(2_500)
        answer = running.get("/v1/events", cursor=old, limit=1000)
        assert (len(answer["events"]), answer["more"], answer["lost"]) == (1_000, False, 1_400)


def test_a_record_that_breaks_its_contract_is_counted_and_passed_over(deployment: Settings) -> None:
    good = encoded([alert(device(1), "crash")])
    state = state_records(fleet_rows(10, shards=4))
    bad = [
        good[0].__class__("fleet.alerts", b"k", b"{", good[0].headers),
        good[0].__class__("fleet.alerts", b"k", b'{"no": "alert"}', good[0].headers),
        good[0].__class__("fleet.alerts", b"k", good[0].value),
        good[0].__class__("fleet.alerts", b"k", b"[]", good[0].headers),
        good[0].__class__("fleet.state", b"0.0", b"no arrow", partition=0),
        good[0].__class__("fleet.state", b"0.0", b"", partition=0),
        good[0].__class__("fleet.zones", b"z", state[0].value, partition=0),
    ]
    publish(deployment, [*bad, *good, *state])
    with gateway(deployment) as running:
        assert running.get("/v1/vehicles")["total"] == 10
        assert running.get("/v1/alerts")["total"] == 1
        text = running.client.get("/metrics").text
    assert 'fleet_gateway_feed_rejected_total{topic="fleet.alerts"} 4.0' in text
    assert 'fleet_gateway_feed_rejected_total{topic="fleet.state"} 1.0' in text
    assert 'fleet_gateway_feed_rejected_total{topic="fleet.zones"} 1.0' in text


@pytest.mark.timeout(90)
def test_a_kafka_that_is_away_at_the_start_is_waited_for(tmp_path: Path) -> None:
    broker = EmbeddedKafka(tmp_path / "kafka", free_port())
    broker.port = broker._fixed_port
    settings = make_settings(tmp_path, broker)
    with gateway(settings, ready=False) as running:
        assert running.client.get("/livez").json() == {"alive": True}
        answer = running.client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["ready"] is False
        refused = running.client.get("/v1/vehicles")
        assert "must read its topics" in problem(refused, 503)
        assert refused.headers["retry-after"]
        assert running.client.get("/metrics").status_code == 200
        assert running.get("/v1/cities")["cities"]
        with broker:
            topics.ensure(settings)
            publish(settings, state_records(fleet_rows(10, shards=4)))
            wait_for(lambda: running.client.get("/readyz").status_code == 200, "/readyz 200")
            wait_for(lambda: running.get("/v1/vehicles")["total"] == 10, "the fleet")


def test_the_end_does_not_wait_for_a_kafka_that_is_away(tmp_path: Path) -> None:
    broker = EmbeddedKafka(tmp_path / "kafka")
    broker.port = free_port()
    with gateway(make_settings(tmp_path, broker), ready=False):
        pass  # gateway() fails when it does not end


def command(settings: Settings, tmp_path: Path, **env: str) -> tuple[list[str], dict[str, str]]:
    environment = {
        **os.environ,
        "FLEETPULSE_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "FLEETPULSE_KAFKA__PARTITIONS": "4",
        **env,
    }
    return [sys.executable, "-m", "fleetpulse.flows.cli", "gateway"], environment


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_exit_code_0(deployment: Settings, tmp_path: Path, number: signal.Signals) -> None:
    port = free_port()
    arguments, env = command(deployment, tmp_path, FLEETPULSE_GATEWAY__PORT=str(port))
    log_file = tmp_path / "gateway.log"
    process = spawn(arguments, log_file, env=env)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:

            def is_ready() -> bool:
                assert process.poll() is None, log_file.read_text()
                try:
                    return client.get("/readyz").status_code == 200
                except httpx.TransportError:
                    return False

            wait_for(is_ready, "/readyz 200", limit_s=60)
            with client.stream("GET", "/v1/stream") as stream:
                lines = stream.iter_lines()
                next(lines)
                process.send_signal(number)
                assert process.wait(10) == 0, log_file.read_text()
    finally:
        process.kill()
    assert f"http://127.0.0.1:{port}" in log_file.read_text()
    assert "Traceback" not in log_file.read_text()


def test_a_port_in_use_is_one_clear_line_and_exit_code_1(deployment: Settings, tmp_path: Path) -> None:
    with listen(deployment) as taken:
        port = taken.getsockname()[1]
        arguments, env = command(deployment, tmp_path, FLEETPULSE_GATEWAY__PORT=str(port))
        done = subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"fleetpulse: the gateway needs 127.0.0.1:{port}; got: Address already in use (stop what uses it, or set gateway.port)"
    )


@pytest.mark.parametrize(
    ("gateway_settings", "says"),
    [
        ({"host": "0.0.0.0"}, "loopback"),
        ({"host": "::"}, "loopback"),
        ({"host": "fleet.example"}, "loopback"),
        ({"auth": "jwt"}, "must be set"),
    ],
)
def test_settings_that_would_serve_strangers_are_refused(tmp_path: Path, gateway_settings: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        check(Settings.model_validate({"gateway": gateway_settings}))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_addresses_may_be_served(host: str) -> None:
    check(Settings.model_validate({"gateway": {"host": host}}))


def test_nothing_of_it_runs_on_when_it_has_ended(deployment: Settings) -> None:
    before = set(threading.enumerate())
    with gateway(deployment):
        pass
    left = [thread.name for thread in set(threading.enumerate()) - before if not thread.name.startswith("asyncio_")]
    assert left == []
