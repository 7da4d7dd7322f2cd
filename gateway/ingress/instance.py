"""A name for this bridge process that no other one has, and that it gets back when it starts again.

The broker keeps a session by client id: what a killed bridge had not acknowledged is delivered to its successor. So the number in
the id is the lowest one whose lock file in data_dir is free; the kernel frees it when the process dies.
"""

import fcntl
import socket
from pathlib import Path
from typing import IO

from fleetpulse.config.settings import Settings

MOST = 1000


class Instance:
    """Holds the number until close()."""

    def __init__(self, settings: Settings) -> None:
        """Raises OSError when data_dir cannot be written, or MOST bridges run."""
        folder = settings.deployment.data_dir / "bridge"
        folder.mkdir(parents=True, exist_ok=True)
        self._file, number = _claim(folder)
        group = settings.bridge.share_group or "single"
        self.client_id = f"fleetpulse-{settings.deployment.name}-bridge-{group}-{socket.gethostname()}-{number}"

    def close(self) -> None:
        self._file.close()


def _claim(folder: Path) -> tuple[IO[bytes], int]:
    for number in range(MOST):
        file = (folder / f"{number}.lock").open("wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
        else:
            return file, number
    raise OSError(f"at most {MOST} bridges may run on one data_dir; got more ({folder})")
