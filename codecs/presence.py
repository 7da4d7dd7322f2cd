"""What a vehicle says on `status/{device_id}`: birth and death. JSON to a Presence and back. No I/O, no clock.

The agent publishes `{"state": "online", "boot_id": 7, "time_ms": 1700000000000}`, retained, when it has connected, and leaves the
same with "offline" as its will (or publishes it before it says goodbye). A will's time_ms is that of the connection, not of the
death. boot_id and time_ms may be absent. The bridge makes the operations `connected` and `disconnected` of it.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from fleetpulse.codecs.errors import WireError, shown

_ONLINE = {"online": True, "offline": False}
_LIMITS = {"boot_id": 2**32, "time_ms": 2**62}


@dataclass(frozen=True)
class Presence:
    """One message on `status/{device_id}`. time_ms: the vehicle's clock, ms since 1970."""

    online: bool
    boot_id: int | None = None
    time_ms: int | None = None


def encode(presence: Presence) -> bytes:
    """The message's JSON bytes. The inverse is decode."""
    value: dict[str, Any] = {"state": "online" if presence.online else "offline", "boot_id": presence.boot_id, "time_ms": presence.time_ms}
    return orjson.dumps({name: found for name, found in value.items() if found is not None})


def decode(payload: bytes) -> Presence:
    """A presence from a message. Raises WireError: json when it is none, operation when a key is missing or of the wrong kind."""
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise WireError("json", f"a status must be JSON; {error}") from None
    state = value.get("state") if isinstance(value, dict) else None
    if not isinstance(state, str) or state not in _ONLINE:
        raise WireError("operation", f"a status must have the state online or offline; got {payload[:60]!r}")
    for name, limit in _LIMITS.items():
        found = value.get(name)
        if found is not None and (not isinstance(found, int) or isinstance(found, bool) or not 0 <= found < limit):
            raise WireError("operation", f"{name} of a status must be an integer within 0-{limit - 1}; got {shown(found)}")
    return Presence(_ONLINE[state], value.get("boot_id"), value.get("time_ms"))
