"""A record that Kafka will never take holds up nothing: its payloads are tried alone, and what is refused alone is a dead letter."""

import hashlib

from confluent_kafka import KafkaError
from structlog.testing import capture_logs

from fleetpulse.codecs.batch import DeadLetter
from fleetpulse.config.settings import Settings
from fleetpulse.gateway.ingress import refusals
from fleetpulse.gateway.ingress.record import Kind, Record
from tests.support.frames import logged
from tests.support.ingress import Sender, batch, dead_letters, running, until, vehicle

LIMIT = 70_000
_DEVICE = vehicle(1)


def test_each_payload_of_a_record_becomes_one_of_its_own() -> None:
    record = Record(Kind.PACKED, 3, (b"a", b"bc"), messages=2)
    parts = refusals.payloads(record)
    assert [(part.kind, part.partition, part.parts, part.size, part.messages) for part in parts] == [
        (Kind.PACKED, 3, [b"a"], 1, 1),
        (Kind.PACKED, 3, [b"bc"], 2, 1),
    ]


def test_a_refused_payloads_dead_letter_has_the_headers_of_all_dead_letters() -> None:
    payload = b"x" * 100_000
    letter = refusals.letter(Record(Kind.JSON, 2, (payload,), key=b"k"), KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), topic="t")
    other = DeadLetter("framing", b"", 0, "", "t", -1, -1, -1)
    assert [name for name, _ in letter.headers] == [name for name, _ in other.headers()]
    told = dict(letter.headers)
    assert (told["reason"], told["source-topic"], told["source-partition"], told["length"]) == (b"refused", b"t", b"2", b"100000")
    assert told["sha256"].decode() == hashlib.sha256(payload).hexdigest()
    assert (letter.kind, letter.partition, letter.parts) == (Kind.DEAD_LETTER, None, [payload[: 64 << 10]])


def test_what_the_deployment_can_mend_is_not_for_good() -> None:
    codes = ("TOPIC_AUTHORIZATION_FAILED", "UNKNOWN_TOPIC_OR_PART", "INVALID_TIMESTAMP", "_MSG_TIMED_OUT", "NOT_ENOUGH_REPLICAS")
    assert not any(refusals.for_good(KafkaError(getattr(KafkaError, code))) for code in codes)


def test_a_payload_that_is_too_large_is_a_dead_letter_and_its_neighbours_arrive(deployment: Settings) -> None:
    kafka = deployment.kafka.model_copy(update={"options": {"message.max.bytes": str(LIMIT)}})
    settings = deployment.model_copy(update={"kafka": kafka})
    large = batch(_DEVICE, *range(1000, 3000))
    assert len(large) > LIMIT
    with capture_logs() as logs, running(settings) as bridge, Sender(deployment.mqtt.port) as sender:
        for seq, payload in enumerate((batch(_DEVICE, 1), large, batch(_DEVICE, 2), large, batch(_DEVICE, 3))):
            sender.send(f"telemetry/{_DEVICE}", payload, response=f"ack/{_DEVICE}", correlation=b"%d" % seq)
        assert until(lambda: len(sender.answers) == 5)
        assert bridge.levels().refused == 2
        assert bridge.levels().messages_in_flight == bridge.levels().bytes_in_flight == len(bridge._deliveries) == 0
    assert [correlation for _, correlation in sender.answers] == [b"0", b"1", b"2", b"3", b"4"]
    assert sorted(logged(deployment)) == [(_DEVICE.bytes, 1, seq) for seq in (1, 2, 3)]
    letters = dead_letters(deployment)
    assert [(headers["reason"], int(headers["length"]), value) for headers, value in letters] == [
        (b"refused", len(large), large[: 64 << 10])
    ] * 2
    assert sum(line["event"].startswith("Kafka refuses a payload for good") for line in logs) == 1, "the metric counts the rest"
