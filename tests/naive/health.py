"""Whether a vehicle's senses can be believed, in obvious Python. The twin of state/health.py."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fleetpulse.codecs.schema import Status
from fleetpulse.state.facts import Sensor
from fleetpulse.state.parameters import Rules
from tests.naive.conditions import Frame
from tests.naive.places import distance_m

Doubt = frozenset[str]
"""Of "place", "charge", "speed", "charging"."""
E7_M = 6_371_008.8 * np.pi / 180 * 1e-7


@dataclass(frozen=True)
class Before:
    """The vehicle before its newest frame. dt_ms: since the one before; None: there is none."""

    dt_ms: int | None
    status: int
    energy_wh: float
    good: dict[str, float | None]
    place: tuple[int, int] | None
    anchored: bool


def left_out(sensors: int) -> Doubt:
    what = set()
    if sensors & (Sensor.POSITION_STUCK | Sensor.POSITION_JUMPS):
        what.add("place")
    if sensors & (Sensor.CHARGE_FROZEN | Sensor.CHARGE_JUMPS):
        what.add("charge")
    if sensors & Sensor.SPEED:
        what.add("speed")
    return frozenset(what)


def without(frame: Frame, doubt: Doubt) -> Frame:
    """The frame as if it had not measured that."""
    less = dict(frame)
    if "place" in doubt:
        less["latitude_e7"] = less["longitude_e7"] = None
    if "charge" in doubt:
        less["battery_soc_pct"] = None
    if "speed" in doubt:
        less["speed_mps"] = None
    if "charging" in doubt:
        less["status"] &= ~int(Status.CHARGING)
    return less


def apart_e7(a: tuple[int, int], b: tuple[int, int]) -> int:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


@dataclass
class Health:
    """pinned: about where it has been since way_stuck_m counts. Seconds are of event time, and wrap at 2^16 as the kernel's."""

    sensors: int = 0
    pinned: tuple[int, int] | None = None
    way_stuck_m: float = 0.0
    charge_due_pct: float = 0.0
    place_s: int = 0
    charge_s: int = 0
    jump_s: int = 0
    place_jumps: int = 0
    charge_jumps: int = 0
    place_doubted: bool = False
    charge_doubted: bool = False
    charge_said: float = 0.0
    phantoms: int = 0

    def set(self, sensor: Sensor, *, bad: bool) -> None:
        self.sensors = self.sensors | sensor if bad else self.sensors & ~sensor

    def check(self, frame: Frame, time_ms: int, before: Before, rules: Rules, model: Any) -> Doubt:
        second = time_ms // 1000
        settled = before.dt_ms is not None and before.dt_ms < 600_000
        if self.place_jumps or self.charge_jumps:
            past = int((second - self.jump_s) % 65_536 // rules.jump_forget_s)
            if past:
                self.place_jumps, self.charge_jumps = max(0, self.place_jumps - past), max(0, self.charge_jumps - past)
                self.jump_s = second
        here = None if None in (frame["latitude_e7"], frame["longitude_e7"]) else (frame["latitude_e7"], frame["longitude_e7"])
        doubt = set()
        self.speed(frame, here, before, rules)
        ridden_m = self.ridden_m(frame, before) if settled else 0.0
        if here is not None:
            if settled and self.is_jump(frame, here, before, second, rules):
                doubt.add("place")
                if not self.place_doubted:
                    self.place_jumps, self.jump_s = min(int(rules.sensor_jumps), self.place_jumps + 1), second
                self.place_doubted = True
            else:
                self.place_doubted, self.place_s = False, second
                if not before.anchored:
                    self.still(here, ridden_m, rules)
        if self.charge(frame, ridden_m, before, second, rules, model, settled=settled):
            doubt.add("charge")
        for jumps, sensor in ((self.place_jumps, Sensor.POSITION_JUMPS), (self.charge_jumps, Sensor.CHARGE_JUMPS)):
            if jumps >= rules.sensor_jumps or jumps == 0:
                self.set(sensor, bad=jumps > 0)
        fast = frame["speed_mps"] is not None and frame["speed_mps"] > rules.charging_speed_mps
        self.set(Sensor.CHARGING, bad=bool(frame["status"] & Status.CHARGING) and fast)
        self.set(Sensor.RANGE, bad=frame["implausible"] != 0)
        if self.sensors & Sensor.CHARGING:
            doubt.add("charging")
        if self.sensors & Sensor.SPEED:
            doubt.add("speed")
        if self.sensors & Sensor.POSITION_STUCK and here is not None:
            doubt.add("place")
        return frozenset(doubt)

    def speed(self, frame: Frame, here: tuple[int, int] | None, before: Before, rules: Rules) -> None:
        speed, odometer = frame["speed_mps"], before.good["odometer"]
        if speed is not None and speed <= rules.phantom_speed_mps:
            self.phantoms = 0
            self.set(Sensor.SPEED, bad=False)
        elif before.dt_ms and before.dt_ms <= 60_000 and None not in (here, before.place, speed, odometer, frame["odometer_m"]):
            way_m = speed * before.dt_ms * 1e-3
            assert here is not None
            assert before.place is not None
            moved = frame["odometer_m"] - odometer >= 0.2 * way_m or apart_e7(here, before.place) * E7_M >= 0.5 * way_m
            self.phantoms = 0 if moved else min(4, self.phantoms + 1)
            if moved or self.phantoms == 4:
                self.set(Sensor.SPEED, bad=not moved)

    def ridden_m(self, frame: Frame, before: Before) -> float:
        """By the wheels, or by the speed where nobody counts their turns."""
        seconds = (before.dt_ms or 0) * 1e-3
        odometer = before.good["odometer"]
        if frame["odometer_m"] is not None and odometer is not None:
            way_m = float(frame["odometer_m"] - odometer)
            return way_m if 0 <= way_m <= 90 * seconds + 100 else 0.0
        return float(frame["speed_mps"] * seconds) if frame["speed_mps"] is not None and seconds <= 60 else 0.0

    def is_jump(self, frame: Frame, here: tuple[int, int], before: Before, second: int, rules: Rules) -> bool:
        if before.place is None or self.sensors & Sensor.POSITION_STUCK:
            return False
        reach_m = rules.teleport_mps * (1 + (second - self.place_s) % 65_536) + 200 + 2 * (frame["horizontal_accuracy_m"] or 0.0)
        return distance_m(before.place, here) > reach_m

    def still(self, here: tuple[int, int], ridden_m: float, rules: Rules) -> None:
        if self.pinned is None or apart_e7(here, self.pinned) > 2_000:
            self.pinned, self.way_stuck_m = here, 0.0
            self.set(Sensor.POSITION_STUCK, bad=False)
            return
        self.way_stuck_m = float(np.float32(self.way_stuck_m) + np.float32(ridden_m))
        if self.way_stuck_m >= rules.stuck_position_m:
            self.set(Sensor.POSITION_STUCK, bad=True)

    def charge(self, frame: Frame, ridden_m: float, before: Before, second: int, rules: Rules, model: Any, *, settled: bool) -> bool:
        soc, last = frame["battery_soc_pct"], before.good["soc"]
        if soc is None:
            return False
        if settled and last is not None:
            idle = not frame["status"] & (Status.IN_USE | Status.CHARGING)
            swap = idle and model.swappable and soc - last >= rules.swap_jump_pct and not self.sensors & Sensor.CHARGE_JUMPS
            rests = not (before.status | frame["status"]) & (Status.IN_USE | Status.CHARGING)
            a_second = (rules.charge_rest_pct_per_min if rests else rules.charge_rate_pct_per_min) / 60
            if abs(soc - last) > rules.charge_jump_pct + a_second * ((second - self.charge_s) % 65_536) and not swap:
                said = int(2 * soc + 0.5) / 2
                assert before.dt_ms is not None
                if not self.charge_doubted or abs(said - self.charge_said) > rules.charge_jump_pct + a_second * before.dt_ms * 1e-3:
                    self.charge_jumps, self.jump_s = min(int(rules.sensor_jumps), self.charge_jumps + 1), second
                self.charge_doubted, self.charge_said = True, said
                return True
        self.charge_doubted, self.charge_s = False, second
        if not settled or last is None or soc != last:
            self.charge_due_pct = 0.0
            self.set(Sensor.CHARGE_FROZEN, bad=False)
            return False
        if model.battery_wh > 0:
            if frame["battery_current_a"] is None or frame["battery_voltage_v"] is None:
                due = 0.5 * ridden_m / model.range_m
            else:
                due = before.energy_wh / model.battery_wh
            self.charge_due_pct = float(np.float32(self.charge_due_pct) + np.float32(100 * due))
            if self.charge_due_pct >= rules.charge_frozen_pct:
                self.set(Sensor.CHARGE_FROZEN, bad=True)
        return False
