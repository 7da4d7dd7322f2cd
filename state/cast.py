"""Conversions inside kernels: unsigned and 32-bit columns to the 64-bit numbers that arithmetic is safe in. Typed for people and mypy."""

from typing import Any

import numpy as np

from fleetpulse.codecs.jit import inlined


def code(n: int) -> int:
    """A constant of kernels. Not an int: numba compiles a function anew for every constant int that it is called with."""
    c: int = np.int64(n)  # type: ignore[assignment]
    return c


@inlined
def whole(x: Any) -> int:
    """As int64: numba makes int64 of a column only when the other operand says so, and uint64 of two unsigned ones."""
    n: int = np.int64(x)  # type: ignore[assignment]  # a NumPy integer behaves as an int, and numba knows it only so
    return n


@inlined
def real(x: Any) -> float:
    """As float64."""
    r: float = np.float64(x)
    return r
