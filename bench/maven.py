"""Java parts of the benchmarks, fetched by Maven into a folder outside the tree. Nothing here knows what they do."""

import os
import shutil
import subprocess
from pathlib import Path

FETCH_S = 600.0


class MissingToolError(Exception):
    """Java or Maven is not there, or Maven could not fetch. The text is the reason why something is left out."""


def cache_folder() -> Path:
    """Where fetched jars are kept, one folder a version: $XDG_CACHE_HOME/fleetpulse, else ~/.cache/fleetpulse."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fleetpulse"


def java() -> str:
    """The absolute path of `java`. Raises MissingToolError."""
    return _tool("java", "a Java runtime >= 17")


def dependencies(pom: Path, folder: Path) -> Path:
    """The jars that `pom` depends on, in `folder`; fetched once. Raises MissingToolError.

    The folder appears whole or not at all, so that an interrupted fetch is not taken for a finished one.
    """
    if not folder.is_dir():
        part = folder.with_name(f"{folder.name}.part{os.getpid()}")
        try:
            _maven(pom, "dependency:copy-dependencies", f"-DoutputDirectory={part}")
            _appear(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return folder


def package(project: Path, folder: Path) -> Path:
    """`project`'s own classes and the jars that it depends on, in `folder`; built anew when a source is newer. Raises MissingToolError."""
    sources = [project / "pom.xml", *project.rglob("*.java")]
    stamp = folder / "built"
    if not stamp.exists() or stamp.stat().st_mtime < max(source.stat().st_mtime for source in sources):
        folder.mkdir(parents=True, exist_ok=True)
        _maven(project / "pom.xml", "compile", "dependency:copy-dependencies", f"-Dbuild={folder}", f"-DoutputDirectory={folder}/lib")
        stamp.touch()
    return folder


def _tool(name: str, what: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise MissingToolError(f"{name} ({what}) must be on the PATH; it is not")
    return str(Path(path).resolve())


def _maven(pom: Path, *goals: str) -> None:
    java()
    command = [_tool("mvn", "Apache Maven"), "--batch-mode", "--quiet", "--file", str(pom), *goals]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_S, check=False)
    except subprocess.TimeoutExpired:
        raise MissingToolError(f"Maven must finish {pom.parent.name} within {FETCH_S:g} s; it did not") from None
    if done.returncode != 0:
        lines = [line for line in done.stdout.splitlines() if line.startswith("[ERROR]")] or ["[ERROR] it said nothing"]
        raise MissingToolError(f"Maven must build {pom}; got: {lines[0].removeprefix('[ERROR] ')}")


def _appear(part: Path, folder: Path) -> None:
    try:
        part.rename(folder)
    except OSError:
        if not folder.is_dir():  # another process was quicker
            raise
