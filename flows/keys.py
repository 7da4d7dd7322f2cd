"""Keys of Bytewax streams: one a shard, chosen so that Bytewax routes it to the worker that reads the shard's partition. Pure.

Bytewax routes a key by SipHash-1-3 with zero key over the string's bytes and 0xFF, modulo the number of workers; source
partition i stands on worker i modulo W. A key whose hash modulo P is i meets its source for every W that divides P.
"""

from functools import cache

_MASK = (1 << 64) - 1


def _rotl(x: int, bits: int) -> int:
    return ((x << bits) | (x >> (64 - bits))) & _MASK


def siphash13(data: bytes) -> int:
    """SipHash with 1 compression and 3 finalisation rounds and a zero key. Aumasson and Bernstein 2012."""
    v0, v1, v2, v3 = 0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573

    def sipround() -> None:
        nonlocal v0, v1, v2, v3
        v0 = (v0 + v1) & _MASK
        v1 = _rotl(v1, 13) ^ v0
        v0 = _rotl(v0, 32)
        v2 = (v2 + v3) & _MASK
        v3 = _rotl(v3, 16) ^ v2
        v0 = (v0 + v3) & _MASK
        v3 = _rotl(v3, 21) ^ v0
        v2 = (v2 + v1) & _MASK
        v1 = _rotl(v1, 17) ^ v2
        v2 = _rotl(v2, 32)

    whole = len(data) & ~7
    words = [int.from_bytes(data[i : i + 8], "little") for i in range(0, whole, 8)]
    words.append((len(data) & 0xFF) << 56 | int.from_bytes(data[whole:], "little"))
    for word in words:
        v3 ^= word
        sipround()
        v0 ^= word
    v2 ^= 0xFF
    for _ in range(3):
        sipround()
    return v0 ^ v1 ^ v2 ^ v3


@cache
def shard_key(shard: int, partitions: int) -> str:
    """The key of a shard: the first `{shard:02d}.{n}` that Bytewax routes to the worker of source partition `shard`."""
    n = 0
    while True:
        key = f"{shard:02d}.{n}"
        if siphash13(key.encode() + b"\xff") % partitions == shard:
            return key
        n += 1


def shard_of(key: str) -> int:
    """The shard of a key. The inverse of shard_key."""
    return int(key.split(".", 1)[0])
