"""The state engine in obvious Python: dictionaries, sets, lists of frames. The twin of state/kernel.py and its parts.

Without the engine's bounds: any number of gaps and older boots. Gives facts and windows as dictionaries; None: missing.
"""

from typing import Any

from numpy.typing import NDArray

from fleetpulse.codecs.operations import Operation
from fleetpulse.codecs.schema import Kind, Status
from fleetpulse.state.facts import Cause, Condition, Fact, Sensor
from fleetpulse.state.parameters import CLEAR_DWELLS, RAISE_DWELLS, Parameters
from tests.naive import blow, conditions, health
from tests.naive.conditions import Frame
from tests.naive.minutes import Minute
from tests.naive.places import city_at, distance_m
from tests.naive.values import model_of, values
from tests.naive.vehicle import LAST_GOOD, Trip, Vehicle, frame_of

FAR_MS = 1 << 45


class NaiveShard:
    """apply(frames) may be called again and again; facts, windows and counters grow."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.rules = parameters.rules
        self.vehicles: dict[int, Vehicle] = {}
        self.free: list[int] = []
        self.slots = 0
        self.stream_ms = 0
        self.outage_ms = 0
        self.held_up_ms = 0
        self.held_up_until_ms = 0
        self.facts: list[dict[str, Any]] = []
        self.windows: list[dict[str, Any]] = []
        self.boundaries: list[int] = []
        self.evicted_missing = 0
        self.counters = dict.fromkeys(("received", "processed", "duplicate", "late", "implausible", "operations_unknown", "evicted"), 0)
        self.counters |= {"quarantined.clock_ahead": 0, "quarantined.too_old": 0}

    @property
    def missing(self) -> int:
        return self.evicted_missing + sum(len(v.auditor.missing) for v in self.vehicles.values())

    # time

    def apply(self, rows: NDArray[Any]) -> None:
        for row in rows:
            self.tell_time(int(row["append_ms"]))
            if row["kind"] == Kind.FRAME:
                self.take(frame_of(row))
            elif row["kind"] == Kind.OPERATION:
                self.operate(frame_of(row), Operation(int(row["operation"])))

    def tell_time(self, now_ms: int) -> None:
        before_ms = self.stream_ms
        if now_ms <= before_ms:
            return
        self.stream_ms = now_ms
        if before_ms == 0:
            return
        if now_ms - before_ms > self.rules.silence_jump_s * 1000:
            self.outage_ms += now_ms - before_ms
            self.held_up_ms = now_ms - before_ms + (self.held_up_ms if before_ms < self.held_up_until_ms else 0)
            self.held_up_until_ms = now_ms + 60_000 + min(self.held_up_ms, 900_000)
        if now_ms // 1000 > before_ms // 1000:
            for vehicle in sorted(self.vehicles.values(), key=lambda v: v.slot):
                self.timers(vehicle)
        interval = self.parameters.interval_ms
        if now_ms // interval > before_ms // interval:
            self.boundaries.append(now_ms // interval * interval)

    def too_late(self, end_ms: int) -> bool:
        """Whether a window that ends then is closed by now. After our outage, for a while, what is held up by it is not late."""
        held_up_ms = self.held_up_ms if self.stream_ms < self.held_up_until_ms else 0
        return self.stream_ms >= end_ms + 60_000 + held_up_ms

    def timers(self, v: Vehicle) -> None:
        for start in sorted(v.windows):
            if self.too_late(start + self.parameters.window_ms):
                self.close(v, start)
        alive_ms = self.stream_ms - self.outage_ms
        for condition, limit_s in ((Condition.OFFLINE, v.limit_ms(self.rules) / 1000), (Condition.MISSING, self.rules.missing_s)):
            if condition not in v.active and alive_ms - v.heard_alive_ms >= limit_s * 1000:
                v.active.add(condition)
                deadline_ms = round(v.heard_alive_ms + limit_s * 1000 + self.outage_ms)
                self.fact(
                    v, Fact.RAISED, condition, cause=Cause.DEADLINE, cause_ms=deadline_ms, event_ms=deadline_ms, value=(limit_s, limit_s)
                )
        if alive_ms - v.heard_alive_ms >= self.rules.evict_s * 1000:
            deadline_ms = round(v.heard_alive_ms + self.rules.evict_s * 1000 + self.outage_ms)
            for start in sorted(v.windows):
                self.close(v, start)
            self.fact(v, Fact.EVICTED, None, cause=Cause.DEADLINE, cause_ms=deadline_ms, event_ms=deadline_ms)
            self.counters["evicted"] += 1
            self.evicted_missing += len(v.auditor.missing)
            self.free.append(v.slot)
            del self.vehicles[v.device]

    # what leaves

    def fact(
        self, v: Vehicle, fact: Fact, condition: Condition | None, *, frame: Frame | None = None, value: Any = (), **others: Any
    ) -> None:
        row = {
            "fact": fact,
            "condition": condition or 0,
            "cause": Cause.FRAME,
            "late": 0,
            "slot": v.slot,
            "device": v.device,
            "status": v.status if frame is None else frame["status"],
            "boot_id": v.boot[0] if frame is None else frame["boot_id"],
            "seq": v.boot[1] if frame is None else frame["seq"],
            "trip": 0,
            "event_ms": v.newest_ms,
            "stream_ms": self.stream_ms,
            "append_ms": 0 if frame is None else frame["append_ms"],
            "cause_ms": 0,
            "first_offset": v.offset if frame is None else frame["offset"],
            "last_offset": v.offset if frame is None else frame["offset"],
            "place": v.place,
            "city": v.city,
            "vehicle_model": v.model,
            "soc_pct": v.good["soc"],
        }
        unknown = others.keys() - row.keys()
        assert not unknown, unknown
        self.facts.append({**row, **others, "value": tuple(value)})

    def close(self, v: Vehicle, start_ms: int) -> None:
        minute = v.windows.pop(start_ms)
        row = minute.row(self.parameters.window_ms)
        self.windows.append(
            {**row, "slot": v.slot, "device": v.device, "city": v.city, "vehicle_model": v.model, "closed_ms": self.stream_ms}
        )

    # operations

    def operate(self, frame: Frame, operation: Operation) -> None:
        v = self.vehicles.get(frame["device"])
        if v is None:
            self.counters["operations_unknown"] += 1
            return
        cause = {
            "cause": Cause.OPERATION,
            "event_ms": frame["time_ms"],
            "append_ms": frame["append_ms"],
            "first_offset": frame["offset"],
            "last_offset": frame["offset"],
        }
        self.fact(v, Fact.OPERATION, None, **cause)
        if operation is Operation.MAINTENANCE_DONE:
            v.anchor = None
            for condition in (Condition.CRASH, Condition.THEFT):
                if condition in v.active:
                    v.active.remove(condition)
                    v.dwells.pop(condition, None)
                    self.fact(v, Fact.CLEARED, condition, **cause)
        elif operation in (Operation.CONNECTED, Operation.DISCONNECTED):
            v.disconnected = operation is Operation.DISCONNECTED
        elif operation in (Operation.REBALANCE_PICK_UP, Operation.DECOMMISSIONED):
            v.picked_up = True
        elif operation in (Operation.DROP_OFF, Operation.RECOMMISSIONED):
            v.picked_up, v.anchor = False, None

    # frames

    def take(self, frame: Frame) -> None:
        self.counters["received"] += 1
        v = self.vehicles.get(frame["device"])
        if v is None:
            if self.free:
                slot = self.free.pop()
            else:
                slot, self.slots = self.slots, self.slots + 1
            v = self.vehicles[frame["device"]] = Vehicle(slot, frame["device"])
            v.boot = (frame["boot_id"], frame["seq"])
            v.heard_alive_ms = self.stream_ms - self.outage_ms
        boot, highest = v.boot
        if v.auditor.check(frame["boot_id"], frame["seq"], frame["previous_last_seq"]):
            self.counters["duplicate"] += 1
            return
        v.boot = max(v.boot, (frame["boot_id"], frame["seq"]))
        previous_offset = v.offset
        self.hear(v, frame)
        time_ms = frame["time_ms"]
        ahead_ms = time_ms - self.stream_ms
        if ahead_ms > 5 * 60_000 or -ahead_ms > 48 * 3_600_000:
            self.counters["quarantined.clock_ahead" if ahead_ms > 0 else "quarantined.too_old"] += 1
            v.health.sensors |= Sensor.CLOCK
            self.let_go(v, frame)
            self.settle(v, frame, self.stream_ms, {Condition.SENSOR: "bad"}, max(-FAR_MS, min(FAR_MS, ahead_ms)))
            return
        if v.boot[0] != boot:
            v.clock.forget()
        if self.held_up_ms <= self.rules.clock_slack_s * 1000 or self.stream_ms >= self.held_up_until_ms:
            v.clock.learn(-ahead_ms, frame["status"], self.stream_ms, self.rules)
        clock_off_ms = -v.clock.off_ms or max(0, ahead_ms)
        v.health.sensors &= ~Sensor.CLOCK
        if v.clock.off_ms or clock_off_ms > self.rules.clock_slack_s * 1000:
            v.health.sensors |= Sensor.CLOCK
        time_ms = min(time_ms + v.clock.off_ms, self.stream_ms)
        window_ms = self.parameters.window_ms
        start_ms = time_ms // window_ms * window_ms
        if (v.newest_ms is not None and v.newest_ms >= start_ms + window_ms + 2000) or self.too_late(start_ms + window_ms):
            self.let_go(v, frame)
            self.late(v, frame, time_ms)
            return
        self.counters["processed"] += 1
        v.late_raised.clear()
        if v.newest_ms is not None and time_ms - v.newest_ms > 60_000 and Condition.THEFT not in v.active:
            follows = (frame["boot_id"], frame["seq"]) == (boot, highest + 1)
            goes_on = (frame["boot_id"], frame["seq"], frame["previous_last_seq"]) == (boot + 1, 0, highest)
            if not follows and not goes_on:  # it may have been used meanwhile
                v.anchor = None
        if v.newest_ms is None or time_ms >= v.newest_ms:
            self.newest(v, frame, time_ms, start_ms, clock_off_ms, previous_offset)
        else:
            frame = health.without(frame, health.left_out(v.health.sensors))
            v.windows.setdefault(start_ms, Minute(start_ms)).frames.append((time_ms, frame))
            told = conditions.at_any_age(frame, picked_up=v.picked_up, parameters=self.parameters)
            if Condition.CRASH in told and Condition.CRASH not in v.active:
                self.old_fact(v, frame, time_ms, Condition.CRASH, late=0)

    def let_go(self, v: Vehicle, frame: Frame) -> None:
        """Of where it was locked, if a frame that is not its present tells that it was used since."""
        if (frame["boot_id"], frame["seq"]) == v.boot and not conditions.stands_locked(frame, picked_up=False):
            v.anchor = None

    def hear(self, v: Vehicle, frame: Frame) -> None:
        alive_ms = self.stream_ms - self.outage_ms
        silent_ms = alive_ms - v.heard_alive_ms
        v.heard_alive_ms, v.offset = alive_ms, frame["offset"]
        if frame["model_id"]:
            known = [code for code, model in enumerate(self.parameters.models) if model is not None]
            v.model = frame["model_id"] if frame["model_id"] in known else 0
        self.counters["implausible"] += bin(frame["implausible"]).count("1")
        told: dict[str, Any] = {"frame": frame, "event_ms": self.stream_ms}
        if Condition.MISSING in v.active:
            v.active.remove(Condition.MISSING)
            self.fact(v, Fact.CLEARED, Condition.MISSING, **told, value=(silent_ms / 1000, self.rules.missing_s))
        if Condition.OFFLINE in v.active:
            limit_ms = v.limit_ms(self.rules)
            if v.back is None or silent_ms >= limit_ms:
                v.back = (alive_ms, frame["offset"], silent_ms)
            if alive_ms - v.back[0] >= self.rules.online_dwell_s * 1000:
                _, first_offset, before_ms = v.back
                v.active.remove(Condition.OFFLINE)
                v.back = None
                value = (before_ms / 1000, limit_ms / 1000)
                self.fact(v, Fact.CLEARED, Condition.OFFLINE, **told, first_offset=first_offset, value=value)
        v.learn_gap(frame["status"], silent_ms, self.rules)
        v.disconnected = False

    def late(self, v: Vehicle, frame: Frame, time_ms: int) -> None:
        self.counters["late"] += 1
        if v.city == 0 and frame["latitude_e7"] is not None and frame["longitude_e7"] is not None:
            v.city = city_at(self.parameters, v.city, frame["latitude_e7"], frame["longitude_e7"])
        told = conditions.at_any_age(frame, picked_up=v.picked_up, parameters=self.parameters)
        for condition in told:
            if condition not in v.active | v.late_raised:
                v.late_raised.add(condition)
                self.old_fact(v, frame, time_ms, condition, late=1)

    def old_fact(self, v: Vehicle, frame: Frame, time_ms: int, condition: Condition, *, late: int) -> None:
        here = (frame["latitude_e7"], frame["longitude_e7"])
        self.fact(
            v,
            Fact.RAISED,
            condition,
            frame=frame,
            late=late,
            event_ms=time_ms,
            place=v.place if None in here else here,
            soc_pct=v.good["soc"] if frame["battery_soc_pct"] is None else frame["battery_soc_pct"],
            value=values(self.parameters, v, frame, Fact.RAISED, condition),
        )
        if condition is Condition.CRASH:
            v.active.add(condition)

    def newest(self, v: Vehicle, said: Frame, time_ms: int, start_ms: int, clock_off_ms: int, previous_offset: int) -> None:
        doubted = v.health.check(said, time_ms, self.before(v, said, time_ms), self.rules, model_of(self.parameters, v))
        kept = health.without(said, doubted)
        frame = health.without(said, doubted | health.left_out(v.health.sensors))
        if v.newest_ms is not None:
            self.interval(v, frame, v.newest_ms, time_ms, start_ms)
        for start in sorted(v.windows):
            if start + self.parameters.window_ms + 2000 <= time_ms:
                self.close(v, start)
        v.windows.setdefault(start_ms, Minute(start_ms)).frames.append((time_ms, frame))
        v.newest_ms = time_ms
        soc_before = v.good["soc"]
        v.status = frame["status"]
        for name, column in LAST_GOOD.items():
            if kept[column] is not None:
                v.good[name] = kept[column]
        if kept["latitude_e7"] is not None and kept["longitude_e7"] is not None:
            here = (kept["latitude_e7"], kept["longitude_e7"])
            v.city = city_at(self.parameters, v.city, *here)
            v.place = here
        if not conditions.stands_locked(frame, v.picked_up):
            v.anchor = None
        elif v.anchor is None:
            v.anchor = conditions.position(frame, self.parameters)
            if v.anchor is not None:
                v.health.pinned, v.health.way_stuck_m = (v.anchor[0], v.anchor[1]), 0.0
        self.follow_trip(v, frame, time_ms)
        soc = frame["battery_soc_pct"]
        idle = not frame["status"] & (Status.IN_USE | Status.CHARGING)
        if (
            soc is not None
            and soc_before is not None
            and idle
            and model_of(self.parameters, v).swappable
            and soc - soc_before >= self.rules.swap_jump_pct
        ):
            self.fact(v, Fact.BATTERY_SWAPPED, None, frame=frame, event_ms=time_ms, first_offset=previous_offset, value=(soc_before, soc))
            if Condition.VOLTAGE_SAG in v.active:  # that was the other battery
                v.active.remove(Condition.VOLTAGE_SAG)
                v.dwells.pop(Condition.VOLTAGE_SAG, None)
                self.fact(v, Fact.CLEARED, Condition.VOLTAGE_SAG, frame=frame, event_ms=time_ms)
        told = conditions.said(
            frame,
            model=model_of(self.parameters, v),
            city=v.city,
            picked_up=v.picked_up,
            anchor=v.anchor,
            senses_badly=v.health.sensors != 0,
            leapt=v.health.place_jumps > 0,
            fastest_mps=v.fastest_mps(),
            parameters=self.parameters,
        )
        self.settle(v, frame, time_ms, told, clock_off_ms)

    def before(self, v: Vehicle, frame: Frame, time_ms: int) -> health.Before:
        """What is known of the vehicle before its newest frame."""
        if v.newest_ms is None:
            return health.Before(None, 0, 0.0, v.good, v.place, v.anchor is not None)
        dt_ms = time_ms - v.newest_ms
        return health.Before(dt_ms, v.status, self.energy_wh(v, frame, dt_ms / 1000), v.good, v.place, v.anchor is not None)

    def energy_wh(self, v: Vehicle, frame: Frame, seconds: float) -> float:
        """Taken from the battery since the newest frame."""

        def power(voltage: float | None, current: float | None) -> float:
            return -voltage * current if voltage is not None and current is not None and current < 0 and voltage > 0 else 0.0

        mean_w = (power(v.good["voltage"], v.good["current"]) + power(frame["battery_voltage_v"], frame["battery_current_a"])) / 2
        return mean_w * seconds / 3600 if seconds <= 60 else 0.0

    def interval(self, v: Vehicle, frame: Frame, before_ms: int, time_ms: int, start_ms: int) -> None:
        """What lies between the newest frame so far and this one: to the trip, and to the windows by their part of the time."""
        seconds = (time_ms - before_ms) / 1000
        moving = bool((v.status | frame["status"]) & Status.MOVING)
        most_m = 90 * seconds + 100
        way_m = 0.0
        speed = frame["speed_mps"]
        here = (frame["latitude_e7"], frame["longitude_e7"])
        by_odometer = None
        if frame["odometer_m"] is not None and v.good["odometer"] is not None:
            by_odometer = frame["odometer_m"] - v.good["odometer"]
        if by_odometer is not None and 0 <= by_odometer <= most_m:
            way_m = by_odometer
        elif (moving or (speed is not None and speed > 0.5)) and None not in here and v.place is not None:
            by_position = distance_m(v.place, here)
            way_m = by_position if by_position <= most_m else 0.0
        short = seconds <= 60
        rise_m = 0.0
        if short and moving and frame["altitude_m"] is not None and v.good["altitude"] is not None:
            rise_m = max(0.0, frame["altitude_m"] - v.good["altitude"])
        energy_wh = self.energy_wh(v, frame, seconds)
        if v.trip and v.trip.ended is None:
            v.trip.distance_m += way_m
            v.trip.energy_wh += energy_wh
        if not short:
            return
        window_ms = self.parameters.window_ms
        shares: dict[int, float] = {}
        if before_ms >= start_ms:
            shares[start_ms] = 1.0
        else:
            shares[before_ms // window_ms * window_ms] = (before_ms // window_ms * window_ms + window_ms - before_ms) / (
                time_ms - before_ms
            )
            shares[start_ms] = (time_ms - start_ms) / (time_ms - before_ms)
        for start, share in shares.items():
            if start == start_ms:
                v.windows.setdefault(start, Minute(start))
            if start in v.windows:
                between = v.windows[start].between
                between["distance_m"] += way_m * share
                between["climb_m"] += rise_m * share
                between["energy_out_wh"] += energy_wh * share
                between["in_use_s"] += seconds * share * bool(v.status & Status.IN_USE)
                between["charging_s"] += seconds * share * bool(v.status & Status.CHARGING)
                between["moving_s"] += seconds * share * bool(v.status & Status.MOVING)

    def follow_trip(self, v: Vehicle, frame: Frame, time_ms: int) -> None:
        in_use, locked = bool(frame["status"] & Status.IN_USE), bool(frame["status"] & Status.LOCKED)
        if v.trip and in_use:
            v.trip.id = v.trip.id or frame["trip"]
            if frame["trip"] and frame["trip"] != v.trip.id:
                self.end_trip(v, frame, *(v.trip.ended or (time_ms, frame["offset"])))
            else:
                v.trip.ended = None
        elif v.trip:
            v.trip.ended = v.trip.ended or (time_ms, frame["offset"])
            if time_ms - v.trip.ended[0] >= self.rules.trip_end_dwell_s * 1000:
                self.end_trip(v, frame, *v.trip.ended)
        if not in_use:
            return
        if v.trip is None:
            v.trip = Trip(frame["trip"], time_ms, v.good["soc"], v.place)
            self.fact(v, Fact.TRIP_STARTED, None, frame=frame, event_ms=time_ms, trip=frame["trip"], value=(v.good["odometer"],))
        if not locked and v.trip.paused:
            self.fact(v, Fact.TRIP_RESUMED, None, frame=frame, event_ms=time_ms, trip=v.trip.id)
        elif locked and v.trip.unlocked and not v.trip.paused:
            self.fact(v, Fact.TRIP_PAUSED, None, frame=frame, event_ms=time_ms, trip=v.trip.id)
        v.trip.paused = locked and v.trip.unlocked
        v.trip.unlocked = v.trip.unlocked or not locked

    def end_trip(self, v: Vehicle, frame: Frame, ended_ms: int, first_offset: int) -> None:
        assert v.trip is not None
        trip, v.trip = v.trip, None
        place = (None, None) if trip.place is None else (trip.place[0] / 1e7, trip.place[1] / 1e7)
        value = (trip.started_ms, (ended_ms - trip.started_ms) / 1000, trip.distance_m, trip.energy_wh, trip.soc_pct, *place)
        self.fact(v, Fact.TRIP_ENDED, None, frame=frame, event_ms=ended_ms, first_offset=first_offset, trip=trip.id, value=value)

    # conditions

    def settle(self, v: Vehicle, frame: Frame, time_ms: int, said: conditions.Said, clock_off_ms: int) -> None:
        for condition in sorted(said):
            active = condition in v.active
            if said[condition] != ("good" if active else "bad"):
                if said[condition] != "unknown":
                    v.dwells.pop(condition, None)
                continue
            since_ms, first_offset = v.dwells.setdefault(condition, (time_ms, frame["offset"]))
            dwell_s = getattr(self.rules, (CLEAR_DWELLS if active else RAISE_DWELLS).get(condition, ""), 0)
            if time_ms - since_ms >= dwell_s * 1000:
                del v.dwells[condition]
                v.active ^= {condition}
                fact = Fact.CLEARED if active else Fact.RAISED
                stops = blow.stopped(frame, v.fastest_mps(), self.rules.tipped_roll_deg)
                lasted_ms = time_ms - since_ms
                value = values(self.parameters, v, frame, fact, condition, lasted_ms=lasted_ms, clock_off_ms=clock_off_ms, stops=stops)
                self.fact(v, fact, condition, frame=frame, event_ms=time_ms, first_offset=first_offset, value=value)
