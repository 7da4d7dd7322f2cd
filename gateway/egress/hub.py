"""Everything that the routes read, in one place, and the one function through which it changes. Server's event loop only."""

import asyncio
from collections.abc import Callable

import structlog

from fleetpulse.alerts.states import EVENT_TYPE_NAMES, STATE_NAMES
from fleetpulse.config.clock import Clock
from fleetpulse.config.fleet import Fleet
from fleetpulse.config.settings import Settings
from fleetpulse.gateway.egress.alert_view import AlertView
from fleetpulse.gateway.egress.availability_view import AvailabilityView
from fleetpulse.gateway.egress.event_log import TYPES, EventLog
from fleetpulse.gateway.egress.feed_items import FeedEvent, Item, StateBlock
from fleetpulse.gateway.egress.kafka_feed import KafkaFeed
from fleetpulse.gateway.egress.latency import Latency
from fleetpulse.gateway.egress.maintenance_view import MaintenanceView
from fleetpulse.gateway.egress.operations import Operations
from fleetpulse.gateway.egress.state_view import StateView
from fleetpulse.gateway.egress.streams import Streams
from fleetpulse.gateway.egress.vehicle_json import VehicleJson
from fleetpulse.gateway.egress.zone_view import RebalanceView, ZoneView
from fleetpulse.gateway.notify.alertmanager import AlertmanagerPush
from fleetpulse.gateway.notify.webhook import Webhook

log = structlog.get_logger()

DISORDER_MS = 10_000
"""How far Kafka timestamps of different partitions may be out of order, on the wall."""


class Hub:
    """The gateway's state. `failed(sentence)` is called when Kafka refused for good."""

    def __init__(self, settings: Settings, fleet: Fleet, *, failed: Callable[[str], None]) -> None:
        self.settings = settings
        self.fleet = fleet
        self.clock = Clock(settings.clock)
        self.state = StateView()
        self.vehicle_json = VehicleJson(fleet.city_names, fleet.model_names)
        self.events = EventLog(settings.gateway.events_kept, overlap_ms=int(DISORDER_MS * self.clock.speed))
        self.alerts = AlertView()
        self.maintenance = MaintenanceView()
        self.availability = AvailabilityView()
        self.zones = ZoneView()
        self.rebalance = RebalanceView()
        self.streams = Streams(self.events, queue=settings.gateway.client_queue)
        self.operations = Operations(settings, self.clock)
        self.ready = False
        self.events_seen: dict[str, int] = {**dict.fromkeys(TYPES, 0), "other": 0}
        self.latency = Latency()
        self.alertmanager = AlertmanagerPush(settings, self.alerts, lambda: self.ready) if settings.notify.alertmanager_url else None
        cursor_file = settings.deployment.data_dir / "webhook.cursor"
        self.webhook = Webhook(settings, self.streams, cursor_file) if settings.notify.webhook_url else None
        self._caught_up = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        names = {
            "city": fleet.city_names,
            "vehicle_model": fleet.model_names,
            "vehicle_state": STATE_NAMES,
            "event_type": EVENT_TYPE_NAMES,
        }
        self.feed = KafkaFeed(
            settings, self.clock, names, apply=self.apply, complete=self.state.complete, ready=self._on_ready, failed=failed
        )

    def start(self) -> None:
        """Begin to read and to write; call it on the running event loop."""
        loop = asyncio.get_running_loop()
        self.operations.start(loop)
        self.feed.start(loop)
        if self.alertmanager is not None:
            self._tasks.append(loop.create_task(self.alertmanager.run()))
        if self.webhook is not None:
            self._tasks.append(loop.create_task(self.webhook.run(self._caught_up)))
        for task in self._tasks:
            task.add_done_callback(_say_failure)

    async def stop(self) -> None:
        """Returns when the threads have ended."""
        self.streams.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.feed.stop()
        self.operations.stop()
        await asyncio.to_thread(self.feed.join)
        await asyncio.to_thread(self.operations.join)

    def _on_ready(self) -> None:
        self.ready = True
        self._caught_up.set()
        log.info("caught up", vehicles=len(self.state), events=self.events.newest, open_alerts=len(self.alerts))

    def apply(self, items: list[Item]) -> None:
        """Take what the feed has read. The only place where the views change."""
        before = self.events.newest
        for item in items:
            if isinstance(item, StateBlock):
                self.state.apply(item)
            elif isinstance(item, FeedEvent):
                self._apply_event(item)
            else:
                self.zones.apply(item)
        if self.events.newest != before:
            self.streams.announce()

    def _apply_event(self, item: FeedEvent) -> None:
        if not self.events.append(item):
            return
        self.events_seen[item.type if item.type in self.events_seen else "other"] += 1
        self.alerts.apply(item)
        self.maintenance.apply(item)
        self.availability.apply(item)
        self.rebalance.apply(item)
        if item.recorded_ms and self.ready:
            self.latency.add((item.append_ms - item.recorded_ms) / 1000 / self.clock.speed)

    @property
    def lag_s(self) -> float:
        """How far the newest stream time that is known is behind the deployment's clock; 0 before any is known."""
        return max(0, self.clock.now_ms() - self.state.stream_ms) / 1000 if self.state.stream_ms else 0.0

    @property
    def stale(self) -> bool:
        """Whether the state is too old to be called the present."""
        return self.lag_s > self.settings.gateway.stale_s

    def city_code(self, name: str) -> int | None:
        """Code of a configured city, None for another name."""
        return self.fleet.city_names.index(name) if name and name in self.fleet.city_names else None


def _say_failure(task: "asyncio.Task[None]") -> None:
    """A notifier ends by being cancelled; anything else is a fault that must not be silent."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a notifier has ended", error=repr(error))
