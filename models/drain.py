"""Whether a vehicle loses more charge than its cohort's models explain: two watches on the residuals, one parked, one riding.

Parked, a running sum (a one-sided CUSUM with slack) says how many percentage points were lost without reason. Riding, the sum is over
whole rides, each measured in the spreads by which the cohort's rides differ, and no ride counts for more than CAP of them: one ride is no
proof. The Page-Hinkley test says that the vehicle's own residuals rose; with its word half of a limit is enough.
"""

from dataclasses import dataclass
from math import cos, hypot, radians

from fleetpulse.models.vehicles import Vehicle, Watch

STANDBY_SLACK, STANDBY_SLACK_PCT_PER_H = 0.5, 0.1
"""What standing may cost beyond the expected: a share of it, and a part that does not depend on it."""
RIDE_SLACK = 0.25
"""Riders, loads and tyres differ for good: that share of a ride's expected loss is no reason to look, however alike rides are."""
CAP, RIDE_LIMIT = 3.0, 6.0
"""Most that one ride counts for, and the sum that raises, in spreads of the cohort's rides: it takes two rides at least."""
LEAST_SHARE = 1 / 3
"""Of the limit in percentage points that must be lost without reason while riding: less is nobody's business, however unlikely it is."""
RESTING = 0.25
"""A raised vehicle has recovered when its sums are below this share of the limit."""
HIGHEST = 2.0
"""The sums are bounded at this many limits, so that recovery does not take longer than the fault."""
LEAK = 0.99
"""While raised, a sum shrinks by this factor a window without unexplained loss."""

PH_DELTA, PH_LAMBDA, PH_ALPHA, PH_LEAST_COUNT = 0.5, 20.0, 0.9999, 30
"""Page-Hinkley in spreads of the cohort's residuals: allowance, threshold, fading, residuals before it speaks."""
PH_REACH = 10.0
PH_RIDE_LAMBDA, PH_LEAST_RIDES = 6.0, 5
"""Threshold, and rides before it speaks, where a residual is that of a whole ride."""

STOOD_M = 100.0
"""A vehicle that is this near to where it was has stood: then its charge is compared across a gap without windows."""
_M_PER_DEG = 111_195.0


@dataclass(frozen=True, slots=True)
class Loss:
    """Charge lost from begin_ms on in `hours` that were judged: what was, what the cohort's model expected, and its usual error.

    In percentage points of the battery when it was new, so that an old battery, which falls faster, is no drain.
    """

    riding: bool
    begin_ms: int
    hours: float
    actual: float
    expected: float
    spread: float


def stand(watch: Watch, loss: Loss, slack_pct: float, *, limit_pct: float, raised: bool) -> None:
    """Take a loss while standing into the sum and the test. slack_pct: what may be lost beyond the expected without counting."""
    _begin(watch, loss)
    residual = loss.actual - loss.expected
    excess = max(0.0, watch.excess_pct + residual - slack_pct)
    if raised and residual <= slack_pct:
        excess *= LEAK
    watch.excess_pct = min(HIGHEST * limit_pct, excess)
    watch.score = watch.excess_pct / limit_pct
    page_hinkley(watch, min(PH_REACH, max(-PH_REACH, residual / loss.spread)))


def ride(watch: Watch, loss: Loss) -> None:
    """The same of a whole ride. loss.spread: by which rides of such an expected loss differ."""
    _begin(watch, loss)
    residual = loss.actual - loss.expected
    step = (residual - max(loss.spread, RIDE_SLACK * loss.expected)) / loss.spread
    score = watch.score + max(-CAP, min(CAP, step)) / RIDE_LIMIT
    watch.score = min(HIGHEST, max(0.0, score))
    watch.excess_pct = max(0.0, watch.excess_pct + residual) if watch.score > 0 else 0.0
    page_hinkley(watch, max(-CAP, min(CAP, residual / loss.spread)))


def _begin(watch: Watch, loss: Loss) -> None:
    """A sum that is 0 begins with this loss."""
    if watch.score <= 0:
        watch.since_ms = loss.begin_ms
        watch.judged_s = watch.charging_s = watch.conditioning_s = watch.doubted_s = watch.unseen_s = 0
    watch.judged_s += round(3600 * loss.hours)


def page_hinkley(watch: Watch, x: float) -> None:
    """One step of the test for a rise, as river.drift.PageHinkley(mode="up") does it (a test compares). Page 1954, Biometrika 41, 100."""
    watch.count += 1
    watch.mean += (x - watch.mean) / watch.count
    watch.total = PH_ALPHA * watch.total + (x - watch.mean) - PH_DELTA
    watch.least = min(watch.least, watch.total)


def rose(watch: Watch, *, riding: bool = False) -> bool:
    """What the test says."""
    least, threshold = (PH_LEAST_RIDES, PH_RIDE_LAMBDA) if riding else (PH_LEAST_COUNT, PH_LAMBDA)
    return watch.count >= least and watch.total - watch.least > threshold


def drains(watch: Watch, limit_pct: float, *, riding: bool) -> bool:
    """Whether the sum proves a drain."""
    if riding and watch.excess_pct < LEAST_SHARE * limit_pct:
        return False
    return watch.score >= (0.5 if rose(watch, riding=riding) else 1.0)


def rests(vehicle: Vehicle) -> bool:
    return max(vehicle.parked.score, vehicle.riding.score) <= RESTING


def suspected(watch: Watch, *, raised: bool) -> bool:
    """Whether the model had better not learn from what it loses now."""
    return raised or watch.score >= 0.5


def over(vehicle: Vehicle) -> None:
    """What was raised is over: the sums begin anew."""
    for watch in (vehicle.parked, vehicle.riding):
        watch.excess_pct = watch.score = 0.0


def swapped(vehicle: Vehicle) -> None:
    """Another battery: nothing that was learned of the old one holds, but rides are judged on: it may be the motor."""
    vehicle.parked = Watch()
    if vehicle.battery_raised_ms:
        vehicle.riding = Watch()
    vehicle.ride_ms = 0
    vehicle.streaks["powertrain"] = 0


def stood(vehicle: Vehicle, latitude_deg: float, longitude_deg: float) -> bool:
    """Whether the vehicle is where it was. False when a position is unknown."""
    north = (latitude_deg - vehicle.latitude_deg) * _M_PER_DEG
    east = (longitude_deg - vehicle.longitude_deg) * _M_PER_DEG * cos(radians(latitude_deg))
    return hypot(north, east) <= STOOD_M
