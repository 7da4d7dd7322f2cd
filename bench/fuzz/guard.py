"""Memory between two pages that nobody may touch: a kernel that reads one byte beyond its payload ends the process, where it did.

Kernels read through raw addresses (codecs/memory.py), which no check of numba sees.
"""

import ctypes
import mmap

import numpy as np
from numpy.typing import NDArray

_NOTHING, _READ_WRITE = 0, mmap.PROT_READ | mmap.PROT_WRITE
_PAGE = mmap.PAGESIZE


class Guarded:
    """Room for payloads of up to `size` bytes. Linux."""

    def __init__(self, size: int) -> None:
        self._room = -(-size // _PAGE) * _PAGE
        self._map = mmap.mmap(-1, self._room + 2 * _PAGE)
        self._bytes = np.frombuffer(self._map, np.uint8)
        libc = ctypes.CDLL(None, use_errno=True)
        begin = self._bytes.ctypes.data
        for page in (begin, begin + _PAGE + self._room):
            if libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(_PAGE), _NOTHING):
                raise OSError(ctypes.get_errno(), "mprotect must guard a page of our own")

    def put(self, payload: bytes, *, at_end: bool) -> NDArray[np.uint8]:
        """The payload directly before the guard behind it, or directly behind the guard before it. Holds until the next call."""
        assert len(payload) <= self._room, "a payload must fit"
        begin = _PAGE + self._room - len(payload) if at_end else _PAGE
        place = self._bytes[begin : begin + len(payload)]
        place[:] = np.frombuffer(payload, np.uint8)
        return place
