"""The schemas of event data: complete, self-contained, one meaning a name."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from jsonschema import ValidationError

from fleetpulse.alerts import event, schemas
from fleetpulse.alerts.event import Event, Outgoing
from fleetpulse.alerts.states import EVENT_TYPE_NAMES, STATE_NAMES
from tests.support import events

FOLDER = Path(schemas.__file__).parent
DEVICE = "00112233-4455-6677-8899-aabbccddeeff"


def of(type_: str, **data: Any) -> Outgoing:
    evidence = {"rule": "trip", "version": "1", "values": {}}
    made = Event(type_, DEVICE, "trip", "7.1", 1_700_000_000_000, {"device_id": DEVICE, **data, "evidence": evidence})
    return event.encode(made, deployment="test")


def test_every_type_has_one_schema_and_no_other_file_stands_there() -> None:
    assert sorted(f.stem for f in FOLDER.glob("*.json")) == sorted(event.TOPICS)
    for type_ in schemas.TYPES:
        events.validator(type_)
    with pytest.raises(KeyError, match="event type"):
        schemas.load("vehicle.unknown.v1")


def test_a_shared_definition_is_the_same_in_every_schema() -> None:
    seen: dict[str, Any] = {}
    for type_ in schemas.TYPES:
        for name, definition in schemas.load(type_)["$defs"].items():
            assert seen.setdefault(name, definition) == definition, (type_, name)


def test_every_property_says_what_it_is() -> None:
    for type_ in schemas.TYPES:
        schema = schemas.load(type_)
        assert schema["description"]
        assert schema["additionalProperties"] is False
        for name, value in schema["properties"].items():
            target = schema["$defs"].get(value.get("$ref", "").rsplit("/", 1)[-1], {})
            assert "description" in value or "description" in target, (type_, name)


def test_states_and_event_types_are_those_of_the_tables() -> None:
    schema = schemas.load(event.AVAILABILITY_CHANGED)
    assert schema["$defs"]["vehicle_state"]["enum"] == list(STATE_NAMES)
    assert schema["properties"]["event_type"]["enum"] == [n for n in EVENT_TYPE_NAMES if n != "none"]


def test_a_good_event_passes_also_as_a_record_read_back() -> None:
    record = of(event.TRIP_STARTED, started_ms=1_700_000_000_000)
    decoded = events.validate(record)
    assert decoded["data"]["started_ms"] == 1_700_000_000_000
    assert events.validate((record.headers, record.value)) == decoded


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"started_ms": 1.5},
        {"started_ms": 1, "latitude_deg": 91},
        {"started_ms": 1, "city": None},
        {"started_ms": 1, "trip_id": "x"},
        {"started_ms": 1, "rider": "Ada"},
    ],
)
def test_data_that_the_schema_does_not_allow_fails(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        events.validate(of(event.TRIP_STARTED, **wrong))


def test_an_alert_is_about_a_vehicle_or_a_zone_but_not_both() -> None:
    data = {"alert_id": DEVICE, "rule": "battery_cluster", "severity": "warning", "reason": "Many.", "raised_ms": 1}
    events.validate(of(event.ALERT_RAISED, **data))
    with pytest.raises(ValidationError):
        events.validate(of(event.ALERT_RAISED, **data, zone="881f1d4889fffff", city="berlin"))


def test_headers_that_are_missing_or_wrong_fail() -> None:
    record = of(event.TRIP_STARTED, started_ms=1)
    with pytest.raises(AssertionError, match="ce_time"):
        events.validate(([h for h in record.headers if h[0] != "ce_time"], record.value))
    with pytest.raises(AssertionError, match="subject"):
        events.validate(([*record.headers], orjson.dumps({**orjson.loads(record.value), "device_id": "0" * 8 + DEVICE[8:]})))
