"""A small disk of its own for the recovery stores, so that it can be full: a tmpfs, which root alone can mount."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = "64m"


class NoDiskError(Exception):
    """The text is the reason why no disk can be filled here."""


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """`folder` is a disk of SIZE for as long as the context lasts. Raises NoDiskError."""
    folder.mkdir(parents=True, exist_ok=True)
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None:
        raise NoDiskError("mount and umount must be on the PATH; they are not")
    done = subprocess.run([mount, "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoDiskError(f"a tmpfs must be mounted, which root may do; got: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run([umount, "--lazy", str(folder)], check=False)
