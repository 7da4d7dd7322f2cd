"""Random numbers that are a function of (key, second, purpose) and of nothing else. For kernels; no state, no generator.

So a vehicle's story depends neither on how many vehicles there are nor on how time is cut. SplitMix64's finaliser as a hash
(Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators").
"""

import numpy as np

from fleetpulse.codecs.jit import inlined

_U = np.uint64
_GOLDEN = _U(0x9E3779B97F4A7C15)
_A = _U(0xBF58476D1CE4E5B9)
_B = _U(0x94D049BB133111EB)
_STRIDE = _U(0xD1342543DE82EF95)


@inlined
def mix(x: np.uint64) -> np.uint64:
    """A bijection of 64 bits without visible structure."""
    x = _U(x + _GOLDEN)
    x = _U((x ^ (x >> _U(30))) * _A)
    x = _U((x ^ (x >> _U(27))) * _B)
    return _U(x ^ (x >> _U(31)))


@inlined
def bits(key: np.uint64, second: int, purpose: int) -> np.uint64:
    """64 random bits. `purpose` (0..63) tells draws of one second apart."""
    return mix(_U(key ^ (_U(second * 64 + purpose) * _STRIDE)))


@inlined
def uniform(key: np.uint64, second: int, purpose: int) -> float:
    """Uniform in [0, 1)."""
    return float(bits(key, second, purpose) >> _U(11)) * 1.1102230246251565e-16


@inlined
def normal(key: np.uint64, second: int, purpose: int) -> float:
    """About normal, mean 0, deviation 1, within +-3.5: the sum of four uniform parts of one draw."""
    b = bits(key, second, purpose)
    low = _U(0xFFFF)
    total = float(b & low) + float((b >> _U(16)) & low) + float((b >> _U(32)) & low) + float(b >> _U(48))
    return (total - 131070.0) * 2.6429e-05
