"""A vehicle's birth or death on `status/{id}` as an operation for the log. Pure; the message's form is codecs/presence.py.

The operation's time is the bridge's: a will carries the time of the connection, and a vehicle's clock may be wrong. Its id comes
from the message, so the same message delivered again makes the same operation. Shared subscriptions get no retained messages and
plain ones only when the session is new, so a birth is told again only after the broker or the bridge has lost the session.
"""

from typing import Any
from uuid import UUID

from fleetpulse.codecs.operations import Operation, OperationRecord
from fleetpulse.codecs.presence import Presence

BY = "bridge"


def operation(device_id: UUID, presence: Presence, *, now_ms: int) -> OperationRecord:
    """`connected` or `disconnected` of a vehicle. A message without a time of its own cannot be told from its repetition."""
    what = Operation.CONNECTED if presence.online else Operation.DISCONNECTED
    told_ms = now_ms if presence.time_ms is None else presence.time_ms
    detail: dict[str, Any] = {"boot_id": presence.boot_id, "vehicle_time_ms": presence.time_ms}
    return OperationRecord(
        operation=what,
        device_id=device_id,
        time_ms=now_ms,
        by=BY,
        operation_id=".".join(str(part) for part in (what.name.lower(), presence.boot_id, told_ms) if part is not None),
        detail={name: value for name, value in detail.items() if value is not None},
    )
