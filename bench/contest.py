"""Runs one rival: its environment, its process on a topic, how long it took and what it spent, its results.

A rival is a program in rivals/<name>/ that reads its topics' names from the environment, prints READY when it is about to read, and
ends by itself or is ended when all results are there. What stands before READY (interpreter, imports, JVM start) is not counted.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fleetpulse.bench import maven, task, topic, versions
from fleetpulse.bench.measure import Tree, children_cpu_s
from fleetpulse.bench.task import Results, parse
from fleetpulse.flows.child import end, spawn

INSTALL_S = 900.0
READY_S = 120.0
STOP_S = 10.0
LOOK_S = 0.05
TREE_S = 0.5
"""Between looks at a rival's processes: it costs some milliseconds on the same cores."""
NUDGE_S = 0.5
SETTLE_S, SETTLE_LIMIT_S = 1.0, 20.0
RESULT_PARTITIONS = 4


Form = Literal["json", "protobuf", "protobuf_packed"]


@dataclass(frozen=True)
class Place:
    """Where a rival runs: the broker, and a folder for environments that outlives the run."""

    address: str
    environments: Path
    scratch: Path


@dataclass(frozen=True)
class Rival:
    """One competitor.

    name      also of its figures, `rivals.<name>`
    folder    in bench/rivals/
    package   whose pinned version is shown
    command   makes the command line; called with its environment's folder
    threads   told to the program
    share     of the sample's frames that it gets: slow ones get fewer, so that the run stays bounded
    form      of the topic that it reads
    output    RIVAL_OUTPUT, for ours alone
    runs      how often it runs; the median counts
    """

    name: str
    folder: str
    package: str
    command: Callable[[Path], Sequence[str]]
    prepare: Callable[[Path, Path], None]
    threads: int = 1
    share: float = 1.0
    form: Form = "json"
    output: str = "json"
    runs: int = 1


@dataclass(frozen=True)
class Outcome:
    """What a run gave.

    complete       all results were there, or it ended by itself, within the limit
    start_s        from the start of the process to READY
    wall_s, cpu_s  from READY to the last result (or its end); CPU of all its processes
    rss_bytes      largest resident memory seen
    """

    results: Results
    complete: bool
    start_s: float
    wall_s: float
    cpu_s: float
    rss_bytes: int


class RivalError(Exception):
    """A rival cannot be run; the text says why."""


def python_environment(source: Path, folder: Path) -> None:
    """A virtual environment with the rival's pinned requirements; made anew when they changed. Raises MissingToolError."""
    wanted = (source / "requirements.txt").read_text(encoding="utf-8")
    installed = folder / "installed.txt"
    if installed.exists() and installed.read_text(encoding="utf-8") == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        raise maven.MissingToolError("uv must be installed beside Python (make setup); it is not")
    for command in (
        [str(uv), "venv", "--quiet", "--python", sys.executable, str(folder)],
        [
            str(uv),
            "pip",
            "install",
            "--quiet",
            "--require-hashes",
            "--python",
            str(_python(folder)),
            "-r",
            str(source / "requirements.txt"),
        ],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        if done.returncode != 0:
            raise maven.MissingToolError(f"{source.name}'s packages must install; got: {done.stderr.strip().splitlines()[-1]}")
    installed.write_text(wanted, encoding="utf-8")


def java_project(source: Path, folder: Path) -> None:
    """The rival's classes and jars. Raises MissingToolError."""
    maven.package(source, folder)


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _java(folder: Path, *flags: str) -> list[str]:
    level = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"
    return [maven.java(), "-Xmx2g", level, *flags, "-cp", f"{folder}/classes:{folder}/lib/*", "Rival"]


def _flink(folder: Path) -> list[str]:
    opens = [f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in ("util", "lang", "time")]
    return _java(folder, *opens)


def _ours(folder: Path) -> list[str]:
    return [sys.executable, "-m", "fleetpulse.bench.our_rival"]


def _nothing(source: Path, folder: Path) -> None:
    """Ours runs in the environment that this runs in."""


def _own(name: str, form: Form, output: str) -> Rival:
    return Rival(name, "", "", _ours, _nothing, form=form, output=output, runs=3)


RIVALS = (
    _own("fleetpulse", "json", "arrow"),
    _own("fleetpulse_json_out", "json", "json"),
    _own("fleetpulse_protobuf", "protobuf", "arrow"),
    _own("fleetpulse_packed", "protobuf_packed", "arrow"),
    Rival(
        "bytewax",
        "bytewax",
        "bytewax",
        lambda folder: [str(_python(folder)), "-m", "bytewax.run", "dataflow:flow"],
        python_environment,
        share=0.125,
    ),
    Rival(
        "quixstreams",
        "quixstreams",
        "quixstreams",
        lambda folder: [str(_python(folder)), "application.py"],
        python_environment,
        share=0.125,
    ),
    Rival("pathway_1", "pathway", "pathway", lambda folder: [str(_python(folder)), "pipeline.py"], python_environment),
    Rival("pathway_2", "pathway", "pathway", lambda folder: [str(_python(folder)), "pipeline.py"], python_environment, threads=2),
    Rival("kafka_streams_1", "kafka_streams", "kafka-streams", _java, java_project),
    Rival("kafka_streams_2", "kafka_streams", "kafka-streams", _java, java_project, threads=2),
    Rival("flink_1", "flink", "flink", _flink, java_project),
    Rival("flink_2", "flink", "flink", _flink, java_project, threads=2),
)


def run(rival: Rival, place: Place, *, source: str, wanted: Results, limit_s: float, nudge: Callable[[], None]) -> Outcome:
    """Run a rival over the topic `source`. Raises MissingToolError (no environment) and RivalError (it ended without results).

    nudge  called every NUDGE_S: writes another closer to each partition, for systems that emit closed windows only when a
           record comes (Kafka Streams: at most once a second)
    """
    project, environment = versions.RIVALS / rival.folder, place.environments / rival.folder
    rival.prepare(project, environment)
    windows, events = f"{rival.name}.windows", f"{rival.name}.events"
    for name in (windows, events):
        topic.create(place.address, name, RESULT_PARTITIONS)
    scratch = Path(tempfile.mkdtemp(prefix=f"{rival.name}-", dir=place.scratch))
    variables = {
        "RIVAL_NAME": scratch.name,
        "RIVAL_BROKERS": place.address,
        "RIVAL_INPUT": source,
        "RIVAL_WINDOWS": windows,
        "RIVAL_EVENTS": events,
        "RIVAL_OUTPUT": rival.output,
        "RIVAL_THREADS": str(rival.threads),
        "RIVAL_FOLDER": str(scratch / "state"),
        "PATHWAY_THREADS": str(rival.threads),
        "PYTHONUNBUFFERED": "1",
    }
    log_file = scratch / "log.txt"
    reaped_s = children_cpu_s()
    gather = topic.Gather(place.address, [windows, events])
    began = time.monotonic()
    process = spawn(rival.command(environment), log_file, cwd=project if rival.folder else scratch, env={**os.environ, **variables})
    try:
        _await_ready(process, log_file)
        start_s = time.monotonic() - began
        return _measure(process, gather, wanted, start_s, limit_s, log_file, nudge, reaped_s)
    finally:
        end(process, limit_s=STOP_S)
        gather.close()
        topic.delete(place.address, [windows, events])


def _await_ready(process: subprocess.Popen[bytes], log_file: Path) -> None:
    until = time.monotonic() + READY_S
    while b"READY" not in log_file.read_bytes():
        if process.poll() is not None or time.monotonic() > until:
            raise RivalError(f"it must say READY within {READY_S:g} s; {_last_line(log_file)} (exit code {process.poll()})")
        time.sleep(0.01)


def _measure(
    process: subprocess.Popen[bytes],
    gather: topic.Gather,
    wanted: Results,
    start_s: float,
    limit_s: float,
    log_file: Path,
    nudge: Callable[[], None],
    reaped_s: float,
) -> Outcome:
    tree = Tree(process.pid)
    tree.look()
    cpu, rss = tree.cpu_s, 0
    wall = nudged = looked = time.monotonic()
    windows, events = gather.values.values()
    seen, counted = 0, 0
    while True:
        code = process.poll()
        gather.look()
        seen, counted = len(windows), counted + sum(map(task.count, windows[seen:]))
        complete = code == 0 or (counted >= len(wanted.windows) and len(events) >= len(wanted.events))
        now = time.monotonic()
        if complete or code is not None or now - wall > limit_s:
            tree.look()
            break
        if now - looked > TREE_S:
            rss, looked = max(rss, tree.rss_bytes()), now
        if now - nudged > NUDGE_S:
            nudge()
            nudged = now
        time.sleep(LOOK_S)
    wall_s = time.monotonic() - wall
    cpu_s = (children_cpu_s() - reaped_s if code is not None else tree.cpu_s) - cpu
    _settle(gather)
    results = parse(windows, events)
    if code is not None and not results.windows:
        raise RivalError(f"it must write windows; it ended with {code}: {_last_line(log_file)}")
    return Outcome(results, complete, start_s, wall_s, cpu_s, rss)


def _settle(gather: topic.Gather) -> None:
    """Wait until nothing is written any more and all of it is read: the windows of the closers may stand before the last that count."""
    until = heard = time.monotonic()
    until += SETTLE_LIMIT_S
    while (time.monotonic() - heard < SETTLE_S or gather.behind()) and time.monotonic() < until:
        time.sleep(LOOK_S)
        if gather.look():
            heard = time.monotonic()


def _last_line(log_file: Path) -> str:
    lines = log_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"
