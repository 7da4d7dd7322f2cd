"""Stored state comes back as it was, and what is not ours is refused with a sentence that says what to do."""

import pytest

from fleetpulse.models import store
from fleetpulse.models.store import StoredStateError


def test_header_and_sections_come_back() -> None:
    stored = store.pack(b"TEST", 3, {"a": 1, "b": "x"}, [b"", b"12", b"\0" * 100])
    assert store.unpack(stored, b"TEST", 3, flow="detect") == ({"a": 1, "b": "x"}, [b"", b"12", b"\0" * 100])


@pytest.mark.parametrize("cut", [0, 5, -1])
def test_a_snapshot_that_was_cut_is_refused(cut: int) -> None:
    stored = store.pack(b"TEST", 3, {}, [b"123"])
    with pytest.raises(StoredStateError, match="remove the flow's folder in the recovery store"):
        store.unpack(stored[:cut], b"TEST", 3, flow="detect")


@pytest.mark.parametrize(("magic", "version"), [(b"ELSE", 3), (b"TEST", 4)])
def test_another_owner_or_layout_is_refused(magic: bytes, version: int) -> None:
    with pytest.raises(StoredStateError, match=f"must be {magic.decode()} version {version}; got TEST version 3"):
        store.unpack(store.pack(b"TEST", 3, {}, []), magic, version, flow="detect")
