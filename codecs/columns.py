"""Rows to columns: NumPy records to the buffers of an Arrow record batch, in one pass of a kernel. No table is named here.

A column costs about a microsecond of Python, however many rows there are. Rows of the tables are few and written often.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fleetpulse.codecs.jit import kernel
from fleetpulse.codecs.memory import (
    BYTES,
    OUT,
    base,
    load_i16,
    load_i32,
    load_i64,
    load_u8,
    store_i16,
    store_i32,
    store_i64,
    store_u8,
    swap64,
)

_ALIGNMENT = 64
_ID_BYTES = 16
_CODE, _ID = 0, 16
"""How a column is taken: 1, 2, 4 or 8 bytes as they are; a code as int16; the halves of an id, highest byte first."""


@kernel(numba.void(BYTES, numba.int64, numba.int64, numba.int64[:, ::1], OUT))
def spread(rows: NDArray[np.uint8], n: int, row_bytes: int, plan: NDArray[np.int64], body: NDArray[np.uint8]) -> None:
    """Copy the columns of n rows to `body`.

    plan  (C, 4) begin in a row, begin of the other half of an id, how it is taken, begin in body
    """
    source, target = base(rows), base(body)
    for c in range(len(plan)):
        begin, other, taken, at = plan[c, 0], plan[c, 1], plan[c, 2], plan[c, 3]
        if taken == 4:
            for i in range(n):
                store_i32(target, at + 4 * i, load_i32(source, begin + i * row_bytes))
        elif taken == 8:
            for i in range(n):
                store_i64(target, at + 8 * i, load_i64(source, begin + i * row_bytes))
        elif taken == _ID:
            for i in range(n):
                store_i64(target, at + 16 * i, swap64(load_i64(source, begin + i * row_bytes)))
                store_i64(target, at + 16 * i + 8, swap64(load_i64(source, other + i * row_bytes)))
        elif taken == 2:
            for i in range(n):
                store_i16(target, at + 2 * i, load_i16(source, begin + i * row_bytes))
        elif taken == 1:
            for i in range(n):
                store_u8(target, at + i, load_u8(source, begin + i * row_bytes))
        else:
            for i in range(n):
                store_i16(target, at + 2 * i, load_u8(source, begin + i * row_bytes))


@dataclass(frozen=True)
class _Column:
    name: str
    type: pa.DataType
    stored: pa.DataType
    taken: int | None
    """None: text, which takes its own way."""
    width: int
    begin: int
    other: int = 0


class Layout:
    """How rows of one dtype become Arrow columns.

    dtype  of the rows; a pair `x_hi`, `x_lo` becomes a column `x_id` of 16 bytes, null where 0; bytes become text
    names  code column (u1) -> its names by code; they become dictionary-encoded text
    """

    def __init__(self, dtype: np.dtype[np.void], names: Mapping[str, Sequence[str]]) -> None:
        self._row_bytes = dtype.itemsize
        self._dictionaries = {name: pa.array(list(names[name]), pa.string()) for name in names if name in (dtype.names or ())}
        self._columns = [self._column(dtype, name) for name in dtype.names or () if not name.endswith("_lo")]
        self._schema = pa.schema([pa.field(column.name, column.type) for column in self._columns])
        taken = [(column, column.taken) for column in self._columns if column.taken is not None]
        self._plan = np.array([(column.begin, column.other, how, 0) for column, how in taken], dtype=np.int64)
        self._widths = np.array([column.width for column, _ in taken], dtype=np.int64)

    def _column(self, dtype: np.dtype[np.void], name: str) -> _Column:
        fields: Any = dtype.fields
        own, begin = fields[name][:2]
        if name.endswith("_hi"):
            stem = name.removesuffix("_hi")
            return _Column(f"{stem}_id", pa.binary(_ID_BYTES), pa.binary(_ID_BYTES), _ID, _ID_BYTES, begin, fields[f"{stem}_lo"][1])
        if name in self._dictionaries:
            return _Column(name, pa.dictionary(pa.int16(), pa.string()), pa.int16(), _CODE, 2, begin)
        if own.kind == "S":
            return _Column(name, pa.string(), pa.string(), None, 0, begin)
        return _Column(name, pa.from_numpy_dtype(own), pa.from_numpy_dtype(own), own.itemsize, own.itemsize, begin)

    def batch(self, rows: NDArray[Any], metadata: Mapping[str, str]) -> pa.RecordBatch:
        """(N,) rows as a record batch with the metadata in its schema."""
        n = len(rows)
        plan = self._plan.copy()
        sizes = -(-self._widths * n // _ALIGNMENT) * _ALIGNMENT
        plan[:, 3] = np.cumsum(sizes) - sizes
        body = np.empty(int(sizes.sum()), dtype=np.uint8)
        spread(np.ascontiguousarray(rows).view(np.uint8), n, self._row_bytes, plan, body)
        cut = pa.py_buffer(body).slice
        make, begins = pa.Array.from_buffers, iter(plan[:, 3].tolist())
        arrays = []
        for column in self._columns:
            if column.taken is None:
                arrays.append(_text(rows[column.name]))
                continue
            begin = next(begins)
            valid = _present(body[begin : begin + _ID_BYTES * n]) if column.taken == _ID else None
            array = make(column.stored, n, [valid, cut(begin, column.width * n)])
            arrays.append(pa.DictionaryArray.from_arrays(array, self._dictionaries[column.name]) if column.taken == _CODE else array)
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema.with_metadata(dict(metadata)))


def _present(ids: NDArray[np.uint8]) -> pa.Buffer | None:
    """Validity of ids: those that are not 0; None when all are."""
    halves = ids.view(np.uint64)
    present = (halves[::2] | halves[1::2]) != 0
    return None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))


def _text(column: NDArray[np.bytes_]) -> pa.Array:
    try:
        return pa.array(np.ascontiguousarray(column)).cast(pa.string())
    except pa.ArrowInvalid:  # not UTF-8: show what can be shown
        return pa.array([value.decode("utf-8", "replace") for value in column.tolist()], pa.string())
