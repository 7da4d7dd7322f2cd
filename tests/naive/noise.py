"""SplitMix64's finaliser on Python integers, and the draws made of it."""

MASK = 2**64 - 1


def mix(x: int) -> int:
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def bits(key: int, second: int, purpose: int) -> int:
    return mix(key ^ ((second * 64 + purpose) * 0xD1342543DE82EF95 & MASK))


def uniform(key: int, second: int, purpose: int) -> float:
    return float((bits(key, second, purpose) >> 11) / 2**53)


def normal(key: int, second: int, purpose: int) -> float:
    b = bits(key, second, purpose)
    return float((sum(b >> shift & 0xFFFF for shift in (0, 16, 32, 48)) - 131070) * 2.6429e-05)
