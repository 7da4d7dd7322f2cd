"""Reports of `fleetpulse bench quality --json FILE` as the page docs/quality.md: `python -m fleetpulse.bench.quality.document FILE...`.

Several files are parts of one evaluation. Pictures and remarks are what stands in docs/quality.
"""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from fleetpulse.bench.quality import statistics
from fleetpulse.bench.quality.cases import CASES, FALSE_PER_1000_DAYS, LEAST_DAYS, PRECISION, RECALL

_HEAD = """# Detection quality

What `fleetpulse bench quality` found: this page is made from its reports by

```
{commands}
python -m fleetpulse.bench.quality.document {files} > docs/quality.md
```

Simulated vehicles with labelled faults, three days each, and twenty days with slow faults, through the real flows `telemetry`, `detect` and
`city` over a real broker; strengths and seeds of the faults are not those that thresholds were chosen on (`--tuning`). Intervals are 95 %
(Wilson; exact Poisson; bootstrap). How alarms are matched to labels: `bench/quality/match.py`; kinds, strengths and rules:
`bench/quality/cases.py`; how the figures are named: `bench/README.md`.
"""


COMPLAINTS: tuple[tuple[str, str, str], ...] = (
    (
        "Online and offline flap every few minutes",
        "tests/operators/test_silence.py",
        "test_a_vehicle_that_reports_every_150_s_never_flaps",
    ),
    (
        "Three notifications for one entry into a zone",
        "tests/state/test_conditions.py",
        "test_one_entry_into_a_zone_is_one_fact_however_the_position_jitters",
    ),
    (
        "A stuck position is not noticed",
        "tests/state/test_health.py",
        "test_a_position_that_stays_while_the_wheels_ride_on_is_noticed_and_left_out",
    ),
    ("Offline alarms come late or stay", "tests/operators/test_silence.py", "test_an_offline_alarm_comes_within_its_bound"),
    (
        "Heating before a ride counts as drain",
        "tests/models/test_detector.py",
        "test_heating_before_a_ride_is_no_drain_but_heating_that_never_ends_is",
    ),
    (
        "A whole period is dropped because it held a charge",
        "tests/models/test_detector.py",
        "test_a_period_that_holds_a_charge_is_split_and_both_parts_count",
    ),
)
"""What users of comparable systems complain about; the file and the test that show that it does not happen here."""
_TOTAL, _RATE = "quality.all", ".false_alerts_per_1000_vehicle_days"
FOLDER = Path(__file__).resolve().parents[2] / "docs" / "quality"
"""Pictures (*.png) and remarks.md."""


def merged(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The reports of several parts as one. A figure that two of them hold is named after its part; those of `all` are made from counts.

    Raises ValueError when a part was run twice.
    """
    whole: dict[str, Any] = {**reports[0], "results": [], "checks": {}, "notes": {}, "skipped": {}}
    held = Counter(result["name"] for report in reports for result in report["results"])
    ran = Counter(part for report in reports for part in _ran(report))
    if twice := sorted(part for part, times in ran.items() if times > 1):
        raise ValueError(f"each part must stand in one report; got {twice[0]} twice")
    for report in reports:
        part = ", ".join(_only(report))
        for result in report["results"]:
            kind, _, figure = result["name"].rpartition(".")
            name = result["name"] if held[result["name"]] == 1 else f"{kind} ({part}).{figure}"
            whole["results"].append({**result, "name": name})
        checks = {name: holds for name, holds in report["checks"].items() if not name.startswith(_TOTAL)}
        for name, told in (("checks", checks), ("notes", report["notes"]), ("skipped", report["skipped"])):
            whole[name] |= told
    counted = [figures for report in reports if f"{_TOTAL}.faults" in (figures := _values(report))]
    if len(counted) > 1:
        whole["results"] += _total(counted)
    if counted:
        whole["checks"] |= _targets({**{result["name"]: result["value"] for result in whole["results"]}})
    return whole


def _values(report: dict[str, Any]) -> dict[str, float]:
    return {result["name"]: result["value"] for result in report["results"]}


def _total(parts: Sequence[dict[str, float]]) -> list[dict[str, Any]]:
    """Recall, precision and false alerts of several runs of fleets together."""
    faults, found, true, false, free = (
        round(sum(part[f"{_TOTAL}.{name}"] for part in parts)) for name in ("faults", "found", "true", "false", "free_false")
    )
    days = sum(part["quality.vehicle_days"] for part in parts)
    rate = tuple(statistics.rate(free, days / 1000))
    return [
        _figure(f"{_TOTAL}.recall", found / max(1, faults), statistics.share(found, faults)),
        _figure(f"{_TOTAL}.precision", true / max(1, true + false), statistics.share(true, true + false)),
        _figure(f"{_TOTAL}{_RATE}", 1000 * free / days, rate),
        _figure("quality.vehicle_days", days, None),
    ]


def _figure(name: str, value: float, interval: Sequence[float] | None) -> dict[str, Any]:
    figure: dict[str, Any] = {"name": name, "value": value, "unit": "1", "runs": [value]}
    return figure if interval is None else {**figure, "interval": list(interval)}


def _targets(values: Mapping[str, float]) -> dict[str, bool]:
    return {
        f"{_TOTAL}.precision >= {PRECISION}": values[f"{_TOTAL}.precision"] >= PRECISION,
        f"{_TOTAL}.recall >= {RECALL}": values[f"{_TOTAL}.recall"] >= RECALL,
        f"{_TOTAL}{_RATE} <= {FALSE_PER_1000_DAYS:g}": values[f"{_TOTAL}{_RATE}"] <= FALSE_PER_1000_DAYS,
        f"quality.vehicle_days >= {LEAST_DAYS:g}": values["quality.vehicle_days"] >= LEAST_DAYS,
    }


PARTS: tuple[str, ...] = ("crash", "nab", "dublin", "days", "weeks")


def _ran(report: dict[str, Any]) -> set[str]:
    only = set(_only(report))
    return {part for part in PARTS if not only or part in only or ("fleet" in only and part in ("days", "weeks"))}


def _only(report: dict[str, Any]) -> list[str]:
    return [part for part in report["notes"].get("parts", "").removesuffix(" alone").split(", ") if part]


def _command(report: dict[str, Any], file: str) -> str:
    more = "".join(f" --only {part}" for part in _only(report))
    scale = report["notes"].get("scale", "").split(" ")[0]
    more += f" --scale {scale}" if scale else ""
    return f"fleetpulse bench quality --json {file}{more}" + ("" if report["seed"] == 1 else f" --seed {report['seed']}")


def page(reports: Sequence[dict[str, Any]], files: Sequence[str], *, pictures: Sequence[str] = (), remarks: str = "") -> str:
    """The page as Markdown. files: what the reports are called; pictures: paths from docs/."""
    report = merged(reports)
    figures = {result["name"]: result for result in report["results"]}
    machine = report["machine"]
    commands = "\n".join(_command(part, file) for part, file in zip(reports, files, strict=True))
    parts = [_HEAD.format(commands=commands, files=" ".join(files))]
    if missing := [part for part in PARTS if not any(part in _ran(each) for each in reports)]:
        parts.append(f"**Not run: {', '.join(missing)}.**\n")
    told = {**report["notes"], **report["skipped"]}
    notes = [f"{name}: {text}" for name, text in sorted(told.items()) if name != "parts"]
    parts.append(f"Machine: {machine['cores']} x {machine['cpu']}, Python {machine['python']}; " + "; ".join(notes) + ".\n")
    if remarks:
        parts.append(remarks)
    parts.append("## Targets\n\n| | holds |\n|---|---|")
    parts += [f"| {name} | {'yes' if holds else '**no**'} |" for name, holds in report["checks"].items()]
    parts.append("\n## Kinds of fault\n\n| kind | recall | precision | delay, median | delay, 90 % |\n|---|---|---|---|---|")
    usual = dict.fromkeys(["all", *(case.name for case in CASES if not case.negative), "area_outage"])
    told_of = sorted({name.removeprefix("quality.").rpartition(".")[0] for name in figures})
    kinds = [kind for name in usual for kind in told_of if kind == name or kind.startswith(f"{name} (")]
    for kind in kinds:
        cells = [_cell(figures.get(f"quality.{kind}.{name}")) for name in ("recall", "precision", "delay_s", "delay_p90_s")]
        if any(cells):
            parts.append(f"| {kind} | {' | '.join(cell or '-' for cell in cells)} |")
    parts.append("\n## What must raise nothing\n\n| kind | alarms |\n|---|---|")
    parts += [f"| {name[8:-7]} | {result['value']:g} |" for name, result in figures.items() if _raised(name)]
    parts.append("\n## False alerts about vehicles without faults, per 1,000 vehicle-days\n\n| | |\n|---|---|")
    parts += [f"| {name[8:].removesuffix(_RATE)} | {_cell(result)} |" for name, result in figures.items() if name.endswith(_RATE)]
    if "quality.vehicle_days" in figures:
        parts.append(f"| vehicle-days | {figures['quality.vehicle_days']['value']:,.0f} |")
    for title, stem in (("The crash detector", "crash_detector"), ("Numenta Anomaly Benchmark", "nab"), ("Dublin scooter trips", "dublin")):
        rows = [(name[8:], result) for name, result in figures.items() if name.startswith(f"quality.{stem}")]
        if rows:
            parts.append(f"\n## {title}\n\n| | |\n|---|---|")
            parts += [f"| {name} | {_cell(result)} {result['unit'] if result['unit'] != '1' else ''} |" for name, result in rows]
    parts.append("\n## What users of comparable systems complain about\n\n| complaint | test |\n|---|---|")
    parts += [f"| {complaint} | `{file}::{test}` |" for complaint, file, test in COMPLAINTS]
    if pictures:
        parts.append("\n## Pictures\n\nOne vehicle or series of each kind; the fault's span is shaded, alarms are red.\n")
        parts += [f"![{Path(picture).stem}]({picture})" for picture in pictures]
    return "\n".join(parts) + "\n"


def _raised(name: str) -> bool:
    return name.endswith(".raised") and name.count(".") == 2


def _cell(result: dict[str, Any] | None) -> str:
    if result is None:
        return ""
    text = f"{result['value']:,.4g}"
    if "interval" in result:
        text += f" ({result['interval'][0]:,.3g} - {result['interval'][1]:,.3g})"
    elif len(result["runs"]) > 1:
        text += f" ({min(result['runs']):,.3g} - {max(result['runs']):,.3g})"
    return text


if __name__ == "__main__":
    names = [Path(file).name for file in sys.argv[1:]]
    shown = [f"{FOLDER.name}/{file.name}" for file in sorted(FOLDER.glob("*.png"))]
    said = FOLDER / "remarks.md"
    text = said.read_text(encoding="utf-8") if said.exists() else ""
    print(page([orjson.loads(Path(file).read_bytes()) for file in sys.argv[1:]], names, pictures=shown, remarks=text), end="")
