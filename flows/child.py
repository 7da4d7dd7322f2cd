"""Child processes of the demo, the benchmarks and the embedded brokers: each dies with us, ends within a limit, and logs to a file.

They stand in process groups of their own, so that Ctrl-C reaches us first and we can still drain into them.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_LAUNCH = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(sys.argv[1]): sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""
"""PR_SET_PDEATHSIG, SIGKILL; outlives the exec. It fires when the starting *thread* ends, so start children from the main thread."""


def spawn(
    command: Sequence[str], log_file: Path, *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start `command` (an absolute path first); its output goes to `log_file`, which is begun anew."""
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *command]
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("wb") as output:
        return subprocess.Popen(  # noqa: S603
            launcher, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=cwd, env=env, process_group=0
        )


def end(process: subprocess.Popen[bytes], *, limit_s: float) -> int:
    """SIGTERM, after `limit_s` SIGKILL; the process is gone when this returns its exit code. Harmless when it has ended."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


class Part:
    """One of our own commands (`fleetpulse NAME ...`) as a child process."""

    def __init__(self, arguments: Sequence[str], folder: Path, env: Mapping[str, str]) -> None:
        self.name = " ".join(arguments[:2] if arguments[0] == "flow" else arguments[:1])
        self.log_file = folder / f"{self.name.replace(' ', '-')}.log"
        self.process = spawn([sys.executable, "-m", "fleetpulse.flows.cli", *arguments], self.log_file, env={**os.environ, **env})

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def end(self, *, limit_s: float) -> int:
        return end(self.process, limit_s=limit_s)

    def last_line(self) -> str:
        """The end of its log, for a message that says why it stopped."""
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"
