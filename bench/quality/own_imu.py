"""`--imu FILE`: acceleration as CSV through the vehicle's crash detector; its detections out."""

import sys
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from fleetpulse.bench.quality import imu_file
from fleetpulse.bench.quality.say import say
from fleetpulse.vehicle_agent.crash import RATE_HZ


def run(file: Path, *, unit: str, limit_mps2: float) -> int:
    """What the crash detector finds: one JSON line a crash with its time and confidence."""
    record = imu_file.read(file, unit=unit, say=say)
    found = imu_file.detect(record, limit_mps2)
    for crash in found:
        second = record.first_ms / 1000 + crash.sample / RATE_HZ
        line = {
            "time_s": round(second, 3),
            "since_start_s": round(crash.sample / RATE_HZ, 3),
            "sample": crash.sample,
            "confidence": round(crash.confidence, 3),
            "peak_mps2": round(_peak(record.samples, crash.sample), 1),
        }
        sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
    sys.stdout.buffer.flush()
    say(f"{file}: {len(record.samples) / RATE_HZ:.1f} s, {len(found)} crashes (peak from {limit_mps2:g} m/s2)")
    return 0


def _peak(samples: NDArray[np.float64], at: int) -> float:
    return float(np.sqrt((samples[max(0, at - 5) : at + 1] ** 2).sum(axis=1)).max())
