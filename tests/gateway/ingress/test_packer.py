"""Payloads of one partition are joined, within the bounds of bytes and time, and nothing is lost or reordered."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from fleetpulse.gateway.ingress.packer import Packer
from fleetpulse.gateway.ingress.record import Kind, Record


def _packer(pack_bytes: int = 100, hold_s: float = 0.02) -> tuple[Packer, list[Record]]:
    sent: list[Record] = []
    return Packer(pack_bytes=pack_bytes, hold_s=hold_s, send=sent.append), sent


def test_payloads_of_one_partition_become_one_record_without_a_key() -> None:
    packer, sent = _packer()
    records = {packer.add(3, payload, 0.0) for payload in (b"a", b"bc", b"d")}
    packer.flush_all()
    assert sent == list(records)
    assert (sent[0].kind, sent[0].partition, sent[0].key, b"".join(sent[0].parts), sent[0].size) == (Kind.PACKED, 3, None, b"abcd", 4)
    assert sent[0].messages == 3


def test_a_record_does_not_grow_beyond_the_bound_and_a_larger_payload_stands_alone() -> None:
    packer, sent = _packer(pack_bytes=10)
    for payload in (b"x" * 6, b"y" * 5, b"z" * 30, b"w"):
        packer.add(0, payload, 0.0)
    assert [b"".join(record.parts) for record in sent] == [b"x" * 6, b"y" * 5, b"z" * 30]
    assert packer.holds(0)
    assert packer.bytes == 1


def test_a_record_is_due_when_its_first_payload_has_waited() -> None:
    packer, sent = _packer(hold_s=0.02)
    packer.add(1, b"a", 10.0)
    packer.add(2, b"b", 10.01)
    packer.add(1, b"c", 10.015)
    assert packer.due_s() == 10.02
    packer.flush_due(10.019)
    assert not sent
    packer.flush_due(10.02)
    assert [record.partition for record in sent] == [1]
    assert (packer.holds(1), packer.holds(2), packer.due_s()) == (False, True, 10.03)
    packer.flush_due(11.0)
    assert (packer.bytes, packer.due_s()) == (0, inf)


def test_flushing_a_partition_that_holds_nothing_sends_nothing() -> None:
    packer, sent = _packer()
    packer.flush(0)
    packer.flush_all()
    assert not sent


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(min_size=1, max_size=20), st.floats(0, 0.05)), max_size=50), st.integers(1, 40))
def test_whatever_comes_every_byte_leaves_once_and_in_order(steps: list[tuple[int, bytes, float]], pack_bytes: int) -> None:
    packer, sent = _packer(pack_bytes=pack_bytes)
    now_s = 0.0
    for partition, payload, pause_s in steps:
        now_s += pause_s
        packer.flush_due(now_s)
        packer.add(partition, payload, now_s)
    packer.flush_all()
    assert packer.bytes == 0
    for wanted in range(4):
        joined = b"".join(part for record in sent if record.partition == wanted for part in record.parts)
        assert joined == b"".join(payload for partition, payload, _ in steps if partition == wanted)
    assert all(record.size <= pack_bytes or len(record.parts) == 1 for record in sent)
