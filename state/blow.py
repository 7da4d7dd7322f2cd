"""The flow's own opinion on a crash, from the peaks of one frame and the minute around it; and how sure both opinions together are.

The vehicle's detector sees 50 samples a second and says so with the crash bit. A peak alone is no crash: kerbs and stairs strike upright, a
dropped vehicle was not ridden, a broken sensor hangs at the end of one axis. So without the bit a crash is a blow along the ground, to a
vehicle in use that rode within this minute and has lost at least half of its speed, or lies. Its naive twin is tests/naive/blow.py.
"""

from typing import Any

import numpy as np

from fleetpulse.codecs.jit import inlined
from fleetpulse.codecs.schema import Status
from fleetpulse.state.cast import code, real

RODE_MPS = 3.0
LEVEL_SHARE = 0.5
"""A blow along the ground has this much of the upright part at least."""
LONE_SHARE = 0.1
"""An axis that the other two together do not reach this much of is broken."""
TRUST_BIT, TRUST_BLOW, TRUST_STOP = 0.9, 0.5, 0.6
"""What each sign is worth alone; together they leave the product of their doubts."""
_CRASH_BIT, _TIPPED_BIT, _IN_USE = code(Status.CRASH), code(Status.TIPPED), code(Status.IN_USE)


@inlined
def _axis(value: Any) -> float:
    return 0.0 if np.isnan(value) else abs(real(value))


@inlined
def struck(f: Any, model: Any) -> bool:
    """Whether the peaks are those of a blow along the ground."""
    x, y, z = _axis(f.accel_peak_x_mps2), _axis(f.accel_peak_y_mps2), _axis(f.accel_peak_z_mps2)
    if x * x + y * y + z * z < model.crash_limit_mps2 * model.crash_limit_mps2:
        return False
    most = max(x, y, z)
    others = np.sqrt(max(0.0, x * x + y * y + z * z - most * most))
    return bool(np.sqrt(x * x + y * y) >= LEVEL_SHARE * z and others >= LONE_SHARE * most)


@inlined
def stopped(v: Any, f: Any, rules: Any) -> bool:
    """Whether the vehicle rode within the minute of this frame, which is folded already, and has lost half of its speed or lies."""
    rode = v.minute.speed_max >= RODE_MPS
    lies = f.status & _TIPPED_BIT != 0 or abs(f.roll_deg) > rules.tipped_roll_deg
    return bool(rode and (lies or f.speed_mps <= 0.5 * v.minute.speed_max))


@inlined
def crashed(v: Any, f: Any, rules: Any, model: Any) -> bool:
    """The bit, or the second opinion."""
    return bool(f.status & _CRASH_BIT or (f.status & _IN_USE and struck(f, model) and stopped(v, f, rules)))


@inlined
def confidence(f: Any, model: Any, stops: bool) -> float:
    """That it is a crash, 0..1. `stops`: the vehicle has stopped, as far as is known."""
    doubt = 1.0
    if f.status & _CRASH_BIT:
        doubt *= 1.0 - TRUST_BIT
    if struck(f, model):
        doubt *= 1.0 - TRUST_BLOW
    if stops:
        doubt *= 1.0 - TRUST_STOP
    return 1.0 - doubt
