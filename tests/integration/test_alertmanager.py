"""Open alerts on Debian's Alertmanager: raised, graver, acknowledged, cleared; over a kill of Alertmanager and a restart of the gateway."""

from typing import Any

from fleetpulse.alerts import event
from fleetpulse.config.settings import Settings
from tests.gateway.egress.conftest import deployment, kafka
from tests.gateway.egress.support import alert, device, encoded, follow_up, gateway, publish, wait_for, wall_ms
from tests.support.servers import Alertmanager

__all__ = ["deployment", "kafka"]


def pushed(settings: Settings, server: Alertmanager, *, resend_s: float = 1) -> Settings:
    return Settings.model_validate({**settings.model_dump(), "notify": {"alertmanager_url": server.url, "resend_s": resend_s}})


def firing(server: Alertmanager) -> dict[str, dict[str, Any]]:
    """alert_id -> what Alertmanager holds as active."""
    return {one["labels"]["alert_id"]: one for one in server.alerts() if one["status"]["state"] == "active"}


def test_an_alert_is_told_from_raise_to_clear(deployment: Settings, alertmanager: Alertmanager) -> None:
    now_ms = wall_ms()
    theft = alert(device(1), "theft", severity="warning", ms=now_ms)
    other = alert(device(2), "tamper", severity="critical", ms=now_ms + 1)
    with gateway(pushed(deployment, alertmanager)) as running:
        publish(deployment, encoded([theft, other]))
        wait_for(lambda: len(firing(alertmanager)) == 2, "both alerts at Alertmanager")
        told = firing(alertmanager)[theft.id]
        assert told["labels"]["alertname"] == "theft"
        assert (told["labels"]["severity"], told["labels"]["device_id"], told["labels"]["city"]) == ("warning", str(device(1)), "berlin")
        assert told["annotations"]["summary"] == theft.data["reason"]
        assert told["generatorURL"].endswith(f"/v1/alerts/{theft.id}")
        publish(deployment, encoded([follow_up(theft, event.ALERT_ESCALATED, ms=now_ms + 10, severity="critical")]))
        wait_for(lambda: firing(alertmanager)[theft.id]["labels"]["severity"] == "critical", "the graver severity, and no second alert")
        publish(deployment, encoded([follow_up(theft, event.ALERT_ACKNOWLEDGED, ms=now_ms + 20, by="kim")]))
        wait_for(lambda: firing(alertmanager)[theft.id]["annotations"].get("acknowledged_by") == "kim", "who has it")
        publish(deployment, encoded([follow_up(theft, event.ALERT_CLEARED, ms=now_ms + 30)]))
        wait_for(lambda: set(firing(alertmanager)) == {other.id}, "the cleared alert to be resolved")
        push = running.server.hub.alertmanager
        assert push is not None
        assert push.failed == 0


def test_a_suppressed_alert_is_not_told_and_a_resumed_and_a_reopened_one_is(deployment: Settings, alertmanager: Alertmanager) -> None:
    now_ms = wall_ms()
    theft, other = alert(device(1), "theft", ms=now_ms), alert(device(2), "tamper", ms=now_ms + 1)
    with gateway(pushed(deployment, alertmanager)) as running:
        publish(deployment, encoded([theft, other]))
        wait_for(lambda: len(firing(alertmanager)) == 2, "both alerts")
        until_ms = now_ms + 3_600_000
        publish(
            deployment,
            encoded([follow_up(theft, event.ALERT_SUPPRESSED, ms=now_ms + 10, suppressed_by=["snooze"], until_ms=until_ms, by="a")]),
        )
        wait_for(lambda: set(firing(alertmanager)) == {other.id}, "the snoozed alert to be resolved")
        shown = running.client.get("/v1/alerts", params={"suppressed": True}).json()
        assert [(one["alert_id"], one["snoozed_until_ms"]) for one in shown["alerts"]] == [(theft.id, until_ms)]
        publish(deployment, encoded([follow_up(theft, event.ALERT_RESUMED, ms=now_ms + 20)]))
        wait_for(lambda: set(firing(alertmanager)) == {theft.id, other.id}, "the resumed alert")
        publish(deployment, encoded([follow_up(theft, event.ALERT_CLEARED, ms=now_ms + 30)]))
        wait_for(lambda: set(firing(alertmanager)) == {other.id}, "the cleared alert to be resolved")
        publish(deployment, encoded([follow_up(theft, event.ALERT_REOPENED, ms=now_ms + 40, reopened=1)]))
        wait_for(lambda: set(firing(alertmanager)) == {theft.id, other.id}, "the reopened alert, under the same id")


def test_alertmanager_that_was_killed_has_all_again(deployment: Settings, alertmanager: Alertmanager) -> None:
    one, two = (alert(device(i), "theft", ms=wall_ms() + i) for i in (1, 2))
    settings = pushed(deployment, alertmanager)
    with gateway(settings) as running:
        publish(deployment, encoded([one]))
        wait_for(lambda: set(firing(alertmanager)) == {one.id}, "the alert")
        alertmanager.kill()
        publish(deployment, encoded([two, follow_up(one, event.ALERT_CLEARED, ms=wall_ms() + 10)]))
        push = running.server.hub.alertmanager
        assert push is not None
        wait_for(lambda: push.failed > 0, "a push that fails")
        alertmanager.start()
        wait_for(lambda: set(firing(alertmanager)) == {two.id}, "what is open, and only that")
    alertmanager.kill()
    alertmanager.start()
    with gateway(settings):
        wait_for(lambda: set(firing(alertmanager)) == {two.id}, "what is open, from a gateway that was started anew")


def test_a_gateway_that_is_gone_holds_up_no_alert(deployment: Settings, alertmanager: Alertmanager) -> None:
    """Alertmanager ends what is not sent again."""
    with gateway(pushed(deployment, alertmanager)):
        publish(deployment, encoded([alert(device(1), "theft", ms=wall_ms())]))
        wait_for(lambda: firing(alertmanager), "the alert")
    wait_for(lambda: not firing(alertmanager), "the end of an alert that nobody sends")
