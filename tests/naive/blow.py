"""The second opinion on a crash in obvious Python. The twin of state/blow.py."""

from typing import Any

from fleetpulse.codecs.schema import Status

Frame = dict[str, Any]


def struck(frame: Frame, limit_mps2: float) -> bool:
    x, y, z = (abs(frame[f"accel_peak_{axis}_mps2"] or 0.0) for axis in "xyz")
    total = x * x + y * y + z * z
    most = max(x, y, z)
    along = (x * x + y * y) ** 0.5
    others = max(0.0, total - most * most) ** 0.5
    return bool(total >= limit_mps2 * limit_mps2 and along >= 0.5 * z and others >= 0.1 * most)


def stopped(frame: Frame, fastest_mps: float | None, tipped_roll_deg: float) -> bool:
    """fastest_mps: within the minute of the frame, its own speed included."""
    if fastest_mps is None or fastest_mps < 3.0:
        return False
    roll, speed = frame["roll_deg"], frame["speed_mps"]
    lies = bool(frame["status"] & Status.TIPPED) or (roll is not None and abs(roll) > tipped_roll_deg)
    return lies or (speed is not None and speed <= 0.5 * fastest_mps)


def crashed(frame: Frame, limit_mps2: float, fastest_mps: float | None, tipped_roll_deg: float) -> bool:
    used = bool(frame["status"] & Status.IN_USE)
    return bool(frame["status"] & Status.CRASH) or (used and struck(frame, limit_mps2) and stopped(frame, fastest_mps, tipped_roll_deg))


def confidence(frame: Frame, limit_mps2: float, *, stops: bool) -> float:
    doubt = 1.0
    if frame["status"] & Status.CRASH:
        doubt *= 1.0 - 0.9
    if struck(frame, limit_mps2):
        doubt *= 1.0 - 0.5
    if stops:
        doubt *= 1.0 - 0.6
    return 1.0 - doubt
