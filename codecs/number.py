"""JSON numbers in the forms that firmware writes, for kernels: exact or not at all.

A number that is not read here is not wrong, it only has an unusual form; the caller takes the slow way. Every function may load
56 bytes from the number's begin on, whatever they are.
"""

import numpy as np

from fleetpulse.codecs.jit import always_inlined
from fleetpulse.codecs.memory import Memory, leading_digits, load_u8

_MINUS, _PLUS, _POINT, _ZERO, _EXPONENT, _LOWER = 0x2D, 0x2B, 0x2E, 0x30, 0x65, 0x20
_VALUE = 0xFFFFFFFF
_MAX_DIGITS = 18
_EXACT = 1 << 53
_POWERS = 10 ** np.arange(9, dtype=np.int64)
_SCALES = np.array([float(10**k) for k in range(23)])
"""The powers of ten that a double holds exactly."""
UNUSUAL = -1
"""Next position after a number that is not read."""


@always_inlined
def read_digits(text: Memory, at: int) -> tuple[int, int]:
    """(value, next position) of one to 15 digits without a leading zero."""
    found = leading_digits(text, at)
    count = found >> 32
    value = found & _VALUE
    if count == 0 or (count > 1 and load_u8(text, at) == _ZERO):
        return 0, UNUSUAL
    if count == 8:
        found = leading_digits(text, at + 8)
        count = found >> 32
        if count == 8:
            return 0, UNUSUAL
        value = value * _POWERS[count] + (found & _VALUE)
        count += 8
    return value, at + count


@always_inlined
def read_integer(text: Memory, at: int) -> tuple[int, int]:
    """(value, next position) of an integer of up to 15 digits."""
    negative = load_u8(text, at) == _MINUS
    value, after = read_digits(text, at + 1 if negative else at)
    return -value if negative else value, after


@always_inlined
def read_number(text: Memory, at: int) -> tuple[float, int, bool]:
    """(value, next position, exact) of a number of up to 18 digits.

    exact  value is the double that is nearest to the number; else it is off by less than two units in the last place
    Clinger 1990: an integer below 2^53 times or over an exact power of ten is rounded once.
    """
    negative = load_u8(text, at) == _MINUS
    begin = at + 1 if negative else at
    mantissa, after = read_digits(text, begin)
    if after < 0:
        return 0.0, UNUSUAL, False
    digits, scale, is_integer = after - begin, 0, True
    if load_u8(text, after) == _POINT:
        is_integer = False
        point = after
        after += 1
        count = 8
        while count == 8:
            found = leading_digits(text, after)
            count = found >> 32
            digits += count
            if digits > _MAX_DIGITS:
                return 0.0, UNUSUAL, False
            mantissa = mantissa * _POWERS[count] + (found & _VALUE)
            after += count
        scale = after - point - 1
        if scale == 0:
            return 0.0, UNUSUAL, False
    if load_u8(text, after) | _LOWER == _EXPONENT:
        is_integer = False
        sign = load_u8(text, after + 1)
        after += 2 if sign in (_MINUS, _PLUS) else 1
        found = leading_digits(text, after)
        if found >> 32 == 0 or found >> 32 == 8:
            return 0.0, UNUSUAL, False
        scale += (found & _VALUE) if sign == _MINUS else -(found & _VALUE)
        after += found >> 32
    if not -len(_SCALES) < scale < len(_SCALES):
        return 0.0, UNUSUAL, False
    value = float(mantissa)
    value = value / _SCALES[scale] if scale >= 0 else value * _SCALES[-scale]
    if negative and not (is_integer and mantissa == 0):  # the integer -0 is 0
        value = -value
    return value, after, mantissa <= _EXACT
