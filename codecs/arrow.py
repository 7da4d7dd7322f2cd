"""Raw frames as Arrow, for history: one column a field of the table, with its unit; what was not measured is null. No I/O."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fleetpulse.codecs.schema import FIELDS, FRAME, ORIGIN, Field, empty

_ORIGIN = tuple(name for name, _ in ORIGIN if name not in ("kind", "operation"))


def _type(field: Field) -> pa.DataType:
    if field.dtype == "uuid":
        return pa.binary(16)
    return pa.string() if field.dtype.startswith("S") else pa.from_numpy_dtype(np.dtype(field.dtype))


SCHEMA = pa.schema(
    [pa.field(name, pa.from_numpy_dtype(FRAME[name]), nullable=False) for name in _ORIGIN]
    + [pa.field(f.name, _type(f), nullable=f.optional or f.name == "trip_id", metadata={"unit": f.unit}) for f in FIELDS]
)
"""Origin, then the fields by number."""


def encode(frames: NDArray[Any]) -> pa.RecordBatch:
    """(N,) FRAME rows of kind FRAME as an Arrow record batch of SCHEMA. The inverse is decode."""
    columns = [pa.array(np.ascontiguousarray(frames[name])) for name in _ORIGIN]
    return pa.RecordBatch.from_arrays([*columns, *(_column(field, frames) for field in FIELDS)], schema=SCHEMA)


def _column(field: Field, frames: NDArray[Any]) -> pa.Array:
    if field.dtype == "uuid":
        stem = field.name.removesuffix("_id")
        halves = np.empty((len(frames), 2), ">u8")
        halves[:, 0], halves[:, 1] = frames[f"{stem}_hi"], frames[f"{stem}_lo"]
        present = np.packbits(halves.any(axis=1), bitorder="little")
        return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(frames), [pa.py_buffer(present), pa.py_buffer(halves)])
    column = np.ascontiguousarray(frames[field.name])
    if field.dtype.startswith("S"):
        return pa.array([text.decode() for text in column.tolist()], pa.string())
    if field.missing is None:
        return pa.array(column)
    return pa.array(column, mask=np.isnan(column) if np.isnan(field.missing) else column == field.missing)


def decode(batch: pa.RecordBatch) -> NDArray[Any]:
    """(N,) FRAME rows of an Arrow record batch of SCHEMA."""
    frames = empty(batch.num_rows)
    for name in _ORIGIN:
        frames[name] = batch.column(name).to_numpy()
    for field in FIELDS:
        column = batch.column(field.name)
        if field.dtype == "uuid":
            stem = field.name.removesuffix("_id")
            halves = np.frombuffer(b"".join(found or bytes(16) for found in column.to_pylist()), ">u8").reshape(-1, 2)
            frames[f"{stem}_hi"], frames[f"{stem}_lo"] = halves[:, 0], halves[:, 1]
        elif field.dtype.startswith("S"):
            frames[field.name] = [text.encode() for text in column.to_pylist()]
        else:
            found = column if field.missing is None else column.fill_null(pa.scalar(field.missing, column.type))
            frames[field.name] = found.to_numpy(zero_copy_only=False)
    return frames
