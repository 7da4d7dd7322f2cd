"""Whether bytes are UTF-8, for kernels: no overlong forms, no surrogates, nothing above U+10FFFF. The Unicode Standard, table 3-7."""

from fleetpulse.codecs.jit import inlined
from fleetpulse.codecs.memory import Memory, load_u8


@inlined
def is_utf8(payload: Memory, at: int, end: int) -> bool:
    """Whether the bytes at [at, end) are well-formed UTF-8."""
    while at < end:
        lead = load_u8(payload, at)
        at += 1
        if lead < 0x80:
            continue
        if lead < 0xC2 or lead > 0xF4:
            return False
        more = 1 + (lead >= 0xE0) + (lead >= 0xF0)
        if at + more > end:
            return False
        second = load_u8(payload, at)
        low, high = 0x80, 0xBF
        if lead == 0xE0:
            low = 0xA0
        elif lead == 0xED:
            high = 0x9F
        elif lead == 0xF0:
            low = 0x90
        elif lead == 0xF4:
            high = 0x8F
        if second < low or second > high:
            return False
        for i in range(1, more):
            if load_u8(payload, at + i) & 0xC0 != 0x80:
                return False
        at += more
    return True
