"""An operation comes back as it was written; an incomplete one is refused with reason `operation`."""

from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetpulse.codecs import operations
from fleetpulse.codecs.errors import WireError
from fleetpulse.codecs.operations import Operation, OperationRecord

DETAIL = st.dictionaries(
    st.sampled_from(["alert_id", "rule", "component", "reservation_id", "note"]),
    st.one_of(st.none(), st.booleans(), st.text(max_size=5), st.integers(0, 9)),
)
RECORDS = st.builds(
    OperationRecord,
    operation=st.sampled_from(Operation),
    device_id=st.integers(1, 2**128 - 1).map(lambda number: UUID(int=number)),
    time_ms=st.integers(0, 2**62 - 1),
    by=st.text(max_size=5),
    operation_id=st.text(min_size=1, max_size=5),
    detail=DETAIL,
)
GOOD: dict[str, Any] = {"operation": "drop_off", "device_id": str(UUID(int=1)), "time_ms": 5}


@given(RECORDS)
def test_what_was_encoded_comes_back(record: OperationRecord) -> None:
    assert operations.decode(orjson.loads(operations.encode(record))) == record


def test_an_operation_without_an_id_gets_one_from_what_it_says() -> None:
    assert operations.decode(GOOD).operation_id == "drop_off.5"


@pytest.mark.parametrize("name", GOOD)
def test_a_key_that_is_missing_is_refused(name: str) -> None:
    with pytest.raises(WireError) as refused:
        operations.decode({key: value for key, value in GOOD.items() if key != name})
    assert refused.value.reason == "operation"


def nested(depth: int) -> Any:
    return orjson.loads("[" * depth + "]" * depth)


@pytest.mark.parametrize(
    "wrong",
    [
        {"operation": "dance"},
        {"operation": None},
        {"operation": nested(1020)},
        {"device_id": "x"},
        {"device_id": str(UUID(int=0))},
        {"time_ms": "soon"},
        {"time_ms": -1},
        {"time_ms": 2**62},
        {"time_ms": 1e300},
        {"note": nested(1020)},
        {"note": {}},
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(WireError) as refused:
        operations.decode({**GOOD, **wrong})
    assert refused.value.reason == "operation"
    assert len(str(refused.value)) < 200
