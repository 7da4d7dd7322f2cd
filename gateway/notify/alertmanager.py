"""Open alerts to an Alertmanager (API v2): sent when they change and again every `resend_s`, resolved when they are cleared.

A suppressed alert (snoozed, or explained by another rule) is not sent, and resolved if it was; it is sent anew when it is resumed.
Alertmanager groups, silences and tells people. Its own clock is the wall's: an alert that is not sent again ends by itself after
ALIVE_RESENDS intervals, so that a gateway that died holds up nothing. Delivery: what was not taken is sent again at the next turn.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import structlog

from fleetpulse.config.settings import Settings
from fleetpulse.gateway.egress.alert_view import Alert, AlertView
from fleetpulse.gateway.notify.shown import place, reason

log = structlog.get_logger()

ALIVE_RESENDS = 4
BATCH = 1_000
"""Alerts in one request."""
TIMEOUT_S = 10.0
LOOK_S = 1.0
"""Between two looks at what has changed."""

Labels = tuple[tuple[str, str], ...]


def labels_of(alert: Alert, deployment: str) -> Labels:
    """What Alertmanager tells alerts apart by. A graver severity makes another alert of it, and the old one is resolved."""
    values = {
        "alertname": alert.rule,
        "severity": alert.severity,
        "deployment": deployment,
        "alert_id": alert.alert_id,
        **{name: str(alert.data[name]) for name in ("device_id", "zone", "city", "vehicle_model") if alert.data.get(name)},
    }
    return tuple(sorted(values.items()))


def body(alert: Alert, labels: Labels, *, ends: datetime, gateway: str) -> dict[str, Any]:
    """The alert as API v2 takes it."""
    annotations = {"summary": str(alert.data.get("reason", alert.rule))}
    if alert.acknowledged_by is not None:
        annotations["acknowledged_by"] = alert.acknowledged_by
    begins = datetime.fromtimestamp(alert.raised_ms / 1000, UTC)
    return {
        "labels": dict(labels),
        "annotations": annotations,
        "startsAt": min(begins, ends).isoformat(),
        "endsAt": ends.isoformat(),
        "generatorURL": f"{gateway}/v1/alerts/{alert.alert_id}",
    }


class AlertmanagerPush:
    """Follows the open alerts of one gateway. `ready`: whether they are known; before that nothing is sent.

    sent, failed  counters of alerts taken and of requests that failed
    """

    def __init__(self, settings: Settings, alerts: AlertView, ready: Callable[[], bool]) -> None:
        assert settings.notify.alertmanager_url is not None, "it is made for one"
        self._notify = settings.notify
        self._url = settings.notify.alertmanager_url
        self._deployment = settings.deployment.name
        scheme = "http" if settings.gateway.certificate_file is None else "https"
        self._gateway = f"{scheme}://{settings.gateway.host}:{settings.gateway.port}"
        self._alerts = alerts
        self._ready = ready
        self._known: dict[str, tuple[Alert, Labels, int]] = {}  # alert id -> what Alertmanager has of it, and its version
        self._resolving: dict[Labels, Alert] = {}
        self._away = False
        self.sent = 0
        self.failed = 0

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        next_full = loop.time()
        async with httpx.AsyncClient(base_url=str(self._url), timeout=TIMEOUT_S) as client:
            while True:
                if self._ready():
                    full = loop.time() >= next_full
                    if await self._turn(client, full=full) and full:
                        next_full = loop.time() + self._notify.resend_s
                await asyncio.sleep(LOOK_S)

    async def _turn(self, client: httpx.AsyncClient, *, full: bool) -> bool:
        """Send what changed, or everything. False when some of it was not taken."""
        open_now = {alert.alert_id: alert for alert in self._alerts if not alert.suppressed_by}
        for alert_id, (alert, labels, _) in list(self._known.items()):
            current = open_now.get(alert_id)
            if current is None or labels_of(current, self._deployment) != labels:
                self._resolving[labels] = alert
                del self._known[alert_id]
        changed = [alert for alert in open_now.values() if full or self._version(alert) != self._known.get(alert.alert_id, (0, 0, -1))[2]]
        now = datetime.now(UTC)
        done = True
        for batch in _batches(list(self._resolving.items())):
            bodies = [body(alert, labels, ends=now, gateway=self._gateway) for labels, alert in batch]
            if await self._post(client, bodies):
                for labels, _ in batch:
                    del self._resolving[labels]
            else:
                done = False
        ends = now + timedelta(seconds=ALIVE_RESENDS * self._notify.resend_s)
        for alerts in _batches(changed):
            told = [(alert, labels_of(alert, self._deployment), self._version(alert)) for alert in alerts]
            if await self._post(client, [body(alert, labels, ends=ends, gateway=self._gateway) for alert, labels, _ in told]):
                self._known |= {one[0].alert_id: one for one in told}
            else:
                done = False
        return done

    @staticmethod
    def _version(alert: Alert) -> int:
        return hash((alert.severity, alert.data_ms, alert.acknowledged_ms))

    async def _post(self, client: httpx.AsyncClient, bodies: list[dict[str, Any]]) -> bool:
        try:
            answer = await client.post("/api/v2/alerts", json=bodies)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            self.failed += 1
            if not self._away:
                log.warning("Alertmanager does not take alerts; trying again", url=place(self._url), error=reason(error))
            self._away = True
            return False
        if self._away:
            log.info("Alertmanager is back")
        self._away = False
        self.sent += len(bodies)
        return True


def _batches(values: list[Any]) -> Iterable[list[Any]]:
    return (values[i : i + BATCH] for i in range(0, len(values), BATCH))
