"""Why a model says what it says: values and limits by name, and the features that drove it. Pure; made only when something is found."""

from typing import Any

from fleetpulse.models.anomaly import Score
from fleetpulse.models.drain import Loss
from fleetpulse.models.features import GROUPS, Group
from fleetpulse.models.findings import FeatureShare, Judged
from fleetpulse.models.vehicles import Vehicle

Evidence = tuple[dict[str, float], tuple[FeatureShare, ...]]
SHOWN = 3
"""Features that are named."""


def judged(window: Any) -> Judged:
    """The window that a finding rests on, from its tables.WINDOW record."""
    return Judged(
        device_hi=int(window["device_hi"]),
        device_lo=int(window["device_lo"]),
        city=int(window["city"]),
        vehicle_model=int(window["vehicle_model"]),
        start_ms=int(window["window_start_ms"]),
        end_ms=int(window["window_end_ms"]),
        closed_ms=int(window["closed_ms"]),
        first_offset=int(window["first_offset"]),
        last_offset=int(window["last_offset"]),
        latitude_deg=float(window["latitude_deg"]),
        longitude_deg=float(window["longitude_deg"]),
        soc_pct=float(window["soc_last_pct"]),
    )


def sums(vehicle: Vehicle, limit_pct: float) -> dict[str, float]:
    """The two running sums and their limit."""
    return {
        "parked_excess_pct": vehicle.parked.excess_pct,
        "riding_excess_pct": vehicle.riding.excess_pct,
        "limit_pct": limit_pct,
    }


def of_loss(vehicle: Vehicle, loss: Loss, limit_pct: float) -> Evidence:
    """Of the drain model: the sum that reached the limit first, then the window or the ride that tipped it."""
    mode, watch = ("riding", vehicle.riding) if loss.riding else ("parked", vehicle.parked)
    values = {
        **sums(vehicle, limit_pct),
        "loss_pct": loss.actual,
        "expected_loss_pct": loss.expected,
        "span_min": loss.hours * 60,
        "judged_min": watch.judged_s / 60,
        **{
            f"left_out_{name}_min": seconds / 60
            for name, seconds in (
                ("charging", watch.charging_s),
                ("conditioning", watch.conditioning_s),
                ("doubted", watch.doubted_s),
                ("unseen", watch.unseen_s),
            )
            if seconds
        },
    }
    features = (
        FeatureShare(f"{mode}_excess_pct", watch.excess_pct, watch.score),
        FeatureShare(f"{mode}_loss_pct", loss.actual, (loss.actual - loss.expected) / loss.spread),
    )
    return values, features


def of_rule(vehicle: Vehicle, limit_pct: float) -> Evidence:
    """Of the fixed rule that stands in for model drain."""
    excess_pct = vehicle.rule_excess_pct
    return {"excess_pct": excess_pct, "limit_pct": limit_pct}, (FeatureShare("excess_pct", excess_pct, excess_pct / limit_pct),)


def of_vibration(window: Any, limit_mps2: float, windows: int) -> Evidence:
    """Of the fixed rule that stands in for model vibration."""
    features = GROUPS["vibration"][2:]
    shares = [FeatureShare(f.name, float(window[f.column]), float(window[f.column]) / limit_mps2) for f in features]
    return {"limit_mps2": limit_mps2, "windows": float(windows)}, tuple(sorted(shares, key=lambda share: -share.score))


def of_score(group: Group, score: Score, limit: float, windows: int, window: Any) -> Evidence:
    """Of an anomaly model: its score and limit, and the features furthest out."""
    values = {"score": score.total, "limit": limit, "rarity": score.rarity, "windows": float(windows)}
    ranked = sorted(zip(score.deviations, GROUPS[group], strict=True), key=lambda pair: -pair[0])
    features = tuple(FeatureShare(f.name, float(window[f.column]), deviation) for deviation, f in ranked[:SHOWN])
    return values, features
