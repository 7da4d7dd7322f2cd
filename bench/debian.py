"""Servers from Debian's packages for benchmarks and tests, unpacked into a folder outside the tree: no root, no maintainer script.

apt works on lists and a cache of its own there, so it neither needs root nor changes the system; what it fetches (the packages and the
libraries that the system lacks) is unpacked by dpkg-deb, so no service is started and no port bound.
"""

import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path

from fleetpulse.bench.maven import MissingToolError, cache_folder

TEMPLATES = "usr/share/prometheus/alertmanager"
"""Of Alertmanager, below `unpacked()`; an unpacked one looks for them in its working directory."""
PACKAGES = ("mosquitto", "prometheus", "prometheus-alertmanager")
FETCH_S = 300.0
_FOLDERS = ("usr/sbin", "usr/bin")
_LIBRARIES = ("usr/lib", "lib")


def command(name: str) -> list[str]:
    """How to begin a command that runs the program `name`, the system's or ours. Raises MissingToolError with the reason."""
    installed = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if installed is not None:
        return [installed]
    root = unpacked()
    found = [file for folder in _FOLDERS if (file := root / folder / name).exists()]
    if not found:
        raise MissingToolError(f"Debian's packages {', '.join(PACKAGES)} must hold {name}; they do not (see {root})")
    triplet = f"{platform.machine()}-linux-gnu"
    libraries = [str(root / folder / triplet) for folder in _LIBRARIES]
    return [_tool("env"), f"LD_LIBRARY_PATH={':'.join(libraries)}", str(found[0])]


@cache
def unpacked() -> Path:
    """The folder with what PACKAGES hold, fetched the first time (34 MB, some seconds). Raises MissingToolError.

    It appears whole or not at all, so that an interrupted fetch is not taken for a finished one.
    """
    folder = cache_folder() / f"debian-{_release()}"
    if not folder.is_dir():
        part = folder.with_name(f"{folder.name}.part{os.getpid()}")
        try:
            _fetch(part)
            try:
                (part / "root").rename(folder)
            except OSError:
                if not folder.is_dir():  # another process was quicker
                    raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return folder


def _fetch(folder: Path) -> None:
    for name in ("lists/partial", "cache/archives/partial", "root"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    options = {
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "Debug::NoLocking": "true",
        "APT::Sandbox::User": "root",  # as whom we run: apt's own user cannot write here
        "Acquire::Retries": "3",
    }
    apt = [_tool("apt-get"), "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    _run([*apt, "update"])
    _run([*apt, "install", "-y", "--download-only", "--no-install-recommends", *PACKAGES])
    for package in sorted((folder / "cache/archives").glob("*.deb")):
        _run([_tool("dpkg-deb"), "--extract", str(package), str(folder / "root")])
    _relocate(folder / "root/usr/bin/prometheus-alertmanager", f"/{TEMPLATES}".encode())


def _relocate(program: Path, path: bytes) -> None:
    """Let a program look in its working directory for what it has at a fixed path, which only root could make."""
    content = program.read_bytes()
    if path not in content:
        raise MissingToolError(f"{program.name} must look for its files in {path.decode()}; it does not")
    program.write_bytes(content.replace(path, b"." + b"/" * (len(path) - 1)))


def _release() -> str:
    """What the unpacked programs depend on: version of the distribution and processor."""
    try:
        facts = platform.freedesktop_os_release()
    except OSError:
        facts = {}
    return "-".join((facts.get("ID", "linux"), facts.get("VERSION_ID", "0"), platform.machine()))


def _run(arguments: list[str]) -> None:
    what = " ".join(Path(arguments[0]).name if i == 0 else a for i, a in enumerate(arguments) if not a.startswith("-"))
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=FETCH_S, check=False, env={**os.environ, "LC_ALL": "C"})
    except subprocess.TimeoutExpired:
        raise MissingToolError(f"`{what}` must end within {FETCH_S:g} s; it did not") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        raise MissingToolError(f"`{what}` must succeed; got: {lines[-1]}")


def _tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise MissingToolError(f"{name} must be on the PATH (the servers come from Debian's packages); it is not")
    return path


if __name__ == "__main__":
    try:
        print(f"servers in {unpacked()}")
    except MissingToolError as error:
        print(f"no servers from Debian: {error}")
