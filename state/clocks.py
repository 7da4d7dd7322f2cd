"""By how much a vehicle's clock is off: the running minimum of record time - event time, so that its frames can be put where they belong.

Learned in periods, of frames that are no backlog. The minimum of a period is believed when most of its frames agree with it within the
slack: one wild frame makes no clock wrong, nor do frames that are held up on the way make it slow. A clock that is put right is believed at
once when it was slow (its frames would lie in the future), after a period when it was fast; a new boot begins anew. The naive twin is in
tests/naive/clocks.py.
"""

from typing import Any

from fleetpulse.codecs.jit import inlined
from fleetpulse.codecs.schema import Status
from fleetpulse.state.cast import code, whole

LEAST_FRAMES = 8
MANY = 255
_BACKLOG = code(Status.BACKLOG)


@inlined
def _begin(v: Any, lag_ms: int, second: int) -> None:
    v.clock_low_ms = lag_ms
    v.clock_since_s = second
    v.clock_frames = 1
    v.clock_others = 0


@inlined
def forget(v: Any) -> None:
    """The vehicle booted: its clock may be another."""
    v.clock_off_ms = 0
    v.clock_frames = 0


@inlined
def learn(v: Any, f: Any, stream_ms: int, rules: Any) -> None:
    """Take the frame's clock into account. Its time is within 48 h of stream time."""
    if f.status & _BACKLOG:
        return
    lag_ms = stream_ms - whole(f.time_ms)
    slack_ms = whole(rules.clock_slack_ms)
    second = (stream_ms // 1000) & 0xFFFF
    if v.clock_off_ms > 0 and lag_ms < v.clock_off_ms - slack_ms:
        v.clock_off_ms = 0
        v.clock_frames = 0
    low_ms = whole(v.clock_low_ms)
    if v.clock_frames == 0 or lag_ms < low_ms - slack_ms:
        _begin(v, lag_ms, second)
        return
    if lag_ms <= low_ms + slack_ms:
        v.clock_frames = min(MANY, whole(v.clock_frames) + 1)
        low_ms = min(low_ms, lag_ms)
        v.clock_low_ms = low_ms
    else:
        v.clock_others = min(MANY, whole(v.clock_others) + 1)
    frames, others = whole(v.clock_frames), whole(v.clock_others)
    if frames + others >= LEAST_FRAMES and ((second - whole(v.clock_since_s)) & 0xFFFF) * 1000 >= rules.clock_learn_ms:
        if frames > others:
            v.clock_off_ms = low_ms if abs(low_ms) > slack_ms else 0
        v.clock_frames = 0
