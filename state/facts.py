"""What the state kernel reports: rare facts, in stream order. Data only; alerts/ turns them into events."""

from enum import IntEnum, IntFlag

import numpy as np


class Fact(IntEnum):
    """What happened to the vehicle."""

    RAISED = 1  # a condition became true (condition, values)
    CLEARED = 2  # a condition became false
    TRIP_STARTED = 3
    TRIP_ENDED = 4
    TRIP_PAUSED = 5  # locked while in use (car-share: stopped)
    TRIP_RESUMED = 6
    OPERATION = 7  # an operation record; `row` finds it in the batch
    BATTERY_SWAPPED = 8  # charge jumped while parked: values = before, after
    EVICTED = 9  # not heard of for 30 days: the vehicle is forgotten, its slot goes to another one; cause DEADLINE


class Condition(IntEnum):
    """What can be true of a vehicle for a while; raised and cleared with hysteresis and dwell. Bit = 1 << code."""

    LOW_BATTERY = 0
    UNRENTABLE_BATTERY = 1
    OVER_TEMPERATURE = 2
    GEOFENCE = 3
    OUTSIDE_JURISDICTION = 4
    CRASH = 5
    TIPPED = 6
    THEFT = 7
    TAMPER = 8
    TYRE_PRESSURE = 9
    FAULT_CODE = 10
    OFFLINE = 11
    MISSING = 12
    VOLTAGE_SAG = 13
    SENSOR = 14


class Sensor(IntFlag):
    """What of a vehicle's senses is not believed now; bits of its `sensors`. What a bad sense measures counts as not measured."""

    CLOCK = 1  # off by more than rules.clock_slack_s
    POSITION_STUCK = 2  # it stays while the wheels ride on
    POSITION_JUMPS = 4  # it was again and again where nobody can get so fast
    CHARGE_FROZEN = 8  # it stays while energy is taken
    CHARGE_JUMPS = 16  # it rose or fell again and again as no battery does
    SPEED = 32  # neither the wheels nor the position moves
    CHARGING = 64  # it says so while it rides
    RANGE = 128  # a field had a value that cannot be


class Cause(IntEnum):
    """What a fact's id hangs on."""

    FRAME = 0  # (boot_id, seq)
    DEADLINE = 1  # cause_ms
    WINDOW = 2  # cause_ms = window end
    OPERATION = 3  # the operation's id


VALUES = 8
FACT: np.dtype[np.void] = np.dtype(
    [
        ("fact", "u1"),
        ("condition", "u1"),
        ("cause", "u1"),
        ("late", "u1"),  # 1: reported by a frame of a closed window
        ("slot", "<u4"),
        ("row", "<i4"),  # row in the batch's frames, -1 for a timer
        ("status", "<u4"),
        ("boot_id", "<u4"),
        ("seq", "<u4"),
        ("device_hi", "<u8"),
        ("device_lo", "<u8"),
        ("trip_hi", "<u8"),
        ("trip_lo", "<u8"),
        ("event_ms", "<i8"),  # event time (for a timer: its deadline)
        ("stream_ms", "<i8"),  # stream time when the kernel reported it
        ("append_ms", "<i8"),  # Kafka timestamp of the causing record; 0 for a timer
        ("cause_ms", "<i8"),
        ("first_offset", "<i8"),  # Kafka offsets that the fact rests on, inclusive
        ("last_offset", "<i8"),
        ("latitude_e7", "<i4"),
        ("longitude_e7", "<i4"),
        ("city", "u1"),
        ("vehicle_model", "u1"),
        ("soc_pct", "<f4"),
        ("value", "<f8", (VALUES,)),  # see VALUE_NAMES
    ],
    align=True,
)

VALUE_NAMES: dict[tuple[Fact, Condition | None], tuple[str, ...]] = {
    (Fact.TRIP_STARTED, None): ("odometer_m",),
    (Fact.TRIP_ENDED, None): (
        "started_ms",
        "duration_s",
        "distance_m",
        "energy_wh",
        "soc_start_pct",
        "start_latitude_deg",
        "start_longitude_deg",
    ),
    (Fact.BATTERY_SWAPPED, None): ("soc_before_pct", "soc_after_pct"),
    (Fact.RAISED, Condition.LOW_BATTERY): ("battery_soc_pct", "limit_pct"),
    (Fact.RAISED, Condition.UNRENTABLE_BATTERY): ("battery_soc_pct", "limit_pct"),
    (Fact.RAISED, Condition.OVER_TEMPERATURE): ("battery_temperature_c", "limit_c"),
    (Fact.RAISED, Condition.GEOFENCE): ("zone", "distance_m", "horizontal_accuracy_m"),
    (Fact.RAISED, Condition.OUTSIDE_JURISDICTION): ("zone", "distance_m", "horizontal_accuracy_m"),
    (Fact.RAISED, Condition.CRASH): ("accel_peak_mps2", "limit_mps2", "crash_bit", "confidence"),
    (Fact.RAISED, Condition.TIPPED): ("roll_deg", "dwell_s"),
    (Fact.RAISED, Condition.THEFT): ("speed_mps", "distance_m", "limit_mps", "limit_m"),
    (Fact.RAISED, Condition.TYRE_PRESSURE): ("tyre_pressure_kpa", "limit_kpa", "wheel"),
    (Fact.RAISED, Condition.FAULT_CODE): ("fault_bits",),
    (Fact.RAISED, Condition.OFFLINE): ("silent_s", "limit_s"),
    (Fact.RAISED, Condition.MISSING): ("silent_s", "limit_s"),
    (Fact.RAISED, Condition.VOLTAGE_SAG): ("battery_voltage_v", "limit_v", "battery_current_a"),
    (Fact.RAISED, Condition.SENSOR): ("implausible_fields", "clock_off_s", "sensors"),  # bit (number - 1) of each field; + = ahead; Sensor
}
"""Names of a fact's leading values; CLEARED has those of RAISED of its condition."""
