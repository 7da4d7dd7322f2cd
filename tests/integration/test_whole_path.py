"""Vehicles to events on real servers: what comes out is what the log says, and Prometheus sees every part."""

from pathlib import Path

from fleetpulse.flows import topics
from fleetpulse.flows.embedded import free_port
from fleetpulse.flows.offsets import lag
from tests.support.deployments import Vehicles, deployment
from tests.support.engine import emitted, expected
from tests.support.processes import part, wait_for
from tests.support.servers import ApacheKafka, Mosquitto, Prometheus, running

QUERIES = {
    'sum(fleet_bridge_messages_total{kind="telemetry"})': "bridge",
    "sum(fleet_flow_frames_processed_total)": "flow",
    "sum(fleet_vehicles)": "gateway",
    "rate(fleet_flow_frames_received_total[30s])": "flow",
}
"""Documented in docs/metrics.md -> whose they are."""


def test_from_vehicles_to_events_with_every_part_seen_by_prometheus(tmp_path: Path, apache: ApacheKafka, mosquitto: Mosquitto) -> None:
    bridge_port, flow_port = free_port(), free_port()
    settings = deployment(
        tmp_path,
        apache,
        mosquitto,
        bridge={"metrics_port": bridge_port},
        flow={"epoch_s": 0.5, "metrics_port": flow_port},
    )
    ports = {"bridge": bridge_port, "flow": flow_port, "gateway": settings.gateway.port}
    targets = {job: [f"127.0.0.1:{port}"] for job, port in ports.items()}

    def behind() -> int:
        return lag(settings, group="fleetpulse.telemetry", topic=topics.TELEMETRY, partitions=4)

    with (
        part(settings, tmp_path, "gateway"),
        part(settings, tmp_path, "flow", "telemetry"),
        part(settings, tmp_path, "bridge") as bridge,
        Vehicles(settings, tmp_path, vehicles=100, seed=21, scenario="mixed") as vehicles,
        running(Prometheus(tmp_path / "prometheus", targets=targets)) as prometheus,
    ):
        vehicles.make(5000)
        wait_for(
            lambda: {labels["job"]: value for labels, value in prometheus.query("up")} == dict.fromkeys(ports, 1.0),
            what="Prometheus must reach every part",
        )
        for query, job in QUERIES.items():
            wait_for(lambda q=query: any(value > 0 for _, value in prometheus.query(q)), what=f"{job} must export {query}")  # type: ignore[misc]
        account = vehicles.end()
        assert bridge.end(limit_s=15) == 0, "its ticks would go on"
        wait_for(lambda: behind() == 0, what="the flow must read the log to its end")
    assert account["pending"] == 0
    assert vehicles.lost() == set()
    wanted = expected(settings)
    assert len(wanted) > 20
    assert emitted(settings) == wanted
