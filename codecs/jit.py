"""The one way kernels are compiled: explicit signature, at import, cached on disk, so that no start has to compile."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def kernel(signature: Any, *, counted: bool = True) -> Callable[[F], F]:
    """Compile for one signature, for example `numba.void(numba.uint8[::1], numba.from_dtype(FRAME)[::1])`.

    Division by zero gives inf or NaN, as NumPy does. No fastmath: NaN means missing. NUMBA_DISABLE_JIT=1 leaves plain Python.
    counted=False leaves out numba's reference counts on arrays, in its parts too, which may then not allocate: for a kernel of many small
    parts the counts are most of its time.
    """
    options: dict[str, Any] = {} if counted else {"_nrt": False}
    decorator: Callable[[F], F] = numba.njit(signature, cache=True, error_model="numpy", nogil=True, **options)
    return decorator


def direct(compiled: F) -> F:
    """A kernel's machine code, to be called from Python without a look at the types of its arguments.

    That look costs 0.3 ms where tuples of record arrays are handed over, more than a small batch itself. The caller vouches for the types.
    """
    if vars(numba.config)["DISABLE_JIT"]:
        return compiled
    [overload] = compiled.overloads.values()  # type: ignore[attr-defined]
    code: F = overload.entry_point
    return code


def inlined(function: F) -> F:
    """A part of kernels: compiled for the types of its caller, into its caller."""
    compiled: F = numba.njit(function, error_model="numpy", nogil=True)
    return compiled


def always_inlined(function: F) -> F:
    """As inlined, whatever its size: for parts whose arguments are constants at each place of call, so that tables fold away."""
    compiled: F = numba.njit(function, error_model="numpy", nogil=True, forceinline=True)
    return compiled


def merged(function: F) -> F:
    """A part with one caller or two, on the path of every row: always merged into it. A call would copy each array's descriptor."""
    compiled: F = numba.njit(function, error_model="numpy", nogil=True, forceinline=True)
    return compiled
