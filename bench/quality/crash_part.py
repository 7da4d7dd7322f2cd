"""The vehicle's crash detector at 50 Hz: crashes of many kinds and strengths, and what looks like one. Simulated sensors, labelled.

Evaluation and tuning differ in seeds and in strengths (sizes are shifted by half a step). Half of the crashes have a sensor that saturates
at a low range or an axis that is broken.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetpulse.bench.options import Options
from fleetpulse.bench.quality import plots, statistics
from fleetpulse.bench.report import Report
from fleetpulse.vehicle_agent.crash import FULL_SCALE_MPS2, RATE_HZ, Detector
from fleetpulse.vehicle_agent.impacts import Impact, trace

EACH = 250
BEFORE_S = 1.5
WITHIN_MS = 100.0
LIMIT_MPS2 = 60.0


@dataclass(frozen=True)
class Blow:
    """kind, sizes to draw from, range of the sensor, and an axis that hangs (-1: none)"""

    name: str
    kind: Impact
    low: float
    high: float
    full_scale_mps2: float = FULL_SCALE_MPS2
    broken_axis: int = -1


CRASHES = (
    Blow("crash", Impact.CRASH, 4.5, 14.0),
    Blow("crash_saturating_80", Impact.CRASH, 5.0, 14.0, full_scale_mps2=78.5),
    Blow("crash_saturating_160", Impact.CRASH, 7.0, 16.0, full_scale_mps2=157.0),
    Blow("crash_broken_axis", Impact.CRASH, 6.0, 14.0, broken_axis=1),
)
OTHERS = (
    Blow("kerb", Impact.KERB, 20.0, 125.0),
    Blow("stairs", Impact.STAIRS, 20.0, 100.0),
    Blow("drop", Impact.DROP, 40.0, 180.0),
    Blow("tip", Impact.TIP, 15.0, 85.0),
    Blow("broken_sensor", Impact.BROKEN_SENSOR, 0.0, 0.0),
    Blow("ride", Impact.RIDE, 0.0, 0.0),
)


def run(options: Options, report: Report) -> None:
    """Part `crash`."""
    seed = (20_000 if options.tuning else 10_000) + options.seed
    each = max(20, round(EACH * options.scale))
    rng = np.random.Generator(np.random.PCG64(seed))
    found, delays, sure = 0, [], []
    for blow in CRASHES:
        hits = 0
        for n in range(each):
            size = float(rng.uniform(blow.low, blow.high))
            samples = recording(blow, size, seed=seed * 1000 + n)
            at, confidence = detect(blow, samples)
            if at >= BEFORE_S * RATE_HZ:
                hits += 1
                delays.append((at + 1) * 1000.0 / RATE_HZ - BEFORE_S * 1000.0)
                sure.append(confidence)
        found += hits
        report.count(f"quality.crash_detector.{blow.name}.recall", "1", [hits / each], hits / each, statistics.share(hits, each))
    false = 0
    for blow in OTHERS:
        alarms = 0
        for n in range(each):
            samples = recording(blow, float(rng.uniform(blow.low, blow.high)), seed=seed * 1000 + n)
            alarms += detect(blow, samples)[0] >= 0
        false += alarms
        report.count(f"quality.crash_detector.{blow.name}.raised", "1", [float(alarms)], alarms, None)
    tries = each * len(CRASHES)
    recall, precision = found / tries, found / max(1, found + false)
    report.count("quality.crash_detector.recall", "1", [recall], recall, statistics.share(found, tries))
    report.count("quality.crash_detector.precision", "1", [precision], precision, statistics.share(found, found + false))
    report.count("quality.crash_detector.delay_ms", "ms", [max(delays)], max(delays), None)
    report.add("quality.crash_detector.confidence", "1", sure)
    report.checks["quality.crash_detector precision and recall >= 0.95"] = min(recall, precision) >= 0.95
    report.checks[f"quality.crash_detector.delay_ms <= {WITHIN_MS:g}"] = max(delays) <= WITHIN_MS
    if options.plots:
        for blow in (*CRASHES, *OTHERS):
            samples = recording(blow, (blow.low + blow.high) / 2, seed=seed)
            report.plots.append(plots.blow(blow.name, samples, RATE_HZ, detect(blow, samples)[0], options.plots))


def recording(blow: Blow, size: float, *, seed: int) -> NDArray[np.float64]:
    """(N, 3) at 50 Hz, as the sensor of this range gives it."""
    samples = trace(blow.kind, size, seed=seed, before_s=BEFORE_S)
    samples = np.clip(samples, -blow.full_scale_mps2, blow.full_scale_mps2)
    if blow.broken_axis >= 0:
        samples[10:, blow.broken_axis] = blow.full_scale_mps2
    return samples


def detect(blow: Blow, samples: NDArray[np.float64]) -> tuple[int, float]:
    """Number of the sample that completes a crash, -1: none; and the confidence."""
    detector = Detector(LIMIT_MPS2, full_scale_mps2=blow.full_scale_mps2)
    return detector.feed(samples), detector.confidence
