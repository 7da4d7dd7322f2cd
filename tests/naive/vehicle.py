"""What the naive shard knows of one vehicle, and a FRAME row as plain Python."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fleetpulse.codecs.schema import FIELDS, Status
from fleetpulse.state.facts import Condition
from fleetpulse.state.parameters import Rules
from tests.naive.audit import SetAuditor
from tests.naive.clocks import VehicleClock
from tests.naive.conditions import Frame
from tests.naive.health import Health
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
    disconnected: bool = False
    cadence_s: dict[bool, float] = field(default_factory=lambda: {False: 0.0, True: 0.0})  # by whether it is in use
    back: tuple[int, int, int] | None = None  # heard again since when (alive), offset, after how long
    clock: VehicleClock = field(default_factory=VehicleClock)
    health: Health = field(default_factory=Health)
    active: set[Condition] = field(default_factory=set)
    dwells: dict[Condition, tuple[int, int]] = field(default_factory=dict)
    late_raised: set[Condition] = field(default_factory=set)
    trip: Trip | None = None
    windows: dict[int, Minute] = field(default_factory=dict)

    def limit_ms(self, rules: Rules) -> int:
        """Of silence, after which it is offline."""
        least_s = min(rules.offline_disconnected_s, rules.offline_s) if self.disconnected else rules.offline_s
        expected_ms = int(self.cadence_s[bool(self.status & Status.IN_USE)] * 1e3 * rules.offline_gaps)
        return max(round(least_s * 1000), min(expected_ms, round(rules.offline_longest_s * 1000)))

    def learn_gap(self, status: int, gap_ms: int, rules: Rules) -> None:
        """A frame of `status` came so long after the one before; our outages do not count."""
        if gap_ms <= 0:
            return
        in_use, longest_ms = bool(self.status & Status.IN_USE), rules.offline_longest_s * 1000
        learned = self.cadence_s[in_use]
        if gap_ms * 1e-3 > learned and gap_ms <= longest_ms and not status & Status.BACKLOG:
            learned += 0.5 * (gap_ms * 1e-3 - learned)
        self.cadence_s[in_use] = float(np.float32(learned * max(0.0, 1 - gap_ms / (12 * longest_ms))))

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
