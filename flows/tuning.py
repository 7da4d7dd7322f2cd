"""What a worker process sets for itself before its dataflow runs. No effect on results."""

import ctypes
import gc

YOUNG_OBJECTS = 50_000
"""New containers before Python's collector looks at them; a poll of first frames makes thousands that live on."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_MMAP_BYTES, _TRIM_BYTES = 256 << 20, 1 << 30
"""Buffers of megabytes come and go with every poll: below these sizes glibc keeps their pages, and the kernel need not clear new ones."""


def settle() -> None:
    """Call when the dataflow is built: what exists lives as long as the process, and the collector need not walk it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
