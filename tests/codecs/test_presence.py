"""A vehicle's birth and death message: identity, what may be absent, and any other bytes as a counted rejection."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetpulse.codecs import presence
from fleetpulse.codecs.errors import WireError
from fleetpulse.codecs.presence import Presence

_MAYBE = st.none() | st.integers(0, 2**32 - 1)


@given(st.builds(Presence, st.booleans(), _MAYBE, _MAYBE))
def test_encode_and_decode_are_inverses(value: Presence) -> None:
    assert presence.decode(presence.encode(value)) == value


def test_the_bytes_are_those_that_agents_send() -> None:
    assert presence.encode(Presence(True, 7, 1_700_000_000_000)) == b'{"state":"online","boot_id":7,"time_ms":1700000000000}'
    assert presence.decode(b'{"state": "offline"}') == Presence(False)


@pytest.mark.parametrize("payload", [b"", b"\x0a\x02", b"{", b"{}}"])
def test_what_is_not_json_is_rejected_as_json(payload: bytes) -> None:
    with pytest.raises(WireError) as caught:
        presence.decode(payload)
    assert caught.value.reason == "json"


_WRONG: list[object] = [
    [],
    {},
    {"state": "away"},
    {"state": []},
    {"state": "online", "boot_id": "7"},
    {"state": "online", "boot_id": -1},
    {"state": "online", "boot_id": True},
    {"state": "offline", "time_ms": 1.5},
    {"state": "offline", "time_ms": 2**62},
]


@pytest.mark.parametrize("value", _WRONG)
def test_a_state_or_number_of_the_wrong_kind_is_rejected_as_operation(value: object) -> None:
    with pytest.raises(WireError) as caught:
        presence.decode(orjson.dumps(value))
    assert caught.value.reason == "operation"
