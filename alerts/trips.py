"""Trip events from the kernel's facts. Distance, energy and duration are the kernel's; here they get their names."""

from typing import Any

from fleetpulse.alerts import event, evidence
from fleetpulse.alerts.evidence import FactRow, Trigger
from fleetpulse.alerts.recorder import Recorder
from fleetpulse.alerts.rules import TRIP


def trip_id(row: FactRow) -> dict[str, str]:
    """The key `trip_id`, if the vehicle said one."""
    return {"trip_id": evidence.uuid_text(row.trip_hi, row.trip_lo)} if row.trip_hi or row.trip_lo else {}


def started(recorder: Recorder, tip: Trigger) -> None:
    """Emit a trip's start; values: odometer_m."""
    data: dict[str, Any] = {**trip_id(tip.row), "started_ms": tip.time_ms, **evidence.values(tip.row)}
    recorder.record(event.TRIP_STARTED, tip, TRIP, data)


def ended(recorder: Recorder, tip: Trigger) -> None:
    """Emit a trip's end; values: started_ms, duration_s and what was measured."""
    data: dict[str, Any] = {**trip_id(tip.row), "ended_ms": tip.time_ms, **evidence.values(tip.row)}
    assert {"started_ms", "duration_s"} <= data.keys(), "a trip that ended has started"
    recorder.record(event.TRIP_ENDED, tip, TRIP, data)
