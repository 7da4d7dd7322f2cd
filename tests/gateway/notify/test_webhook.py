"""The webhook on a real receiver: everything comes, signed, in order, once more after a restart at most; refusals do not block."""

import hmac
from typing import Any

import orjson

from fleetpulse.alerts import event
from fleetpulse.config.settings import Settings
from fleetpulse.gateway.notify.webhook import SIGNATURE
from tests.gateway.egress.support import NOW_MS, alert, availability, device, encoded, follow_up, gateway, maintenance, publish, wait_for
from tests.gateway.notify.conftest import Receiver

SECRET = "hush"


def told(settings: Settings, receiver: Receiver, **more: Any) -> Settings:
    notify = {"webhook_url": receiver.url, "webhook_secret": SECRET, **more}
    return Settings.model_validate({**settings.model_dump(), "notify": notify})


def events(receiver: Receiver) -> list[dict[str, Any]]:
    return [one for _, body in receiver.taken for one in orjson.loads(body)]


def test_alerts_and_maintenance_come_signed_and_nothing_else(deployment: Settings, receiver: Receiver) -> None:
    raised = alert(device(1), "theft")
    made = [raised, availability(device(1), "reserved", "reservation_start", ms=NOW_MS + 1), maintenance(device(2), "tyre", ms=NOW_MS + 2)]
    made.append(follow_up(raised, event.ALERT_CLEARED, ms=NOW_MS + 3))
    with gateway(told(deployment, receiver)):
        publish(deployment, encoded(made))
        wait_for(lambda: len(events(receiver)) == 3, "three events at the receiver")
    assert {one["id"] for one in events(receiver)} == {made[0].id, made[2].id, made[3].id}
    alerts = [one["id"] for one in events(receiver) if "alert" in one["type"]]
    assert alerts == [made[0].id, made[3].id], "in the order of their topic"
    for headers, body in receiver.taken:
        assert headers["content-type"] == "application/cloudevents-batch+json"
        mac = hmac.new(SECRET.encode(), body, "sha256").hexdigest()
        assert headers[SIGNATURE.lower()] == f"sha256={mac}"


def test_a_receiver_that_fails_is_asked_again_and_what_came_while_the_gateway_was_away_is_told_after_it(
    deployment: Settings, receiver: Receiver
) -> None:
    settings = told(deployment, receiver)
    receiver.answers = [503, 429, 500]
    with gateway(settings) as running:
        publish(deployment, encoded([alert(device(1), "theft")]))
        wait_for(lambda: len(events(receiver)) == 1, "the event after three failures")
        webhook = running.server.hub.webhook
        assert webhook is not None
        assert (webhook.failed, webhook.sent, webhook.refused) == (3, 1, 0)
        assert 'fleet_notify_sent_total{to="webhook"} 1.0' in running.client.get("/metrics").text
    later = [alert(device(i), "tamper", ms=NOW_MS + 60_000 + i) for i in range(2, 5)]
    publish(deployment, encoded(later))
    with gateway(settings):
        wait_for(lambda: {one.id for one in later} <= {one["id"] for one in events(receiver)}, "the events of the time between")


def test_a_batch_that_is_refused_for_good_holds_up_nothing(deployment: Settings, receiver: Receiver) -> None:
    receiver.answers = [400]
    with gateway(told(deployment, receiver)) as running:
        publish(deployment, encoded([alert(device(1), "theft")]))
        wait_for(lambda: receiver.asked == 1, "the refusal")
        publish(deployment, encoded([alert(device(2), "theft", ms=NOW_MS + 5)]))
        wait_for(lambda: len(events(receiver)) == 1, "the next event")
        webhook = running.server.hub.webhook
        assert webhook is not None
        assert (webhook.refused, webhook.sent) == (1, 1)


def test_a_position_that_cannot_be_read_begins_now(deployment: Settings, receiver: Receiver) -> None:
    settings = told(deployment, receiver)
    file = settings.deployment.data_dir / "webhook.cursor"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("what?")
    publish(deployment, encoded([alert(device(1), "theft")]))
    with gateway(settings) as running:
        running.wait_events(1)
        publish(deployment, encoded([alert(device(2), "theft", ms=NOW_MS + 5)]))
        wait_for(lambda: events(receiver), "the new event")
        assert [one["subject"] for one in events(receiver)] == [str(device(2))]
