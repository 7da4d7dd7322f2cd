"""What becomes of a record that Kafka refuses for good: each payload of it is tried alone; one that is refused alone is a dead letter.

Alone, because Kafka judges a batch: librdkafka puts records together, the packer payloads, and one that is too large takes the others
with it. Pure; produce.py sends.
"""

import hashlib

from confluent_kafka import KafkaError

from fleetpulse.gateway.ingress.record import Kind, Record

REASON = "refused"
"""Header `reason` of such a dead letter. Not one of the flow's reasons: the frames are missing in the log, and its audit says so."""
DEAD_LETTER_BYTES = 64 << 10

_PERMANENT = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE, KafkaError.INVALID_RECORD)
"""Errors that are the record's own. Others (rights, a topic that is absent, a clock) are the deployment's: they pass when it is mended."""


def for_good(error: KafkaError) -> bool:
    """Whether the same record will be refused every time."""
    return error.code() in _PERMANENT


def payloads(record: Record) -> list[Record]:
    """A record for each payload of `record`."""
    return [Record(record.kind, record.partition, (part,), key=record.key, headers=record.headers, messages=1) for part in record.parts]


def letter(record: Record, error: KafkaError, *, topic: str) -> Record:
    """The dead letter of a record of one payload. Source is the place in `topic` that it did not get."""
    value = b"".join(record.parts)
    headers = {
        "reason": REASON,
        "length": str(len(value)),
        "sha256": hashlib.sha256(value).hexdigest(),
        "source-topic": topic,
        "source-partition": str(record.partition),
        "source-offset": "-1",
        "position": "-1",
        "detail": error.str(),
    }
    encoded = tuple((name, text.encode()) for name, text in headers.items())
    return Record(Kind.DEAD_LETTER, None, (value[:DEAD_LETTER_BYTES],), headers=encoded, messages=1)
