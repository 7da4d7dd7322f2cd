"""Errors of a peer's bytes or of stored state, and the bounded list of reasons why input is rejected. The reason is the metric's label."""

from typing import Final, Literal, get_args

Reason = Literal["framing", "identity", "oversize", "malformed", "device_id", "json", "operation", "misrouted"]
"""Why a payload or frame went to the dead-letter topic.

framing    the lengths of the payload's frames do not end exactly at its end (or it is empty)
identity   a frame carries another device id than its MQTT topic
oversize   the payload is larger than 1 MiB
malformed  a frame's protobuf fields cannot be read
device_id  a device id is not 16 bytes, or absent
json       JSON that cannot be parsed, or a field of the wrong kind
operation  an operation that is unknown or incomplete
misrouted  a frame that belongs to another partition than the one it was read from
"""
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)

Quarantine = Literal["clock_ahead", "too_old"]
"""Why a frame was set aside though it was well formed: its clock is > 5 min ahead, or > 48 h behind, of stream time."""
QUARANTINES: Final[tuple[Quarantine, ...]] = get_args(Quarantine)


class WireError(ValueError):
    """A peer sent bytes that break the contract. `reason` is one of Reason."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


class RefusedError(RuntimeError):
    """Stored state that this program must not go on with. Trying again changes nothing: a human decides (docs/operations.md)."""


def shown(value: object) -> str:
    """A peer's value for a message: short, and safe for values nested so deep that repr would fail."""
    return f"{value!r:.60}" if value is None or isinstance(value, str | int | float | bytes) else f"a {type(value).__name__}"
