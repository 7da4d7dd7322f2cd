"""Which partition of `vehicle-telemetry`, and so which shard, a vehicle belongs to: what Java's Kafka client does with the key.

Partition = (murmur2(the 16 bytes of the device id) & 0x7fffffff) mod P. librdkafka calls the same partitioner `murmur2_random`.
"""

import struct

from numba import types

from fleetpulse.codecs.jit import inlined, kernel
from fleetpulse.codecs.memory import swap32

_SEED_AND_LENGTH = 0x9747B28C ^ 16
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF
_HALVES = struct.Struct(">qq")


@inlined
def _mix(h: int, word: int) -> int:
    k = word * _M & _MASK
    k ^= k >> 24
    return (h * _M & _MASK) ^ (k * _M & _MASK)


@inlined
def of_halves(device_hi: int, device_lo: int, partitions: int) -> int:
    """Partition of a device id given as its big-endian halves (int64 bit patterns). For kernels."""
    h = _mix(_SEED_AND_LENGTH, swap32(device_hi >> 32 & _MASK))  # murmur2 takes little-endian words
    h = _mix(h, swap32(device_hi & _MASK))
    h = _mix(h, swap32(device_lo >> 32 & _MASK))
    h = _mix(h, swap32(device_lo & _MASK))
    h ^= h >> 13
    h = h * _M & _MASK
    h ^= h >> 15
    return (h & 0x7FFFFFFF) % partitions


@kernel(types.int64(types.int64, types.int64, types.int64))
def _of(device_hi: int, device_lo: int, partitions: int) -> int:
    return of_halves(device_hi, device_lo, partitions)


def of(device_id: bytes, partitions: int) -> int:
    """Partition of a device id (16 bytes) among `partitions`."""
    assert len(device_id) == 16, "a device id has 16 bytes"
    hi, lo = _HALVES.unpack(device_id)
    return _of(hi, lo, partitions)
