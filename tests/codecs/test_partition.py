"""A vehicle's partition is the one that Java's Kafka client and librdkafka choose for its id."""

import ctypes
from pathlib import Path

import confluent_kafka
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetpulse.codecs import partition
from tests.naive import murmur2

DEVICE_ID = st.binary(min_size=16, max_size=16)
PARTITIONS = st.integers(1, 2**20)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_naive_twin_gives_the_values_of_kafkas_own_test(key: bytes, expected: int) -> None:
    assert murmur2.murmur2(key) == expected


@given(DEVICE_ID, PARTITIONS)
def test_kernel_equals_the_naive_twin(device_id: bytes, partitions: int) -> None:
    assert partition.of(device_id, partitions) == murmur2.partition(device_id, partitions)


@given(DEVICE_ID, PARTITIONS)
def test_kernel_equals_librdkafka(device_id: bytes, partitions: int) -> None:
    assert partition.of(device_id, partitions) == _LIBRDKAFKA(None, device_id, len(device_id), partitions, None, None)


def test_vehicles_spread_evenly() -> None:
    counts = [0] * 16
    for i in range(16_000):
        counts[partition.of(i.to_bytes(16, "big"), 16)] += 1
    assert min(counts) > 800
    assert max(counts) < 1200


def _librdkafka_partitioner() -> "ctypes._NamedFuncPointer":
    """rd_kafka_msg_partitioner_murmur2 of the library in confluent-kafka's wheel: murmur2_random for a key that is not null."""
    folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    function = ctypes.CDLL(str(next(folder.glob("librdkafka-*.so*")))).rd_kafka_msg_partitioner_murmur2
    function.restype = ctypes.c_int32
    pointer = ctypes.c_void_p
    function.argtypes = [pointer, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int32, pointer, pointer]
    return function


_LIBRDKAFKA = _librdkafka_partitioner()
