"""Kernels as plain Python, which is how coverage is measured: NUMBA_DISABLE_JIT=1. One place says what is different then."""

from contextlib import nullcontext
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

_config: Any = numba.config
PLAIN = bool(_config.DISABLE_JIT)
"""Whether numba compiles nothing."""


def quiet() -> Any:
    """Around every call of a kernel: hashes overflow, of which plain NumPy would warn."""
    return np.errstate(over="ignore") if PLAIN else nullcontext()


def records(array: NDArray[Any]) -> NDArray[Any]:
    """The array as a kernel wants it: plain Python reads fields as attributes, which only a recarray has."""
    return array.view(np.recarray) if PLAIN and array.dtype.names else array
