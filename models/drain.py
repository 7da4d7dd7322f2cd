"""Whether a vehicle loses more charge than its cohort's models explain: two watches on the residuals, one parked, one riding.

The running sum (a one-sided CUSUM with slack) says how many percentage points were lost without reason; the Page-Hinkley test
says that the vehicle's own residuals rose. The sum alone raises at the limit, with the test's word at half of it.
"""

from dataclasses import dataclass
from math import cos, hypot, radians

from fleetpulse.models.vehicles import Vehicle, Watch

RIDE_SLACK = 0.3
"""Share of the expected loss of a ride that riders and vehicles differ by."""
STANDBY_SLACK, STANDBY_SLACK_PCT_PER_H = 0.5, 0.1
"""The same for standing, and a part that does not depend on what is expected."""
RESTING = 0.25
"""A raised vehicle has recovered when its sums are below this share of the limit."""
HIGHEST = 2.0
"""The sums are bounded at this many limits, so that recovery does not take longer than the fault."""
LEAK = 0.99
"""While raised, a sum shrinks by this factor a window without unexplained loss."""

PH_DELTA, PH_LAMBDA, PH_ALPHA, PH_LEAST_COUNT = 0.5, 20.0, 0.9999, 30
"""Page-Hinkley in spreads of the cohort's residuals: allowance, threshold, fading, residuals before it speaks."""
PH_REACH = 10.0

STOOD_M = 100.0
"""A vehicle that is this near to where it was has stood: then its charge is compared across a gap without windows."""
_M_PER_DEG = 111_195.0
CHARGED_PCT = 2.0
"""A rise of charge beyond noise."""
STEP_PCT = 5.0
"""No battery loses more in a minute of riding: such a step is a sensor that had been stuck, and no loss."""
STOOD_STEP_PCT, STOOD_STEP_PCT_PER_H = 1.5, 30.0
"""The same for standing: a rounding of the sensor, and a part that grows with the time. What loses more burns."""
CONDITIONING_W = 1_000.0
"""Nothing but its heating or cooling draws so much in a vehicle that stands: what it costs is no drain..."""
CONDITIONING_MS = 45 * 60_000
"""...unless it lasts longer than anybody heats a car before a ride."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Charge lost in a span of `hours`: what was, what the cohort's model expected, and its usual error.

    In percentage points of the battery when it was new, so that an old battery, which falls faster, is no drain.
    """

    riding: bool
    hours: float
    actual: float
    expected: float
    spread: float


def update(watch: Watch, loss: Loss, slack_pct: float, *, limit_pct: float, raised: bool) -> None:
    """Take a loss into the sum and the test. slack_pct: what may be lost beyond the expected without counting."""
    residual = loss.actual - loss.expected
    excess = max(0.0, watch.excess_pct + residual - slack_pct)
    if raised and residual <= slack_pct:
        excess *= LEAK
    watch.excess_pct = min(HIGHEST * limit_pct, excess)
    page_hinkley(watch, min(PH_REACH, max(-PH_REACH, residual / loss.spread)))


def page_hinkley(watch: Watch, x: float) -> None:
    """One step of the test for a rise, as river.drift.PageHinkley(mode="up") does it (a test compares). Page 1954, Biometrika 41, 100."""
    watch.count += 1
    watch.mean += (x - watch.mean) / watch.count
    watch.total = PH_ALPHA * watch.total + (x - watch.mean) - PH_DELTA
    watch.least = min(watch.least, watch.total)


def rose(watch: Watch) -> bool:
    """What the test says."""
    return watch.count >= PH_LEAST_COUNT and watch.total - watch.least > PH_LAMBDA


def drains(watch: Watch, limit_pct: float) -> bool:
    return watch.excess_pct >= (limit_pct / 2 if rose(watch) else limit_pct)


def rests(vehicle: Vehicle, limit_pct: float) -> bool:
    return max(vehicle.parked.excess_pct, vehicle.riding.excess_pct) <= RESTING * limit_pct


def charged(vehicle: Vehicle) -> None:
    """Charge came in: the sums begin anew, unless they are raised, for charging mends nothing. What was lost before is judged already."""
    if not vehicle.battery_raised_ms:
        vehicle.parked.excess_pct = vehicle.riding.excess_pct = 0.0


def conditions(vehicle: Vehicle, power_w: float, span_ms: int) -> bool:
    """Whether a span of standing went into heating or cooling; counts how long it has been on."""
    if power_w < CONDITIONING_W:
        vehicle.conditioned_ms = 0
        return False
    vehicle.conditioned_ms += span_ms
    return vehicle.conditioned_ms <= CONDITIONING_MS


def stepped(lost_pct: float, hours: float, *, riding: bool) -> bool:
    """Whether the charge fell faster than any battery loses it."""
    if riding:
        return lost_pct > STEP_PCT * max(1.0, 60 * hours)
    return lost_pct > STOOD_STEP_PCT + STOOD_STEP_PCT_PER_H * hours


def swapped(vehicle: Vehicle) -> None:
    """Another battery: nothing that was learned of the old one holds."""
    vehicle.parked, vehicle.riding = Watch(), Watch()
    vehicle.streaks["powertrain"] = 0


def stood(vehicle: Vehicle, latitude_deg: float, longitude_deg: float) -> bool:
    """Whether the vehicle is where it was. False when a position is unknown."""
    north = (latitude_deg - vehicle.latitude_deg) * _M_PER_DEG
    east = (longitude_deg - vehicle.longitude_deg) * _M_PER_DEG * cos(radians(latitude_deg))
    return hypot(north, east) <= STOOD_M
