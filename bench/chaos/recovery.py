"""When is a part back, and has it caught up? Pure functions of samples: what was seen when a target died, and what is seen now.

A flow has caught up when its living processes have taken everything that its topic held when the others were dead. The way
from vehicle to Kafka has, when every partition has grown since (the bridge writes ticks only while MQTT and Kafka are there) and
vehicles keep no more than usual. The gateway, when it says that it is ready.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fleetpulse.bench.chaos.plan import FLOWS, ROUTES, TARGETS
from fleetpulse.bench.chaos.watch import Sample

WAY = "way"
"""The way from the vehicles to Kafka."""
GATEWAY = "gateway"
CONCERNED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("bridge", "agent", "mosquitto", "mqtt"), (WAY,)),
    **{f"{flow} {what}": (flow,) for flow in FLOWS for what in ("worker", "supervisor")},
    "kafka": (WAY, GATEWAY, *FLOWS),
    "gateway": (GATEWAY,),
    "recovery": FLOWS,
}
"""Target or route -> what must have caught up."""
assert CONCERNED.keys() == {*TARGETS, *ROUTES, "recovery"}
USUAL_S = 3.0
"""Of what the vehicles make: as much may be under way."""


@dataclass(frozen=True)
class Usual:
    """How the undisturbed system looks: frames that the vehicles keep, frames that they make in a second on the wall."""

    pending: float
    frames_per_s: float

    @property
    def pending_limit(self) -> float:
        return self.pending + USUAL_S * self.frames_per_s


def usual(samples: Sequence[Sample]) -> Usual:
    """From some seconds of samples without a disturbance."""
    first, last = samples[0], samples[-1]
    return Usual(max(sample.pending for sample in samples), (last.frames - first.frames) / (last.at_s - first.at_s))


def caught_up_at(target: str, since_s: float, samples: Sequence[Sample], normal: Usual) -> float | None:
    """When all that a target concerns had caught up after its death at `since_s` (monotonic); None: not yet."""
    found = each_caught_up_at(target, since_s, samples, normal)
    times = [at_s for at_s in found.values() if at_s is not None]
    return max(times) if len(times) == len(found) else None


def each_caught_up_at(target: str, since_s: float, samples: Sequence[Sample], normal: Usual) -> dict[str, float | None]:
    """The same for each that the target concerns."""
    after = [sample for sample in samples if sample.at_s > since_s]
    return {what: _caught_up_at(what, after, normal) for what in CONCERNED[target]}


def _caught_up_at(what: str, after: Sequence[Sample], normal: Usual) -> float | None:
    if what == GATEWAY:
        return next((sample.at_s for sample in after if sample.ready), None)
    mark = next((sample for sample in after if sample.ends is not None), None)
    if mark is None or mark.ends is None:
        return None
    held = mark.ends["telemetry" if what == WAY else what]
    for now in after:
        if now.at_s <= mark.at_s or now.ends is None:
            continue
        if what == WAY:
            grown = all(now.ends["telemetry"][p] > end for p, end in held.items())
            done = grown and now.told_s > after[0].at_s and now.pending <= normal.pending_limit
        else:
            done = all(now.done[what].get(p, -1) >= end for p, end in held.items())
        if done:
            return now.at_s
    return None
