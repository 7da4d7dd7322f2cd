"""`fleetpulse bench SCENARIO`: runs scenarios, writes the report, compares ratios with the stored ones.

`all` is what `make bench` runs, bounded to about half an hour; every scenario also runs alone and whole.
"""

import importlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
from rich.console import Console

from fleetpulse.bench.chaos.system import AttackError
from fleetpulse.bench.load_run import LoadError
from fleetpulse.bench.maven import MissingToolError
from fleetpulse.bench.options import Options
from fleetpulse.bench.report import Report, guard
from fleetpulse.bench.scenarios.flow import FlowError
from fleetpulse.config.settings import ConfigError
from fleetpulse.flows.embedded import EmbeddedError

SCENARIOS = ("codec", "source", "state", "snapshot", "flow", "latency", "memory", "rivals", "chaos", "quality", "fuzz")
WIDTH = 140
"""Of the tables where there is no terminal."""
EXPECTED_FILE = Path(__file__).resolve().parent / "expected.json"
LIMITS = (
    ("flow.protobuf.single.50k", "source.fleetpulse.cpu"),
    ("flow.protobuf.packed.50k", "codec.protobuf.fleetpulse_packed"),
    ("flow.json.single.50k", "codec.json.fleetpulse"),
)
"""Ratios over scenarios, when both were measured in one run: the whole flow against its own narrowest part."""


@dataclass(frozen=True)
class Share:
    """How much of a scenario `all` runs: parts (none: all of them), and a factor on the scale."""

    only: tuple[str, ...] = ()
    scale: float = 1.0


ALL = (
    ("codec", Share()),
    ("source", Share()),
    ("state", Share()),
    ("snapshot", Share()),
    ("flow", Share(tuple(f"protobuf.single.{size}" for size in ("5k", "50k", "500k", "1m")))),
    ("flow", Share(("protobuf.packed.50k", "json.single.50k", "json.packed.50k"))),
    ("latency", Share()),
    ("memory", Share()),
)


def main(
    scenario: str,
    *,
    json_file: Path | None,
    plots: Path | None,
    scale: float,
    seed: int,
    only: Sequence[str],
    accept: bool,
    tuning: bool = False,
    kills: int = 0,
) -> int:
    """0 when every check holds, else 1. Raises ConfigError for an unknown scenario, EmbeddedError when no broker can run."""
    if scenario != "all" and scenario not in SCENARIOS:
        raise ConfigError(f"a scenario must be one of all, {', '.join(SCENARIOS)}; got {scenario!r}")
    console = Console(stderr=True)
    report = Report(scenario, seed)
    scratch = Path(tempfile.mkdtemp(prefix="fleetpulse-bench-"))
    options = Options(
        scratch, scale, seed, tuple(only), kills=kills, tuning=tuning, plots=plots, say=lambda text: console.print(f"[dim]{text}[/dim]")
    )
    try:
        if scenario == "all":
            for i, (name, share) in enumerate(ALL):
                _run(name, replace(options, only=share.only, scale=scale * share.scale, scratch=scratch / str(i)), report)
        else:
            _run(scenario, options, report)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for ours, limit in LIMITS:
        report.ratio(ours, limit)
    expected = orjson.loads(EXPECTED_FILE.read_bytes())
    if accept:
        _accept(expected, report)
    elif scale >= 1:
        guard(report, expected["ratios"], expected["tolerance"])
    else:
        report.notes["scale"] = f"{scale:g} of the full size: these figures show that it runs, and nothing else"
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_bytes(report.json())
    report.show(Console(width=None if sys.stdout.isatty() else WIDTH))
    return 0 if all(report.checks.values()) else 1


def _run(name: str, options: Options, report: Report) -> None:
    """One scenario; a failure of its own parts is a check that does not hold, and the others still run."""
    module = importlib.import_module(f"fleetpulse.bench.scenarios.{name}")
    try:
        module.run(options, report)
    except (AttackError, FlowError, LoadError, EmbeddedError, MissingToolError, TimeoutError) as error:
        report.checks[f"{name} runs to its end"] = False
        report.skipped[name] = f"{type(error).__name__}: {error}"


def _accept(expected: dict[str, dict[str, float]], report: Report) -> None:
    """Store the measured value of every ratio that is guarded."""
    for name in expected["ratios"]:
        if name in report.ratios:
            expected["ratios"][name] = report.ratios[name]
    EXPECTED_FILE.write_bytes(orjson.dumps(expected, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")
