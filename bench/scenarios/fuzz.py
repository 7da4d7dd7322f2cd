"""Scenario `fuzz`: mutated inputs at volume into decoders, bridge check and the whole fleet step, between guard pages.

Names: `fuzz.{protobuf,json,batch}.inputs`, `.rejected` (inputs of which something went to the dead letters), `.rate` (inputs a second, the
making of them included), `.rss` (MiB at the end), `.compared` (with the reference parsers). `boundscheck` is `batch` once more, with
kernels compiled to check every array index; raw loads are what the guard pages are for. A finding stops its part; a note says which input.
"""

import os
import sys
from pathlib import Path
from typing import Any

import orjson

from fleetpulse.bench.options import Options
from fleetpulse.bench.report import Report
from fleetpulse.flows.child import end, spawn

PARTS = {"protobuf": 4_000_000, "json": 4_000_000, "batch": 2_000_000, "boundscheck": 40_000}
"""Inputs of each at full size."""
SAMPLE = 20
"""Of each poll of 2,000: compared with the references."""
STEPS = {"protobuf": 20, "json": 20, "batch": 8, "boundscheck": 2}
"""One poll of so many goes through a whole shard as well."""
LIMIT_S = 3600.0
GROWTH = 1.1
GROWTH_BYTES = 16 << 20
"""Resident memory at the end may be so much above that after the warm-up."""
MIB = float(2**20)


def run(options: Options, report: Report) -> None:
    """Parts `protobuf`, `json`, `batch`, `boundscheck`."""
    for name, full in PARTS.items():
        if options.wants(name):
            options.say(f"fuzz.{name}")
            _part(name, options.scaled(full, 1), options, report)


def _part(name: str, inputs: int, options: Options, report: Report) -> None:
    folder = options.scratch / f"fuzz-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    played, problem = _play(name, inputs, folder, options.seed)
    report.checks[f"fuzz.{name} ends without a finding"] = not problem
    if problem:
        report.notes[f"fuzz.{name}"] = f"{problem} (seed {options.seed}; python -m fleetpulse.bench.fuzz.play --first POLL plays it again)"
    if not played:
        return
    report.add(f"fuzz.{name}.inputs", "inputs", [played["inputs"]])
    report.add(f"fuzz.{name}.rejected", "inputs", [played["rejected"]])
    report.add(f"fuzz.{name}.compared", "inputs", [played["compared"]])
    report.add(f"fuzz.{name}.rate", "inputs/s", [played["inputs"] / max(played["seconds"], 1e-9)])
    report.add(f"fuzz.{name}.rss", "MiB", [played["rss_end"] / MIB])
    warm = played["rss_warm"]
    report.checks[f"fuzz.{name} memory is flat after the warm-up"] = not warm or played["rss_end"] <= GROWTH * warm + GROWTH_BYTES
    report.notes[f"fuzz.{name}.reasons"] = ", ".join(f"{reason} {count}" for reason, count in sorted(played["reasons"].items()))


def _play(name: str, inputs: int, folder: Path, seed: int) -> tuple[dict[str, Any], str]:
    """What the process found, and what is wrong with that: a finding, or how it died."""
    kind, environment = name, dict(os.environ)
    if name == "boundscheck":
        kind = "batch"
        environment |= {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(folder / "kernels")}
    command = [sys.executable, "-X", "faulthandler", "-m", "fleetpulse.bench.fuzz.play", "--input", kind, "--inputs", str(inputs)]
    command += ["--seed", str(seed), "--folder", str(folder), "--sample", str(SAMPLE), "--steps", str(STEPS[name])]
    log = folder / "play.log"
    process = spawn(command, log, env=environment)
    try:
        code = process.wait(LIMIT_S)
    finally:
        end(process, limit_s=0)
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it said nothing"]
    if code == 0:
        played: dict[str, Any] = orjson.loads(lines[-1])
        return played, played["finding"]
    poll = folder / "poll"
    where = f"in poll {poll.read_text(encoding='ascii')}" if poll.exists() else "before its first poll"
    return {}, f"the process ended with {code} {where}: {lines[-1]}"
