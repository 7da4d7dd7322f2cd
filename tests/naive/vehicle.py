"""What the naive shard knows of one vehicle, and a FRAME row as plain Python."""

from dataclasses import dataclass, field
from typing import Any

from fleetpulse.codecs.schema import FIELDS
from fleetpulse.state.facts import Condition
from tests.naive.audit import SetAuditor
from tests.naive.conditions import Frame
from tests.naive.minutes import Minute

LAST_GOOD = {
    "speed": "speed_mps",
    "altitude": "altitude_m",
    "soc": "battery_soc_pct",
    "voltage": "battery_voltage_v",
    "current": "battery_current_a",
    "odometer": "odometer_m",
}


@dataclass
class Trip:
    id: int
    started_ms: int
    soc_pct: float | None
    place: tuple[int, int] | None
    distance_m: float = 0.0
    energy_wh: float = 0.0
    ended: tuple[int, int] | None = None  # event time and offset of the first frame out of use
    unlocked: bool = False
    paused: bool = False


@dataclass
class Vehicle:
    slot: int
    device: int
    auditor: SetAuditor = field(default_factory=SetAuditor)
    heard_alive_ms: int = 0
    offset: int = 0
    newest_ms: int | None = None
    boot: tuple[int, int] = (0, 0)
    status: int = 0
    city: int = 0
    model: int = 0
    place: tuple[int, int] | None = None
    good: dict[str, float | None] = field(default_factory=lambda: dict.fromkeys(LAST_GOOD))
    anchor: tuple[int, int, float] | None = None
    picked_up: bool = False
    active: set[Condition] = field(default_factory=set)
    dwells: dict[Condition, tuple[int, int]] = field(default_factory=dict)
    late_raised: set[Condition] = field(default_factory=set)
    trip: Trip | None = None
    windows: dict[int, Minute] = field(default_factory=dict)

    def fastest_mps(self) -> float | None:
        """Within the window of the newest frame."""
        frames = self.windows[max(self.windows)].frames if self.windows else []
        return max((frame["speed_mps"] for _, frame in frames if frame["speed_mps"] is not None), default=None)


def frame_of(row: Any) -> Frame:
    """A FRAME row as a dictionary of plain Python; None: not measured."""
    frame: Frame = {name: row[name].item() for name in row.dtype.names}
    for known in FIELDS:
        if known.optional and known.name != "previous_last_seq":
            value = frame[known.name]
            if value == known.missing or value != value:
                frame[known.name] = None
    frame["device"] = frame["device_hi"] << 64 | frame["device_lo"]
    frame["trip"] = frame["trip_hi"] << 64 | frame["trip_lo"]
    return frame
