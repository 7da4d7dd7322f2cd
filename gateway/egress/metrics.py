"""`/metrics`: what the gateway knows about fleet, audit, feed and its own clients, read when asked. Labels are bounded."""

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Histogram, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleetpulse.alerts.states import STATE_NAMES
from fleetpulse.codecs.errors import QUARANTINES, REASONS
from fleetpulse.gateway.egress import loss
from fleetpulse.gateway.egress.hub import Hub

TRANSPORTS = ("sse", "websocket")
OUTCOMES = ("received", "processed", "duplicate", "late", "quarantined", "dead_lettered")
_REQUEST_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


def frames(counters: dict[str, int]) -> dict[str, int]:
    """The audit's sums by outcome, and what is missing now."""
    sums = {name: counters.get(name, 0) for name in OUTCOMES[:4]}
    for name in OUTCOMES[4:]:
        sums[name] = sum(value for key, value in counters.items() if key.startswith(name + "."))
    return {**sums, "missing": counters.get("missing", 0)}


class _Collector:
    """Makes the metrics from the hub's views."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def collect(self) -> Iterator[Metric]:
        yield from self._fleet()
        yield from self._audit()
        yield from self._feed()
        yield from self._clients()
        yield from self._notify()

    def _fleet(self) -> Iterator[Metric]:
        hub = self._hub
        vehicles = GaugeMetricFamily(
            "fleet_vehicles", "Vehicles by city, model and state", labels=["city", "vehicle_model", "vehicle_state"]
        )
        for city, model, state, n in hub.state.counts():
            vehicles.add_metric([_name(hub.fleet.city_names, city), _name(hub.fleet.model_names, model), _name(STATE_NAMES, state)], n)
        yield vehicles
        events = CounterMetricFamily("fleet_events", "Events read, each once, by type", labels=["type"])
        for type_, n in hub.events_seen.items():
            events.add_metric([type_], n)
        yield events
        alerts = GaugeMetricFamily("fleet_alerts_open", "Open alerts", labels=["rule", "severity"])
        sums: dict[tuple[str, str], int] = {}
        for alert in hub.alerts:
            sums[alert.rule, alert.severity] = sums.get((alert.rule, alert.severity), 0) + 1
        for (rule, severity), n in sums.items():
            alerts.add_metric([rule, severity], n)
        yield alerts
        yield GaugeMetricFamily("fleet_maintenance_open", "Open maintenance tasks", value=len(hub.maintenance))
        yield HistogramMetricFamily(
            "fleet_event_latency_seconds",
            "Kafka timestamp of the causing record to that of the event",
            buckets=hub.latency.cumulative(),
            sum_value=hub.latency.sum_s,
        )

    def _audit(self) -> Iterator[Metric]:
        counters = self._hub.state.counters()
        sums = frames(counters)
        outcomes = CounterMetricFamily("fleet_frames", "Frames by outcome, as the flow counted them", labels=["outcome"])
        for outcome in OUTCOMES:
            outcomes.add_metric([outcome], sums[outcome])
        yield outcomes
        yield GaugeMetricFamily("fleet_frames_missing", "Frames that sequence numbers say are missing", value=sums["missing"])
        share = loss.share(received=sums["received"], duplicate=sums["duplicate"], missing=sums["missing"])
        yield GaugeMetricFamily("fleet_frames_missing_ratio", "Missing frames over those sent", value=share)
        limit = self._hub.settings.gateway.missing_share_max
        yield GaugeMetricFamily("fleet_frames_missing_ratio_objective", "What that must stay below", value=limit)
        yield GaugeMetricFamily("fleet_vehicles_missing_frames", "Vehicles that miss a frame", value=len(self._hub.state.missing()))
        overflow = counters.get("gaps_overflow", 0)
        yield CounterMetricFamily("fleet_gaps_overflow", "Gaps dropped because a vehicle had more than eight", value=overflow)
        for name, reasons in (("quarantined", QUARANTINES), ("dead_lettered", REASONS)):
            metric = CounterMetricFamily(f"fleet_frames_{name}", f"Frames {name.replace('_', '-')} by reason", labels=["reason"])
            for reason in reasons:
                metric.add_metric([reason], counters.get(f"{name}.{reason}", 0))
            yield metric
        yield CounterMetricFamily("fleet_fields_implausible", "Fields set to missing as out of range", value=counters.get("implausible", 0))

    def _feed(self) -> Iterator[Metric]:
        hub = self._hub
        yield GaugeMetricFamily("fleet_gateway_ready", "1: the topics were read to their end once", value=int(hub.ready))
        yield GaugeMetricFamily("fleet_gateway_kafka_away", "1: no Kafka broker answers", value=int(hub.feed.away))
        yield GaugeMetricFamily("fleet_gateway_stale", "1: the state is older than gateway.stale_s", value=int(hub.stale))
        lag = GaugeMetricFamily(
            "fleet_gateway_feed_lag_seconds", "Deployment's clock less the newest Kafka timestamp read", labels=["topic"]
        )
        records = CounterMetricFamily("fleet_gateway_feed_records", "Records read", labels=["topic"])
        rejected = CounterMetricFamily("fleet_gateway_feed_rejected", "Records that break their topic's contract", labels=["topic"])
        now_ms = hub.clock.now_ms()
        for topic, n in hub.feed.records.items():
            records.add_metric([topic], n)
            rejected.add_metric([topic], hub.feed.rejected[topic])
            if topic in hub.feed.newest_ms:
                lag.add_metric([topic], max(0, now_ms - hub.feed.newest_ms[topic]) / 1000)
        yield from (lag, records, rejected)

    def _notify(self) -> Iterator[Metric]:
        push, webhook = self._hub.alertmanager, self._hub.webhook
        sent = CounterMetricFamily("fleet_notify_sent", "Alerts that Alertmanager took, events that the webhook took", labels=["to"])
        failed = CounterMetricFamily("fleet_notify_failed", "Requests that failed and are tried again", labels=["to"])
        if push is not None:
            sent.add_metric(["alertmanager"], push.sent)
            failed.add_metric(["alertmanager"], push.failed)
        if webhook is not None:
            sent.add_metric(["webhook"], webhook.sent)
            failed.add_metric(["webhook"], webhook.failed)
            yield CounterMetricFamily("fleet_notify_refused", "Events that the webhook refused for good", value=webhook.refused)
            yield CounterMetricFamily(
                "fleet_notify_dropped", "Events that left the log before the webhook took them", value=webhook.dropped
            )
        yield from (sent, failed)

    def _clients(self) -> Iterator[Metric]:
        hub = self._hub
        clients = GaugeMetricFamily("fleet_gateway_stream_clients", "Open streams", labels=["transport"])
        for transport in TRANSPORTS:
            clients.add_metric([transport], hub.streams.count(transport))
        yield clients
        yield GaugeMetricFamily(
            "fleet_gateway_stream_behind_events", "Events the slowest stream is behind", value=hub.streams.furthest_behind()
        )
        yield CounterMetricFamily("fleet_gateway_stream_dropped_events", "Events skipped for slow streams", value=hub.streams.dropped)
        operations = CounterMetricFamily("fleet_gateway_operations", "Operations by outcome", labels=["outcome"])
        for outcome, n in hub.operations.outcomes.items():
            operations.add_metric([outcome], n)
        yield operations


def _name(names: tuple[str, ...], code: int) -> str:
    return (names[code] if code < len(names) else "") or "none"


class Metrics:
    """The registry of one gateway, and the time that requests take."""

    def __init__(self, hub: Hub) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(hub))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._requests = Histogram(
            "fleet_gateway_request_duration_seconds",
            "Time to answer, streams left out",
            ["method", "route", "status"],
            buckets=_REQUEST_BUCKETS_S,
            registry=self._registry,
        )

    def expose(self) -> bytes:
        return generate_latest(self._registry)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, f"{status // 100}xx").observe(seconds)


class Timed:
    """ASGI middleware: observes each HTTP request under its route's template; streams are left out."""

    METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, streams = time.perf_counter(), 500, False

        async def watched(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                streams = any(value.startswith(b"text/event-stream") for name, value in message["headers"] if name == b"content-type")
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            if not streams:
                method = scope["method"] if scope["method"] in self.METHODS else "other"
                route = getattr(scope.get("route"), "path_format", None) or getattr(scope.get("route"), "path", None) or "none"
                self._metrics.observe(method, route, status, time.perf_counter() - began)
