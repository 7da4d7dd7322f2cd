"""A vehicle's time cut into spans whose charge can be compared. The pictures show charge at begin and end of windows."""

from dataclasses import replace
from math import isnan, nan

import numpy as np

from fleetpulse.codecs.tables import WINDOW
from fleetpulse.models import features, spans
from fleetpulse.models.features import Features
from fleetpulse.models.spans import Cut, Span
from fleetpulse.models.vehicles import Vehicle, VehicleTable, Watch

MINUTE_MS = 60_000


def minutes(
    *charges: tuple[int, float, float], charging: tuple[int, ...] = (), riding: tuple[int, ...] = (), power_w: float = 0.0
) -> Features:
    """Windows (minute, first, last charge) of a vehicle at one place; those in `charging` charge, those in `riding` ride."""
    rows = np.zeros(len(charges), dtype=WINDOW)
    rows["window_start_ms"] = [1_000 * MINUTE_MS + at * MINUTE_MS for at, _, _ in charges]
    rows["window_end_ms"] = rows["window_start_ms"] + MINUTE_MS
    rows["soc_first_pct"], rows["soc_last_pct"] = [a for _, a, _ in charges], [b for _, _, b in charges]
    rows["charging_s"] = [60.0 * (at in charging) for at, _, _ in charges]
    rows["in_use_s"] = [60.0 * (at in riding) for at, _, _ in charges]
    rows["latitude_deg"], rows["longitude_deg"], rows["soh_pct"] = 52.5, 13.4, 100
    rows["voltage_mean_v"], rows["current_mean_a"] = 400.0, -power_w / 400
    return features.extract(rows)


def cuts(f: Features) -> tuple[Vehicle, list[Cut]]:
    """All windows, one after the other."""
    table = VehicleTable()
    vehicle, out = table.load(table.row((1, 2))), []
    for i in range(len(f.end_ms)):
        out.append(spans.cut(vehicle, f, i))
        vehicle = replace(
            vehicle, end_ms=f.end_ms[i], soc_pct=f.soc_last_pct[i], latitude_deg=f.latitude_deg[i], longitude_deg=f.longitude_deg[i]
        )
    return vehicle, out


def shown(cut: Cut) -> list[tuple[float, float]]:
    """Minutes and loss of each span."""
    return [(round(span.hours * 60, 3), round(span.lost_pct, 3)) for span in cut.spans]


def test_windows_that_touch_are_compared_end_to_end() -> None:
    _, (first, second) = cuts(minutes((0, 80, 80), (1, 79.8, 79.7)))
    assert shown(first) == [(1, 0)]
    assert shown(second) == [(1, 0.3)]  # 80 -> 79.7


def test_a_charge_in_a_window_leaves_what_was_before_it() -> None:
    """80 |..... gap of 9 min .....| 78  charge  81 | 81 80.9 |"""
    _, (_, charged, after) = cuts(minutes((0, 80, 80), (10, 78, 81), (11, 81, 80.9), charging=(10,)))
    assert shown(charged) == [(9, 2)]
    assert charged.left_ms == {"charging": MINUTE_MS}
    assert shown(after) == [(1, 0.1)]


def test_a_charge_in_a_gap_leaves_what_follows() -> None:
    """60 |..... five hours, charged unseen .....| 80 79.9 |"""
    _, (_, after) = cuts(minutes((0, 60, 60), (301, 80, 79.9)))
    assert shown(after) == [(1, 0.1)]
    assert after.left_ms == {"charging": 300 * MINUTE_MS}


def test_a_charge_that_was_not_measured_or_believed_ends_the_span() -> None:
    """80 | not believed | 76 76 |: what fell meanwhile is nobody's word."""
    _, (_, blind, after) = cuts(minutes((0, 80, 80), (1, nan, nan), (2, 76, 76)))
    assert (shown(blind), blind.left_ms) == ([], {"doubted": MINUTE_MS})
    assert shown(after) == [(1, 0)]


def test_a_step_is_a_sensor_and_so_is_what_follows_for_a_while() -> None:
    _, got = cuts(minutes((0, 80, 80), (1, 80, 76), (2, 76, 74.8), (40, 74, 74), (41, 74, 73.8)))
    assert [shown(cut) for cut in got] == [[(1, 0)], [], [], [(38, 0.8)], [(1, 0.2)]]
    assert got[1].left_ms == got[2].left_ms == {"doubted": MINUTE_MS}
    _, (_, risen, then) = cuts(minutes((0, 60, 60), (1, 60, 68), (2, 68, 66.9)))  # no charger, no swap
    assert (shown(risen), shown(then)) == ([], [])


def test_a_gap_in_which_a_vehicle_moved_is_left_out() -> None:
    f = minutes((0, 80, 80), (100, 70, 69.9))
    f.latitude_deg[1] += 0.01
    _, (_, after) = cuts(f)
    assert (shown(after), after.left_ms) == ([(1, 0.1)], {"unseen": 99 * MINUTE_MS})


def test_heating_is_left_out_and_a_ride_or_a_charge_ends_it() -> None:
    for changed in ({"riding": (30,)}, {"charging": (30,)}):
        f = minutes(*((at, 80, 80) for at in range(60)), power_w=3000, **changed)
        vehicle, got = cuts(f)
        assert vehicle.conditioned_ms == 29 * MINUTE_MS
        assert all(cut.left_ms == {"conditioning": MINUTE_MS} for at, cut in enumerate(got) if at != 30)
    _, got = cuts(minutes(*((at, 80, 80) for at in range(60)), power_w=3000))
    assert [at for at, cut in enumerate(got) if cut.spans][:1] == [45]


def test_what_is_left_out_is_noted_only_of_a_sum_that_is_open() -> None:
    closed, opened = Watch(), Watch(score=0.5)
    for watch in (closed, opened):
        spans.note(watch, {"charging": 60_000, "unseen": 3_600_000})
    assert (closed.charging_s, closed.unseen_s) == (0, 0)
    assert (opened.charging_s, opened.unseen_s, opened.doubted_s) == (60, 3600, 0)


def test_a_span_knows_its_charge() -> None:
    assert Span(0, 3_600_000, 50, 55).charged
    assert not Span(0, 3_600_000, 50, 51).charged
    assert isnan(Span(0, 1, nan, 5).lost_pct)
