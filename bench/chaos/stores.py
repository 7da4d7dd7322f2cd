"""When a flow writes its recovery store, seen from the files' times alone: a look inside could lock it."""

import time
from pathlib import Path

_LOOK_S = 0.002


def until_written(folder: Path, *, limit_s: float) -> bool:
    """Returns when a file of the store changes: an epoch's snapshots are being written. False: none did within the limit."""
    until, before = time.monotonic() + limit_s, _written(folder)
    while _written(folder) == before:
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_S)
    return True


def _written(folder: Path) -> list[tuple[str, int]]:
    files = []
    for file in folder.glob("*.sqlite3*"):
        try:
            files.append((file.name, file.stat().st_mtime_ns))
        except FileNotFoundError:  # a journal that came and went: that is a write, too
            files.append((file.name, 0))
    return sorted(files)
