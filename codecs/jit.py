"""The one way kernels are compiled: explicit signature, at import, cached on disk, so that no start has to compile."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def kernel(signature: Any) -> Callable[[F], F]:
    """Compile for one signature, for example `numba.void(numba.uint8[::1], numba.from_dtype(FRAME)[::1])`.

    Division by zero gives inf or NaN, as NumPy does. No fastmath: NaN means missing. NUMBA_DISABLE_JIT=1 leaves plain Python.
    """
    decorator: Callable[[F], F] = numba.njit(signature, cache=True, error_model="numpy", nogil=True)
    return decorator


def inlined(function: F) -> F:
    """A part of kernels: compiled for the types of its caller, into its caller."""
    compiled: F = numba.njit(function, error_model="numpy", nogil=True)
    return compiled
