"""The crash detector over a whole recording at once, as its description reads: lists, medians, sums over the last five samples."""

import math
from statistics import median

Sample = tuple[float, float, float]

RAIL = 0.99 * 196.0


def first_crash(samples: list[Sample], limit_mps2: float) -> int:
    """Number of the first sample that completes a crash, -1 when none does."""
    gravity = [0.0, 0.0, 9.81]
    dynamic: list[list[float]] = []
    reach: list[list[float]] = []
    peaks: list[float] = []
    railed = [0, 0, 0]
    broken = [0, 0, 0]
    falling = 0
    since_fall = 51
    for n, sample in enumerate(samples):
        for axis in range(3):
            railed[axis] = railed[axis] + 1 if abs(sample[axis]) >= RAIL else 0
            broken[axis] = 50 if railed[axis] >= 5 else (broken[axis] if railed[axis] else max(0, broken[axis] - 1))
        size = math.hypot(*sample)
        falling = falling + 1 if size < 4.0 else 0
        since_fall = 0 if falling >= 4 else (since_fall if falling else since_fall + 1)
        filtered = [median(samples[k][axis] for k in (n - 2, n - 1, n)) if n >= 2 else sample[axis] for axis in range(3)]
        dynamic.append([0.0 if broken[axis] else filtered[axis] - gravity[axis] for axis in range(3)])
        reach.append([gravity[axis] if broken[axis] else sample[axis] for axis in range(3)])
        peaks.append(math.hypot(*(0.0 if broken[axis] else sample[axis] - gravity[axis] for axis in range(3))))
        if n >= 5 and since_fall > 50 and _struck(dynamic[-5:], reach[-5:], max(peaks[-5:]), gravity, limit_mps2):
            return n
        if abs(size - 9.81) < 3.0:
            gravity = [g + 0.02 * (a - g) for g, a in zip(gravity, sample, strict=True)]
    return -1


def _struck(dynamic: list[list[float]], reach: list[list[float]], peak: float, gravity: list[float], limit_mps2: float) -> bool:
    change = [sum(sample[axis] for sample in dynamic) / 50 for axis in range(3)]
    norm = math.hypot(*gravity)
    upright = sum(c * g for c, g in zip(change, gravity, strict=True)) / norm
    level = math.sqrt(max(0.0, sum(c * c for c in change) - upright * upright))
    at_rail = [max(abs(sample[axis]) for sample in reach) >= RAIL for axis in range(3)]
    agrees = any(not at_rail[axis] and sum(abs(sample[axis] - gravity[axis]) >= 6.0 for sample in reach) >= 2 for axis in range(3))
    return peak >= limit_mps2 and level >= 2.8 and level >= abs(upright) and (not any(at_rail) or agrees)
