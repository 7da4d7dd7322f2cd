"""Rows to Arrow columns and back: every table, any content, in particular ids that are 0, codes, text that is not UTF-8."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fleetpulse.codecs import tables

NAMES = {
    "city": tuple(f"city{i}" for i in range(256)),
    "vehicle_model": tuple(f"model{i}" for i in range(256)),
    "vehicle_state": tuple(f"state{i}" for i in range(256)),
    "event_type": tuple(f"event{i}" for i in range(256)),
}
TABLES = [tables.STATE, tables.WINDOW, tables.ZONE, tables.CANDIDATE]


@pytest.mark.parametrize("dtype", TABLES, ids=("state", "window", "zone", "candidate"))
@given(st.data())
def test_rows_come_back(dtype: np.dtype[np.void], data: st.DataObject) -> None:
    """Whatever the bytes of a row are, NaN and signed zeros included; text is what stands before the first 0."""
    n = data.draw(st.integers(0, 70))
    raw = data.draw(arrays.arrays(np.uint8, (n, dtype.itemsize), elements=st.integers(0, 127)))
    rows = np.ascontiguousarray(raw).view(dtype)[:, 0]
    back = tables.decode(tables.encode(rows, NAMES), dtype, NAMES)
    if "firmware_version" in (dtype.names or ()):
        rows["firmware_version"] = [text.split(b"\0")[0] for text in rows["firmware_version"].tolist()]
    for name in dtype.names or ():
        assert back[name].tobytes() == rows[name].tobytes(), name


def test_an_id_of_zero_is_null() -> None:
    rows = np.zeros(3, tables.STATE)
    rows["device_hi"], rows["device_lo"] = 1, [5, 6, 7]
    rows["trip_lo"][1] = 9
    batch = tables.read(tables.encode(rows, NAMES))
    assert batch.column("device_id").to_pylist()[1] == bytes([0] * 7 + [1] + [0] * 7 + [6])
    assert batch.column("trip_id").to_pylist() == [None, bytes([0] * 15 + [9]), None]


def test_text_that_is_not_utf8_shows_what_can_be_shown() -> None:
    rows = np.zeros(2, tables.STATE)
    rows["firmware_version"] = [b"4.2.1", b"4\xff2"]
    batch = tables.read(tables.encode(rows, NAMES))
    assert batch.column("firmware_version").to_pylist() == ["4.2.1", "4�2"]
