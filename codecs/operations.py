"""The JSON records in `vehicle-telemetry` that say what people and other systems did. Names, codes, encode and decode.

No I/O, no clock. The flow meets them between frames, in the same order in every replay.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any
from uuid import UUID

import orjson

from fleetpulse.codecs.errors import WireError, shown


class Operation(IntEnum):
    """What was done; the lower-case name is the JSON value."""

    RESERVATION_START = 1
    RESERVATION_STOP = 2
    RESERVATION_CANCEL = 3
    MAINTENANCE_DONE = 4
    REBALANCE_PICK_UP = 5
    DROP_OFF = 6
    DECOMMISSIONED = 7
    RECOMMISSIONED = 8
    ALERT_ACKNOWLEDGED = 9
    CONNECTED = 10
    DISCONNECTED = 11
    SNOOZE = 12
    SERVICE_MODE = 13


@dataclass(frozen=True)
class OperationRecord:
    """One operation. `detail` holds the keys beyond the common ones: alert_id, rule, component, reservation_id, note,
    verdict (true or false; alert_acknowledged), minutes or until_ms (snooze), mode (on or off; service_mode)."""

    operation: Operation
    device_id: UUID
    time_ms: int
    by: str
    operation_id: str
    detail: dict[str, Any]


def encode(record: OperationRecord) -> bytes:
    """The record's JSON bytes. The inverse is decode."""
    return orjson.dumps(
        {
            "operation": record.operation.name.lower(),
            "device_id": str(record.device_id),
            "time_ms": record.time_ms,
            "by": record.by,
            "operation_id": record.operation_id,
            **record.detail,
        }
    )


def decode(value: dict[str, Any]) -> OperationRecord:
    """An operation from parsed JSON. Raises WireError with reason `operation` when a key is missing or of the wrong kind."""
    for name, found in value.items():
        if isinstance(found, dict | list):
            raise WireError("operation", f"{name[:60]} of an operation must be text or a number; got {shown(found)}")
    try:
        operation = Operation[str(value["operation"]).upper()]
        device_id = UUID(str(value["device_id"]))
        time_ms = int(value["time_ms"])
    except (KeyError, ValueError, TypeError) as error:
        raise WireError(
            "operation", f"operation must have a known name, a UUID device_id and an integer time_ms; {shown(str(error))}"
        ) from None
    if not device_id.int:
        raise WireError("operation", "device_id of an operation must not be all zero")
    if not 0 <= time_ms < 2**62:
        raise WireError("operation", f"time_ms must be within 0-2^62; got {shown(value['time_ms'])}")
    common = {"operation", "device_id", "time_ms", "by", "operation_id"}
    return OperationRecord(
        operation=operation,
        device_id=device_id,
        time_ms=time_ms,
        by=str(value.get("by", "")),
        operation_id=str(value.get("operation_id") or f"{operation.name.lower()}.{time_ms}"),
        detail={k: v for k, v in value.items() if k not in common},
    )
