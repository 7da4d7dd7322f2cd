"""What one frame does to its vehicle: audited, heard, set aside, put right in time, late, or processed (newest or older), in this order."""

from typing import Any

import numpy as np

from fleetpulse.codecs.jit import inlined, merged
from fleetpulse.codecs.schema import FIELDS, Status
from fleetpulse.state import (
    audit,
    cadence,
    clocks,
    conditions,
    geofence,
    health,
    intervals,
    pools,
    report,
    signals,
    slots,
    timers,
    trips,
    windows,
)
from fleetpulse.state.cast import code, real, whole
from fleetpulse.state.facts import Condition, Fact, Sensor
from fleetpulse.state.firmware import is_firmware
from fleetpulse.state.vehicle import BLOCK_SHIFT, NEVER_MS, Flag, Pool
from fleetpulse.state.windows import GRACE_MS

AHEAD_MS = 5 * 60_000
"""A frame whose clock is further ahead of stream time is quarantined."""
BEHIND_MS = 48 * 3_600_000
"""One whose clock is further behind too."""
FAR_MS = 1 << 45
"""A clock that is off by more is reported as off by this, a thousand years."""
_BITS = len(FIELDS)
_ONE = np.uint64(1)
_OFFLINE, _MISSING = code(Condition.OFFLINE), code(Condition.MISSING)
_CLEARED, _SWAPPED = code(Fact.CLEARED), code(Fact.BATTERY_SWAPPED)
_IN_USE = code(Status.IN_USE)
_CLOCK = code(Sensor.CLOCK)
_SENSOR_BIT, _SAG_BIT, _NOTHING = code(signals.SENSOR), code(signals.SAG), code(0)
_NOT_LATE, _IS_LATE = code(0), code(1)
_LIVE, _MOVED, _DISCONNECTED = code(Flag.LIVE), code(Flag.MOVED), code(Flag.DISCONNECTED)
_DWELLS = code(Pool.DWELLS)
_NEVER = np.int64(NEVER_MS)
_ALL, _KEPT = code(0), code(1)
_NO_FIRMWARE = code(0)
_U32 = np.int64(0xFFFFFFFF)


@inlined
def _admit(header: Any, store: Any, blank: Any, f: Any) -> int:
    """A slot for a vehicle that was never heard of."""
    slot = slots.take(header, store.vehicles)
    store.vehicles[slot] = blank
    v = store.vehicles[slot]
    v.device_hi = f.device_hi
    v.device_lo = f.device_lo
    v.flag_bits = _LIVE
    slots.place(store.table, f.device_hi, f.device_lo, slot)
    return slot


@inlined
def _back(header: Any, store: Any, out: Any, v: Any, slot: int, f: Any, at: int, silent_ms: int, limit_ms: int, rules: Any) -> None:
    """A vehicle that counts as silent is heard: it is found at once, and back when it has been heard for a while."""
    if v.active & (1 << _MISSING):
        v.active ^= 1 << _MISSING
        row = report.blank(header, out.facts, v, slot, _CLEARED, _MISSING)
        report.of_frame(row, f, at, header.stream_ms)
        row.value[0] = silent_ms / 1000.0
        row.value[1] = rules.missing_ms / 1000.0
    if v.active & (1 << _OFFLINE):
        if v.dwells == 0:
            v.dwells = pools.take(header, store.dwells, _DWELLS)
        block = store.dwells[v.dwells - 1]
        if not v.pending & (1 << _OFFLINE) or silent_ms >= limit_ms:
            v.pending |= 1 << _OFFLINE
            block.since_ms[_OFFLINE] = v.heard_alive_ms
            block.first_offset[_OFFLINE] = f.offset
            block.silent_ms = silent_ms
        if v.heard_alive_ms - block.since_ms[_OFFLINE] >= rules.online_dwell_ms:
            v.active ^= 1 << _OFFLINE
            v.pending ^= 1 << _OFFLINE
            row = report.blank(header, out.facts, v, slot, _CLEARED, _OFFLINE)
            report.of_frame(row, f, at, header.stream_ms)
            row.first_offset = block.first_offset[_OFFLINE]
            row.value[0] = block.silent_ms / 1000.0
            row.value[1] = limit_ms / 1000.0
            if v.pending == 0:
                pools.give(header, store.dwells, _DWELLS, v.dwells)
                v.dwells = 0


@merged
def _hear(header: Any, store: Any, out: Any, told: Any, v: Any, slot: int, f: Any, at: int, first_sight: bool) -> None:
    """Any frame that is no duplicate proves that the vehicle is there, whatever its clock says."""
    alive_ms = header.stream_ms - header.outage_ms
    silent_ms = alive_ms - v.heard_alive_ms
    v.heard_alive_ms = alive_ms
    v.outage_mark = header.outage_ms & _U32
    v.offset = f.offset
    if f.model_id != 0:
        v.model = f.model_id if f.model_id < len(told.known) and told.known[f.model_id] else 0
    if f.implausible != 0:
        for bit in range(_BITS):
            header.implausible += whole((f.implausible >> np.uint64(bit)) & _ONE)
    rules = told.rules[0]
    if first_sight:
        windows.due_by(header, store, slot, timers.next_of(header, store, v, rules))
        return
    silence = v.active & (1 << _OFFLINE | 1 << _MISSING)
    if silence:
        _back(header, store, out, v, slot, f, at, silent_ms, cadence.limit_ms(v, rules), rules)
    cadence.learn(v, f.status, silent_ms, rules)
    v.flag_bits &= 0xFF ^ _DISCONNECTED
    if silence:
        windows.due_by(header, store, slot, timers.next_of(header, store, v, rules))


@inlined
def _firmware(header: Any, store: Any, f: Any) -> int:
    """The place of the frame's firmware version among those that are known, a new one if there is room; else that of the unknown one."""
    for i in range(1, header.firmwares):
        if is_firmware(f, store.firmwares, i):
            return i
    if header.firmwares == len(store.firmwares):
        return 0
    store.firmwares[header.firmwares] = f.firmware_version
    header.firmwares += 1
    return whole(header.firmwares) - 1


@inlined
def _shown(x: Any, steps: float, zero: float, before: int) -> int:
    """A value in whole steps, see vehicle.SHOWN; a missing one never overwrites."""
    return before if np.isnan(x) else whole(np.floor((real(x) + zero) * steps + 0.5))


@merged
def _keep(header: Any, store: Any, v: Any, f: Any, tyre_kpa: float, told: Any) -> None:
    """Last good values: a missing one never overwrites."""
    v.status = f.status & 0xFFFF
    v.fault_bits = f.fault_bits
    if geofence.positioned(f):
        if f.latitude_e7 != v.latitude_e7 or f.longitude_e7 != v.longitude_e7:
            v.flag_bits |= _MOVED
            v.latitude_e7 = f.latitude_e7
            v.longitude_e7 = f.longitude_e7
            v.city = geofence.city_of(told.cities, f.latitude_e7, f.longitude_e7, v.city)
        v.accuracy_fifths_m = 0xFFFF if np.isnan(f.horizontal_accuracy_m) else _shown(f.horizontal_accuracy_m, 5.0, 0.0, 0)
    v.speed_mps = v.speed_mps if np.isnan(f.speed_mps) else f.speed_mps
    v.heading_hundredths_deg = _shown(f.heading_deg, 100.0, 0.0, whole(v.heading_hundredths_deg))
    v.altitude_m = v.altitude_m if np.isnan(f.altitude_m) else f.altitude_m
    v.soc_pct = v.soc_pct if np.isnan(f.battery_soc_pct) else f.battery_soc_pct
    v.voltage_v = v.voltage_v if np.isnan(f.battery_voltage_v) else f.battery_voltage_v
    v.current_a = v.current_a if np.isnan(f.battery_current_a) else f.battery_current_a
    v.temperature_hundredths_c = _shown(f.battery_temperature_c, 100.0, 100.0, whole(v.temperature_hundredths_c))
    v.soh_hundredths_pct = _shown(f.battery_soh_pct, 100.0, 0.0, whole(v.soh_hundredths_pct))
    v.range_m = v.range_m if np.isnan(f.range_m) else f.range_m
    v.tyre_min_tenths_kpa = _shown(tyre_kpa, 10.0, 0.0, whole(v.tyre_min_tenths_kpa))
    v.odometer_m = v.odometer_m if np.isnan(f.odometer_m) else f.odometer_m
    if not is_firmware(f, store.firmwares, whole(v.firmware)) and not is_firmware(f, store.firmwares, _NO_FIRMWARE):
        v.firmware = _firmware(header, store, f)


@merged
def _newest(
    header: Any,
    store: Any,
    out: Any,
    told: Any,
    v: Any,
    slot: int,
    said: Any,
    at: int,
    time_ms: int,
    start_ms: int,
    clock_off_ms: int,
    previous_offset: int,
) -> None:
    """A frame that is not older than any before it: the vehicle's present. said: as it came; what is not believed is left out here."""
    rules = told.rules[0]
    model = told.models[v.model]
    w = v.minute
    newest_ms = whole(v.newest_ms)
    before_status = whole(v.status)
    way_m, rise_m, out_wh, dt_ms = 0.0, 0.0, 0.0, health.GAP_MS
    seen = newest_ms != _NEVER
    if seen:
        dt_ms = time_ms - newest_ms
        out_wh = intervals.energy_wh(v, said, dt_ms)
    doubted = health.check(v, said, time_ms, dt_ms, out_wh, rules, model)
    left_out = doubted | health.left_out(whole(v.sensors))
    f, kept = said, said
    if left_out:
        out.believed[_ALL] = said
        f = out.believed[_ALL]
        health.leave_out(f, left_out)
        kept = f
        if left_out != doubted:
            out.believed[_KEPT] = said
            kept = out.believed[_KEPT]
            health.leave_out(kept, doubted)
    if seen:
        way_m = intervals.way(v, f, dt_ms)
        rise_m = intervals.rise(v, f, dt_ms)
        trips.travel(store, v, way_m, out_wh)
        if w.frames and w.start_ms != start_ms and dt_ms <= intervals.LONGEST_MS:
            part = (w.start_ms + rules.window_ms - newest_ms) / dt_ms
            intervals.add(w, before_status, dt_ms * 1e-3, part, way_m, rise_m, out_wh)
    windows.move_on(header, store, out.windows, v, slot, time_ms, start_ms, rules.window_ms)
    if seen and dt_ms <= intervals.LONGEST_MS:
        part = 1.0 if newest_ms >= start_ms else (time_ms - start_ms) / dt_ms
        intervals.add(w, before_status, dt_ms * 1e-3, part, way_m, rise_m, out_wh)
    windows.fold(w, f, time_ms)
    v.newest_ms = time_ms

    before_pct = v.soc_pct
    swapped = health.swapped(v, f, rules, model)
    tyre_kpa = windows.tyre_min(f)
    _keep(header, store, v, kept, tyre_kpa, told)
    if (before_status ^ whole(f.status)) & _IN_USE:
        windows.due_by(header, store, slot, timers.next_of(header, store, v, rules))
    signals.anchor(v, f, rules)
    trips.follow(header, store, out.facts, v, slot, f, at, time_ms, rules.trip_end_dwell_ms)
    if swapped:
        row = report.blank(header, out.facts, v, slot, _SWAPPED, report.NO_CONDITION)
        report.of_frame(row, f, at, time_ms)
        row.first_offset = previous_offset
        row.value[0] = before_pct
        row.value[1] = f.battery_soc_pct
        first = conditions.clear_by_hand(header, out.facts, v, slot, _SAG_BIT)  # that was the other battery
        for i in range(first, header.facts):
            report.of_frame(out.facts[i], f, at, time_ms)
    bad_a, good_a, known_a = signals.of_battery(f, rules, model)
    bad_b, good_b, known_b = signals.of_body(v, f, rules, model, tyre_kpa)
    bad_c, good_c, known_c = signals.of_place(told, v, f, rules, model)
    bad, good, known = bad_a | bad_b | bad_c, good_a | good_b | good_c, known_a | known_b | known_c
    if (bad & ~whole(v.active)) | (good & whole(v.active)) | v.pending:
        conditions.settle(header, store, out.facts, told, v, slot, f, at, time_ms, bad, good, known, clock_off_ms)


@inlined
def _older(header: Any, store: Any, out: Any, told: Any, v: Any, slot: int, said: Any, at: int, time_ms: int, start_ms: int) -> None:
    """A frame that comes out of order while its window is open: folded there, and a crash is a crash."""
    rules = told.rules[0]
    left_out = health.left_out(whole(v.sensors))
    if left_out:
        out.believed[_ALL] = said
        f = out.believed[_ALL]
        health.leave_out(f, left_out)
    else:
        f = said
    if v.minute.start_ms == start_ms:
        windows.fold(v.minute, f, time_ms)
    else:
        windows.fold(windows.before_at(header, store, v, slot, start_ms, rules.window_ms), f, time_ms)
    bits = signals.at_any_age(v, f, rules, told.models[v.model]) & signals.CRASH & ~whole(v.active)
    if bits:
        conditions.raise_old(header, out.facts, told, v, slot, f, at, time_ms, bits, _NOT_LATE)


@inlined
def _late(header: Any, out: Any, told: Any, v: Any, slot: int, f: Any, at: int, time_ms: int) -> None:
    """A frame of a closed window: counted, and tells of what is true at any age."""
    header.late += 1
    v.late += 1
    if v.city == 0 and geofence.positioned(f):
        v.city = geofence.city_of(told.cities, f.latitude_e7, f.longitude_e7, v.city)
    bits = signals.at_any_age(v, f, told.rules[0], told.models[v.model]) & ~whole(v.active | v.late_raised)
    if bits:
        conditions.raise_old(header, out.facts, told, v, slot, f, at, time_ms, bits, _IS_LATE)
        v.late_raised |= bits


@merged
def take(header: Any, store: Any, told: Any, out: Any, f: Any, at: int, guessed: int) -> None:
    """Take the frame at row `at`, of the vehicle in slot `guessed` most likely. There is room for all that it may write."""
    rules = told.rules[0]
    header.received += 1
    slot = slots.confirm(store.table, store.vehicles, guessed, f.device_hi, f.device_lo)
    first_sight = slot < 0
    if first_sight:
        slot = _admit(header, store, told.blank[0], f)
    v = store.vehicles[slot]
    v.received += 1
    store.dirty[slot >> BLOCK_SHIFT] = 1
    boot, highest = whole(v.boot_id), whole(v.seq)
    if audit.check(header, store, v, whole(f.boot_id), whole(f.seq), whole(f.previous_last_seq), first_sight):
        header.duplicate += 1
        v.duplicate += 1
        return
    previous_offset = whole(v.offset)
    _hear(header, store, out, told, v, slot, f, at, first_sight)
    stream_ms = whole(header.stream_ms)
    time_ms = whole(f.time_ms)
    if time_ms > stream_ms + AHEAD_MS or time_ms < stream_ms - BEHIND_MS:
        if time_ms > stream_ms:
            header.clock_ahead += 1
        else:
            header.too_old += 1
        v.quarantined += 1
        off_ms = min(max(time_ms, stream_ms - FAR_MS), stream_ms + FAR_MS) - stream_ms
        v.sensors |= _CLOCK
        signals.let_go(v, f)
        conditions.settle(header, store, out.facts, told, v, slot, f, at, stream_ms, _SENSOR_BIT, _NOTHING, _SENSOR_BIT, off_ms)
        return
    if whole(v.boot_id) != boot:
        clocks.forget(v)
    if header.lenience_ms <= rules.clock_slack_ms or stream_ms >= header.lenient_until_ms:
        clocks.learn(v, f, stream_ms, rules)
    off_ms = whole(v.clock_off_ms)
    clock_off_ms = max(0, time_ms - stream_ms) if off_ms == 0 else -off_ms
    if off_ms != 0 or clock_off_ms > rules.clock_slack_ms:
        v.sensors |= _CLOCK
    else:
        v.sensors &= 0xFFFF ^ _CLOCK
    time_ms = min(time_ms + off_ms, stream_ms)
    start_ms = whole(v.minute.start_ms)
    if time_ms < start_ms or time_ms >= start_ms + rules.window_ms:
        start_ms = windows.start_of(time_ms, rules.window_ms)
    end_ms = start_ms + rules.window_ms
    if end_ms + GRACE_MS <= v.newest_ms or stream_ms >= windows.due_ms(header, end_ms):
        signals.let_go(v, f)
        _late(header, out, told, v, slot, f, at, time_ms)
        return
    header.processed += 1
    v.late_raised = 0
    signals.doubt_anchor(v, f, boot, highest, time_ms)
    if time_ms >= v.newest_ms:
        _newest(header, store, out, told, v, slot, f, at, time_ms, start_ms, clock_off_ms, previous_offset)
    else:
        _older(header, store, out, told, v, slot, f, at, time_ms, start_ms)
