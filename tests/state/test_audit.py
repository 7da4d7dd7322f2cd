"""The sequence audit against sets, for logs with loss, doubles, reordering, restarts and lost ends; and what its bounds do."""

from typing import Any

import numpy as np
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fleetpulse.codecs import schema
from fleetpulse.state.shard import Shard
from tests.naive.audit import SetAuditor
from tests.state.logs import EXAMPLES, PARAMETERS, START_MS, run

Identity = tuple[int, int, int]
"""boot, seq, previous_last_seq"""


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Identity], list[Identity]]:
    """(sent, arrived): a vehicle's boots in order; what of it arrives, in any order, some of it more than once."""
    first_boot = draw(st.integers(0, 3))
    sent: list[Identity] = []
    last = -1
    for boot, length in enumerate(draw(st.lists(st.integers(1, 8), min_size=1, max_size=4)), first_boot):
        sent += [(boot, seq, last if seq == 0 else -1) for seq in range(length)]
        last = length - 1
    indices = st.integers(0, len(sent) - 1)
    order = draw(st.permutations(range(len(sent)))) if draw(st.booleans()) else list(range(len(sent)))
    lost = draw(st.sets(indices, max_size=4))
    arrived = [sent[i] for i in order if i not in lost]
    for i in draw(st.lists(indices, max_size=4)):
        if sent[i] in arrived:
            arrived.insert(draw(st.integers(arrived.index(sent[i]) + 1, len(arrived))), sent[i])
    return sent, arrived


def frames_of(identities: list[Identity]) -> NDArray[Any]:
    frames = schema.empty(len(identities))
    frames["append_ms"], frames["time_ms"], frames["device_lo"] = START_MS, START_MS, 1
    for row, (boot, seq, previous_last) in zip(frames, identities, strict=True):
        row["boot_id"], row["seq"], row["previous_last_seq"] = boot, seq, previous_last
    return frames


@settings(max_examples=3 * EXAMPLES, deadline=None)
@given(deliveries())
def test_what_is_double_and_what_is_missing_is_what_sets_say(story: tuple[list[Identity], list[Identity]]) -> None:
    _, arrived = story
    assume(arrived)
    shard, auditor = Shard(0, PARAMETERS), SetAuditor()
    for identity in arrived:
        double = auditor.check(*identity)
        before = shard.counters["duplicate"]
        run(shard, [frames_of([identity])])
        assume(shard.counters["gaps_overflow"] == 0)
        assert shard.counters["duplicate"] - before == double, identity
        assert shard.counters["missing"] == len(auditor.missing), identity
    assert open_gaps(shard) == auditor.missing


def open_gaps(shard: Shard) -> list[tuple[int, int]]:
    """(boot, seq) of each frame in an open gap of the first vehicle."""
    block = int(shard.records["gaps"][0])
    if not block:
        return []
    gaps = shard.gaps_of(block)
    ranges = zip(*(gaps[name][: gaps["gaps"]].tolist() for name in ("boot_id", "first", "last")), strict=True)
    return [(boot, seq) for boot, first, last in ranges for seq in range(first, last + 1)]


@settings(max_examples=EXAMPLES, deadline=None)
@given(deliveries())
def test_what_was_sent_is_what_was_received_less_doubles_and_the_missing(story: tuple[list[Identity], list[Identity]]) -> None:
    """As soon as the log tells where each boot ended. `sent` is the ledger."""
    sent, arrived = story
    boots = {boot for boot, _, _ in sent}
    ends_told = all((boot + 1, 0) in {(b, s) for b, s, _ in arrived} for boot in boots - {max(boots)})
    assume(ends_told and sent[-1] in arrived)
    shard = Shard(0, PARAMETERS)
    run(shard, [frames_of(arrived)])
    counters = shard.counters
    assert counters["received"] - counters["duplicate"] + counters["missing"] == len(sent)
    assert counters["received"] == counters["processed"] + counters["duplicate"]


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=60))
def test_when_gaps_overflow_the_account_still_holds(seqs: list[int]) -> None:
    """A frame of a dropped gap is a duplicate when it comes: the sum of what was sent stays right."""
    shard = Shard(0, PARAMETERS)
    run(shard, [frames_of([(1, seq, -1) for seq in seqs])])
    counters = shard.counters
    assert counters["received"] - counters["duplicate"] + counters["missing"] == max(seqs) + 1
    if not counters["gaps_overflow"]:
        assert counters["duplicate"] == len(seqs) - len(set(seqs))


@st.composite
def lost_tails(draw: st.DrawFn) -> tuple[list[Identity], list[Identity]]:
    """(in time, late): each boot but the last loses its tail, which comes when the next boots have long begun, in any order."""
    lengths = draw(st.lists(st.integers(1, 12), min_size=2, max_size=5))
    in_time: list[Identity] = []
    late: list[Identity] = []
    last = -1
    for boot, length in enumerate(lengths, draw(st.integers(0, 2))):
        cut = length if boot == len(lengths) - 1 else draw(st.integers(0, length))
        frames = [(boot, seq, last if seq == 0 else -1) for seq in range(length)]
        in_time += frames[:cut]
        late += frames[cut:]
        last = length - 1
    return in_time, draw(st.permutations(late))


@settings(max_examples=2 * EXAMPLES, deadline=None)
@given(lost_tails())
@example(([(1, 0, -1), (1, 1, -1), (2, 0, 4)], [(1, 3, -1), (1, 4, -1), (1, 2, -1)]))
def test_a_tail_that_a_restart_cut_off_is_missing_until_it_comes_late(story: tuple[list[Identity], list[Identity]]) -> None:
    r"""The first frame of a boot tells by `previous_last_seq` where the boot before ended.

    boot 1   0 1 . . .          2 3 4 come late, in any order
    boot 2             0 (previous_last_seq 4)
    """
    in_time, late = story
    assume(in_time)
    shard, auditor = Shard(0, PARAMETERS), SetAuditor()
    run(shard, [frames_of(in_time)])
    for identity in in_time:
        auditor.check(*identity)
    assert open_gaps(shard) == auditor.missing
    assert shard.counters["missing"] == shard.records["missing"][0] == len(auditor.missing)
    for identity in late:
        auditor.check(*identity)
        run(shard, [frames_of([identity])])
        assume(shard.counters["gaps_overflow"] == 0)
        assert open_gaps(shard) == auditor.missing
    assert shard.counters["missing"] == shard.records["missing"][0] == 0
    assert shard.counters["duplicate"] == 0
    assert shard.counters["received"] == len(in_time) + len(late)


def test_the_smallest_gap_is_dropped_when_there_are_too_many() -> None:
    r"""Every second frame of 20 is lost, then one of the kept gaps' frames and one of the dropped gap's come.

        seq  0 . 2 . 4 . 6 . 8 . 10 . 12 . 14 . 16 . 18 . . . 22
    gaps        1   3   5   7   9    11   13   15   17   19-21      ten: the first two smallest go
    """
    shard = Shard(0, PARAMETERS)
    run(shard, [frames_of([(1, seq, -1) for seq in (*range(0, 20, 2), 22)])])
    assert (shard.counters["missing"], shard.counters["gaps_overflow"]) == (12, 2)
    assert open_gaps(shard) == [(1, seq) for seq in (5, 7, 9, 11, 13, 15, 17, 19, 20, 21)]
    run(shard, [frames_of([(1, 20, -1)])])  # splits 19-21 in two: nine gaps again
    assert (shard.counters["missing"], shard.counters["gaps_overflow"], shard.counters["duplicate"]) == (11, 3, 0)
    run(shard, [frames_of([(1, 1, -1)])])
    assert (shard.counters["missing"], shard.counters["duplicate"]) == (11, 1)


def test_a_boot_that_was_never_seen_is_not_taken_for_a_duplicate() -> None:
    """The backlog of boot 2 comes after boot 3 began, whose first frame was lost: nothing tells that there was a boot 2."""
    shard = Shard(0, PARAMETERS)
    run(shard, [frames_of([(1, 0, -1), (1, 1, -1), (3, 1, -1), (2, 1, -1), (2, 0, 4)])])
    assert shard.counters["duplicate"] == 0
    assert open_gaps(shard) == [(1, 2), (1, 3), (1, 4), (3, 0)]


def test_a_boot_of_long_ago_is_a_duplicate() -> None:
    shard = Shard(0, PARAMETERS)
    run(shard, [frames_of([(boot, 0, 0) for boot in range(1, 40)])])
    assert (shard.counters["duplicate"], shard.counters["missing"]) == (0, 1)
    run(shard, [frames_of([(3, 0, 0), (3, 1, -1)])])
    assert shard.counters["duplicate"] == 2


def test_of_too_many_boots_whose_end_nobody_told_the_oldest_is_taken_as_ended() -> None:
    """Firmware that never says where the boot before ended: four older boots may still go on, the rest may not."""
    shard = Shard(0, PARAMETERS)
    run(shard, [frames_of([(boot, seq, -1) for boot in range(1, 8) for seq in (0, 1)])])
    assert shard.counters["duplicate"] == 0
    run(shard, [frames_of([(3, 2, -1), (6, 3, -1)])])
    assert (shard.counters["duplicate"], shard.counters["missing"]) == (0, 1)
    run(shard, [frames_of([(2, 2, -1), (1, 2, -1)])])
    assert shard.counters["duplicate"] == 2
    run(shard, [frames_of([(9, 0, -1), (8, 5, -1)])])  # a boot between that was never seen is new, and the oldest has to go for it
    assert (shard.counters["duplicate"], shard.counters["missing"]) == (2, 6)
    run(shard, [frames_of([(3, 3, -1), (5, 2, -1)])])
    assert shard.counters["duplicate"] == 3


def test_a_boot_older_than_all_that_may_go_on_is_taken_as_ended_at_once() -> None:
    shard = Shard(0, PARAMETERS)
    run(shard, [frames_of([(boot, 0, -1) for boot in (10, 12, 13, 14, 15)]), frames_of([(9, 2, -1)])])
    assert (shard.counters["duplicate"], shard.counters["missing"]) == (0, 2)
    run(shard, [frames_of([(9, 3, -1), (9, 0, -1)])])
    assert (shard.counters["duplicate"], shard.counters["missing"]) == (1, 1)


def test_the_audit_of_a_vehicle_in_order_holds_no_block() -> None:
    shard = Shard(0, PARAMETERS)
    story = [(boot, seq, 9 if seq == 0 and boot > 1 else -1) for boot in range(1, 50) for seq in range(10)]
    run(shard, [frames_of(story)])
    assert shard.counters["missing"] == 0
    assert not shard.records["gaps"].any()


def test_sequence_numbers_up_to_the_largest() -> None:
    shard = Shard(0, PARAMETERS)
    run(shard, [frames_of([(2**32 - 1, 2**32 - 1, -1), (2**32 - 1, 7, -1)])])
    assert shard.counters["missing"] == 2**32 - 2
    assert int(np.int64(shard.records["seq"][0])) == 2**32 - 1
