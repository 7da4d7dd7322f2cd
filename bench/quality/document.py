"""The report of `fleetpulse bench quality --json FILE` as the page docs/quality.md: `python -m fleetpulse.bench.quality.document FILE`."""

import sys
from pathlib import Path
from typing import Any

import orjson

from fleetpulse.bench.quality.cases import CASES

_HEAD = """# Detection quality

What `fleetpulse bench quality` found, and nothing else: this page is made from its report by

```
fleetpulse bench quality --json quality.json{more}
python -m fleetpulse.bench.quality.document quality.json > docs/quality.md
```

Simulated vehicles with labelled faults, three days each, and twenty days with slow faults, through the real flows `telemetry`, `detect` and
`city` over a real broker; strengths and seeds of the faults are not those that thresholds were chosen on (`--tuning`). Intervals are 95 %
(Wilson; exact Poisson; bootstrap). How alarms are matched to labels: `bench/quality/match.py`; kinds, strengths and rules:
`bench/quality/cases.py`; how the figures are named: `bench/README.md`.
"""


def page(report: dict[str, Any]) -> str:
    """The page as Markdown."""
    figures = {result["name"]: result for result in report["results"]}
    machine = report["machine"]
    only = report["notes"].get("parts", "").removesuffix(" alone")
    more = "".join(f" --only {part}" for part in only.split(", ") if part)
    parts = [_HEAD.format(more=more + ("" if report["seed"] == 1 else f" --seed {report['seed']}"))]
    if only:
        parts.append(f"**This page holds the parts {only} alone; the others were not run.**\n")
    notes = [f"{name}: {text}" for name, text in sorted({**report["notes"], **report["skipped"]}.items())]
    parts.append(f"Machine: {machine['cores']} x {machine['cpu']}, Python {machine['python']}; " + "; ".join(notes) + ".\n")
    parts.append("## Targets\n\n| | holds |\n|---|---|")
    parts += [f"| {name} | {'yes' if holds else '**no**'} |" for name, holds in report["checks"].items()]
    parts.append("\n## Kinds of fault\n\n| kind | recall | precision | delay, median | delay, 90 % |\n|---|---|---|---|---|")
    kinds = dict.fromkeys(["all", *(case.name for case in CASES if not case.negative), "area_outage"])
    for kind in kinds:
        cells = [_cell(figures.get(f"quality.{kind}.{name}")) for name in ("recall", "precision", "delay_s", "delay_p90_s")]
        if any(cells):
            parts.append(f"| {kind} | {' | '.join(cell or '-' for cell in cells)} |")
    parts.append("\n## What must raise nothing\n\n| kind | alarms |\n|---|---|")
    parts += [f"| {name[8:-7]} | {result['value']:g} |" for name, result in figures.items() if _raised(name)]
    parts.append("\n## False alerts about vehicles without faults, per 1,000 vehicle-days\n\n| | |\n|---|---|")
    ending = ".false_alerts_per_1000_vehicle_days"
    parts += [f"| {name[8:].removesuffix(ending)} | {_cell(result)} |" for name, result in figures.items() if name.endswith(ending)]
    if "quality.vehicle_days" in figures:
        parts.append(f"| vehicle-days | {figures['quality.vehicle_days']['value']:,.0f} |")
    for title, stem in (("The crash detector", "crash_detector"), ("Numenta Anomaly Benchmark", "nab"), ("Dublin scooter trips", "dublin")):
        rows = [(name[8:], result) for name, result in figures.items() if name.startswith(f"quality.{stem}")]
        if rows:
            parts.append(f"\n## {title}\n\n| | |\n|---|---|")
            parts += [f"| {name} | {_cell(result)} {result['unit'] if result['unit'] != '1' else ''} |" for name, result in rows]
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
    print(page(orjson.loads(Path(sys.argv[1]).read_bytes())), end="")
