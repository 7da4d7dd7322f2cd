"""Rows of the public state: last good values, audit, what is unknown."""

from math import isnan

import numpy as np

from fleetpulse.codecs.schema import Status
from fleetpulse.codecs.tables import STATE
from fleetpulse.state import public
from fleetpulse.state.shard import Shard
from tests.state.logs import START_MS
from tests.state.story import Story

NAN = float("nan")


def rows(shard: Shard) -> np.ndarray:
    return public.rows(shard, public.live(shard, np.arange(shard.vehicles)))


def test_last_good_values_stay_when_a_frame_lacks_them() -> None:
    story = Story().frame(
        0, latitude_e7=525_000_000, longitude_e7=134_000_000, horizontal_accuracy_m=4, speed_mps=5, heading_deg=90, altitude_m=30,
        battery_voltage_v=40, battery_current_a=-2, battery_temperature_c=25, battery_soh_pct=97, range_m=20_000, odometer_m=1234.5,
        tyre_pressure_front_left_kpa=300, tyre_pressure_rear_right_kpa=290, fault_bits=2**63, firmware_version=b"2.0.1",
        status=Status.IN_USE, trip_hi=5, trip_lo=7,
    )  # fmt: skip
    story.frame(1, battery_soc_pct=NAN, firmware_version=b"", status=Status.IN_USE | Status.MOVING).frame(1, seq=1, append_s=2)
    (row,) = rows(story.shard())
    expected = {
        "device_hi": 1, "device_lo": 1, "slot": 0, "shard": 0, "city": 1, "vehicle_model": 1, "last_heard_ms": START_MS + 1000,
        "last_frame_ms": START_MS + 1000, "latitude_deg": 52.5, "longitude_deg": 13.4, "odometer_m": 1234.5, "horizontal_accuracy_m": 4,
        "speed_mps": 5, "heading_deg": 90, "altitude_m": 30, "battery_soc_pct": 50, "battery_voltage_v": 40, "battery_current_a": -2,
        "battery_temperature_c": 25, "battery_soh_pct": 97, "range_m": 20_000, "tyre_pressure_min_kpa": 290,
        "status": Status.IN_USE | Status.MOVING, "fault_bits": 0, "trip_hi": 5, "trip_lo": 7, "trips": 0, "received": 3, "duplicate": 1,
        "late": 0, "quarantined": 0, "missing": 0, "boot_id": 1, "seq": 1, "firmware_version": b"2.0.1",
        "sensors": 0,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    by_the_life_cycle = {"vehicle_state", "event_type", "state_since_ms", "alerts", "maintenance", "service"}
    assert set(STATE.names or ()) == expected.keys() | by_the_life_cycle


def test_a_vehicle_of_which_no_frame_was_processed_is_known_and_nowhere() -> None:
    (row,) = rows(Story().frame(9999, append_s=0, seq=3).shard())
    assert isnan(row["latitude_deg"])
    assert isnan(row["battery_soc_pct"])
    assert (row["last_frame_ms"], row["last_heard_ms"], row["quarantined"], row["missing"]) == (0, START_MS, 1, 3)


def test_a_trip_is_named_while_it_goes_on() -> None:
    ride, park = {"status": Status.IN_USE, "trip_lo": 7}, {"status": Status.LOCKED}
    both = rows(Story().frame(0, who=1, **ride).frame(0, who=2, **park).shard())
    assert both["trip_lo"].tolist() == [7, 0]
    (row,) = rows(Story().frame(0, **ride).frame(1, **park).frame(9, **park).shard())
    assert (row["trip_lo"], row["trips"]) == (0, 1)


def test_more_missing_frames_than_the_column_holds() -> None:
    story = Story().frame(0, seq=2**32 - 1).frame(1, boot=2, seq=2**32 - 1)
    assert rows(story.shard())["missing"].tolist() == [2**32 - 1]


def test_what_is_shown_only_is_exact_to_a_small_step() -> None:
    """Fifths of a metre, hundredths of a degree (of heading and temperature) and of a per cent, tenths of a kPa; below zero too."""
    (row,) = rows(
        Story()
        .frame(
            0,
            latitude_e7=0,
            longitude_e7=0,
            horizontal_accuracy_m=9_999.9,
            heading_deg=359.996,
            battery_temperature_c=-12.344,
            battery_soh_pct=71.337,
            tyre_pressure_front_left_kpa=171.26,
        )
        .shard()
    )
    shown = [
        row[name] for name in ("horizontal_accuracy_m", "heading_deg", "battery_temperature_c", "battery_soh_pct", "tyre_pressure_min_kpa")
    ]
    assert np.allclose(shown, [10_000, 360, -12.34, 71.34, 171.3], atol=1e-4)
    (row,) = rows(Story().frame(0).shard())
    assert all(isnan(row[name]) for name in ("heading_deg", "battery_temperature_c", "battery_soh_pct", "tyre_pressure_min_kpa"))


def test_firmware_versions_beyond_what_a_shard_can_name_are_unknown() -> None:
    story = Story()
    for i in range(300):
        story.frame(0, who=1 + i, firmware_version=b"1.%d" % (i % 270))
    versions = rows(story.shard())["firmware_version"].tolist()
    assert versions[:255] == [b"1.%d" % i for i in range(255)]
    assert versions[255:270] == [b""] * 15
    assert versions[270:] == versions[:30]


def test_when_it_was_last_heard_survives_our_outages() -> None:
    story = Story().frame(0, who=1).tick(4000).tick(4001).frame(4001.5, who=2).tick(9000)
    assert rows(story.shard())["last_heard_ms"].tolist() == [START_MS, START_MS + 4_001_500]


def test_freed_slots_are_not_live() -> None:
    story = Story().frame(0, who=1).ticks(1, 40).frame(41, who=2).ticks(42, 80)
    shard = story.shard()
    assert public.live(shard, np.arange(shard.vehicles)).tolist() == [1]
