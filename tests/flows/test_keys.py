"""A shard's key meets the source partition of the shard on the same worker, whatever the number of workers."""

import pytest

from fleetpulse.flows.keys import shard_key, shard_of, siphash13


def test_the_hash_is_that_of_bytewax() -> None:
    """Seen in a cluster of two: the keys "0" to "3" all landed on one worker."""
    assert len({siphash13(key.encode() + b"\xff") % 2 for key in "0123"}) == 1


@pytest.mark.parametrize("partitions", [1, 4, 16, 64])
def test_a_key_is_routed_to_the_worker_of_its_source_partition(partitions: int) -> None:
    for workers in (w for w in range(1, partitions + 1) if partitions % w == 0):
        for shard in range(partitions):
            key = shard_key(shard, partitions)
            assert siphash13(key.encode() + b"\xff") % workers == shard % workers
            assert shard_of(key) == shard
