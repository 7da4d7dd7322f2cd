"""What a bridge exports. Counted as plain integers where it happens, turned into metrics when Prometheus scrapes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import HTTPServer
from threading import Thread

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fleetpulse.codecs.errors import REASONS
from fleetpulse.gateway.ingress.record import Kind

HOST = "127.0.0.1"


@dataclass
class Totals:
    """Since the start of the process. `written` by Kind; `rejected` by reason."""

    messages: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("telemetry", "alert", "status", "other"), 0))
    bytes: int = 0
    frames: int = 0
    acknowledged: int = 0
    answered: int = 0
    answers_refused: int = 0
    connections_lost: int = 0
    rejected: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))


@dataclass(frozen=True)
class Levels:
    """At this moment. `written`: records that Kafka has acknowledged, by Kind; `refused`: payloads that it will never take."""

    messages_in_flight: int
    bytes_in_flight: int
    kafka_up: bool
    mqtt_up: bool
    written: tuple[int, ...]
    refused: int


class BridgeMetrics(Collector):
    def __init__(self, totals: Totals, levels: Callable[[], Levels]) -> None:
        self._totals = totals
        self._levels = levels

    def collect(self) -> Iterable[Metric]:
        t, now = self._totals, self._levels()
        for name, text, value in (
            ("fleet_bridge_payload_bytes", "Bytes of MQTT payloads received.", t.bytes),
            ("fleet_bridge_frames", "Frames in the payloads that were taken.", t.frames),
            ("fleet_bridge_acknowledged", "MQTT messages acknowledged, each after Kafka had it.", t.acknowledged),
            ("fleet_bridge_answers", "Answers published to vehicles.", t.answered),
            (
                "fleet_bridge_answers_refused",
                "Response topics that were not the vehicle's own, or came without correlation data.",
                t.answers_refused,
            ),
            ("fleet_bridge_refused", "Payloads that Kafka refused for good; they went to the dead-letter topic.", now.refused),
            ("fleet_bridge_mqtt_connections_lost", "Connections to the MQTT broker that were lost.", t.connections_lost),
        ):
            yield CounterMetricFamily(name, text, value=value)
        for name, text, label, values in (
            ("fleet_bridge_messages", "MQTT messages received.", "kind", t.messages),
            ("fleet_bridge_rejected", "Payloads that went to the dead-letter topic.", "reason", t.rejected),
            ("fleet_bridge_records", "Kafka records acknowledged.", "kind", {kind.name.lower(): now.written[kind] for kind in Kind}),
        ):
            family = CounterMetricFamily(name, text, labels=(label,))
            for label_value, value in values.items():
                family.add_metric((label_value,), value)
            yield family
        for name, text, level in (
            ("fleet_bridge_in_flight_messages", "MQTT messages not yet acknowledged.", now.messages_in_flight),
            ("fleet_bridge_in_flight_bytes", "Bytes held or on their way to Kafka.", now.bytes_in_flight),
            ("fleet_bridge_kafka_up", "1 while Kafka acknowledges.", int(now.kafka_up)),
            ("fleet_bridge_mqtt_up", "1 while connected and subscribed.", int(now.mqtt_up)),
        ):
            yield GaugeMetricFamily(name, text, value=level)


class Server:
    """`/metrics` on a loopback port; 0: none. Raises OSError with one clear line when the port is in use."""

    def __init__(self, port: int, metrics: Collector) -> None:
        self._server: HTTPServer | None = None
        self._thread: Thread | None = None
        if not port:
            return
        registry = CollectorRegistry()
        registry.register(metrics)
        try:
            self._server, self._thread = start_http_server(port, addr=HOST, registry=registry)
        except OSError as error:
            raise OSError(f"the bridge's metrics need port {port} on {HOST}; got: {error.strerror} (set bridge.metrics_port)") from None

    def close(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
