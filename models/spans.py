"""A window, and the time since the vehicle's last one, cut into spans over which its charge can be compared; and what is left out, and why.

A charge ends nothing but its own span: what lay before it and what follows are judged like any other. No learning here.
"""

from dataclasses import dataclass
from math import isnan
from typing import Literal

from fleetpulse.models.drain import stood
from fleetpulse.models.features import Features
from fleetpulse.models.vehicles import Vehicle, Watch

CHARGED_PCT = 2.0
"""A rise of charge beyond noise."""
STEP_PCT = 5.0
"""No battery loses more in a minute of riding: such a step is a sensor that had been stuck, and no loss."""
STOOD_STEP_PCT, STOOD_STEP_PCT_PER_H = 1.5, 30.0
"""The same for standing: a rounding of the sensor, and a part that grows with the time. What loses more burns."""
DOUBT_MS = 30 * 60_000
"""After such a step, or a rise without charging that is no swap, the charge is not believed for so long."""
CONDITIONING_W = 1_000.0
"""Nothing but its heating or cooling draws so much in a vehicle that stands: what it costs is no drain..."""
CONDITIONING_MS = 45 * 60_000
"""...unless it lasts longer than anybody heats a car before a ride."""

Reason = Literal["charging", "conditioning", "doubted", "unseen"]
"""Why a span is left out. doubted: its charge was not measured or not believed, or fell as no battery's does; unseen: where the vehicle was
and what it did is not known."""


@dataclass(frozen=True, slots=True)
class Span:
    """Charge from begin to end, in per cent of the battery as it is."""

    begin_ms: int
    end_ms: int
    first_pct: float
    last_pct: float

    @property
    def hours(self) -> float:
        return (self.end_ms - self.begin_ms) / 3_600_000

    @property
    def lost_pct(self) -> float:
        return self.first_pct - self.last_pct

    @property
    def charged(self) -> bool:
        return -self.lost_pct > CHARGED_PCT


@dataclass(slots=True)
class Cut:
    """spans: at most two, in order. left_ms: by reason, what belongs to none."""

    spans: list[Span]
    left_ms: dict[Reason, int]


def cut(vehicle: Vehicle, f: Features, i: int) -> Cut:
    """Window i against what the vehicle was before it. Call once a window; it keeps how long the vehicle has been heated or cooled."""
    start_ms, end_ms = f.start_ms[i], f.end_ms[i]
    out = Cut([], {})
    if isnan(f.soc_last_pct[i]):
        _leave(out, "doubted", start_ms, end_ms)
        return out
    inside = Span(start_ms, end_ms, f.soc_first_pct[i], f.soc_last_pct[i])
    before = _before(vehicle, f, i, out)
    if f.charging_s[i] > 0 or inside.charged:
        vehicle.conditioned_ms = 0
        if f.charging_s[i] <= 0:
            vehicle.doubted_ms = end_ms + DOUBT_MS
        _leave(out, "charging", start_ms, end_ms)
        joined = [] if before is None or before.begin_ms == before.end_ms else [before]
    elif before is None:
        joined = [inside]
    elif before.charged:
        vehicle.conditioned_ms = 0
        _leave(out, "charging", before.begin_ms, before.end_ms)
        joined = [inside]
    else:
        joined = [Span(before.begin_ms, end_ms, before.first_pct, inside.last_pct)]
    for span in joined:
        reason = _why_not(vehicle, f, i, span)
        if reason is None:
            out.spans.append(span)
        else:
            _leave(out, reason, span.begin_ms, span.end_ms)
    return out


def _before(vehicle: Vehicle, f: Features, i: int, out: Cut) -> Span | None:
    """From the vehicle's last window to this one, of no length where they touch; None when it cannot be compared."""
    start_ms = f.start_ms[i]
    if not vehicle.end_ms:
        return None
    gap = start_ms > vehicle.end_ms
    if isnan(vehicle.soc_pct):
        _leave(out, "doubted", vehicle.end_ms, start_ms)
        return None
    if gap and (f.riding[i] or not stood(vehicle, f.latitude_deg[i], f.longitude_deg[i])):
        _leave(out, "unseen", vehicle.end_ms, start_ms)
        return None
    return Span(vehicle.end_ms, start_ms, vehicle.soc_pct, f.soc_first_pct[i])


def _why_not(vehicle: Vehicle, f: Features, i: int, span: Span) -> Reason | None:
    """Why a span must not be judged; None: it must."""
    riding, hours = f.riding[i], span.hours
    if riding:
        vehicle.conditioned_ms = 0
    if span.lost_pct > (STEP_PCT * max(1.0, 60 * hours) if riding else STOOD_STEP_PCT + STOOD_STEP_PCT_PER_H * hours):
        vehicle.doubted_ms = span.end_ms + DOUBT_MS
    if span.end_ms <= vehicle.doubted_ms:
        return "doubted"
    if riding:
        return None
    if f.power_w[i] < CONDITIONING_W:
        vehicle.conditioned_ms = 0
        return None
    vehicle.conditioned_ms += span.end_ms - span.begin_ms
    return "conditioning" if vehicle.conditioned_ms <= CONDITIONING_MS else None


def note(watch: Watch, left_ms: dict[Reason, int]) -> None:
    """Add what was left out to a sum that is open."""
    if watch.score > 0:
        watch.charging_s += left_ms.get("charging", 0) // 1000
        watch.conditioning_s += left_ms.get("conditioning", 0) // 1000
        watch.doubted_s += left_ms.get("doubted", 0) // 1000
        watch.unseen_s += left_ms.get("unseen", 0) // 1000


def _leave(out: Cut, reason: Reason, begin_ms: int, end_ms: int) -> None:
    if end_ms > begin_ms:
        out.left_ms[reason] = out.left_ms.get(reason, 0) + end_ms - begin_ms
