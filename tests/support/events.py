"""The contract of every event on a Kafka topic: CloudEvents 1.0 in binary mode, data that its JSON Schema allows.

For the tests of all parts: whoever emits or reads events calls `validate` on each.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any
from uuid import UUID

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from jsonschema import Draft202012Validator

from fleetpulse.alerts import event, schemas
from fleetpulse.alerts.event import Outgoing

HEADERS = frozenset(
    {"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time", "ce_partitionkey", "content-type"},
)
Headers = Iterable[tuple[str, bytes]]


@cache
def validator(type_: str) -> Draft202012Validator:
    """The validator of a type's data (the type without its prefix)."""
    schema = schemas.load(type_)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def validate(record: Outgoing | tuple[Headers, bytes]) -> dict[str, Any]:
    """Check a record, ours or one read back; the event as alerts.event.decode gives it. Fails with AssertionError or ValidationError.

    record  what a flow hands to a sink, or (headers, value) of a Kafka record
    """
    headers, value = (record.headers, record.value) if isinstance(record, Outgoing) else record
    headers = list(headers)
    names = [name for name, _ in headers]
    assert len(names) == len(set(names)), f"a header must stand once; got {names}"
    assert set(names) >= HEADERS, f"an event must have the headers {sorted(HEADERS)}; missing {sorted(HEADERS - set(names))}"
    decoded = event.decode(value, headers)
    type_ = decoded["type"].removeprefix(event.TYPE_PREFIX)
    assert decoded["type"] == event.TYPE_PREFIX + type_, f"a type must start with {event.TYPE_PREFIX}; got {decoded['type']}"
    assert type_ in event.TOPICS, f"a type must be one of {sorted(event.TOPICS)}; got {type_}"
    assert decoded["specversion"] == "1.0"
    assert UUID(decoded["id"]).version == 5
    assert decoded["source"].startswith("/fleetpulse/")
    assert decoded["partitionkey"] == decoded["subject"]
    _validate_as_a_stranger_reads_it(headers, value, decoded)
    validator(type_).validate(decoded["data"])
    about = decoded["data"].get("device_id", decoded["data"].get("zone"))
    assert about == decoded["subject"], f"data must be about the subject {decoded['subject']}; got {about}"
    if isinstance(record, Outgoing):
        assert record.topic == event.TOPICS[type_], f"{type_} must go to {event.TOPICS[type_]}; got {record.topic}"
        assert record.key == decoded["subject"].encode()
    return decoded


def _validate_as_a_stranger_reads_it(headers: list[tuple[str, bytes]], value: bytes, ours: dict[str, Any]) -> None:
    """The `cloudevents` package must read the same event."""
    theirs = from_binary(KafkaMessage(headers=dict(headers), key=ours["subject"].encode(), value=value), JSONFormat())
    assert (theirs.get_id(), theirs.get_type(), theirs.get_source()) == (ours["id"], ours["type"], ours["source"])
    assert theirs.get_subject() == ours["subject"]
    assert theirs.get_extension("partitionkey") == ours["subject"]
    assert theirs.get_datacontenttype() == "application/json"
    assert theirs.get_data() == ours["data"]
    time = theirs.get_time()
    assert time is not None
    assert time.utcoffset() is not None, "an event's time must have a time zone"
