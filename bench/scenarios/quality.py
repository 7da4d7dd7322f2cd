"""Scenario `quality`: how true the events are. Labelled faults through the real flows, real series and trips, the crash detector.

Names, of each kind of fault (quality/cases.py) and of `all`: `quality.<kind>.{precision,recall,delay_s,delay_p90_s}` and
`quality.all.false_alerts_per_1000_vehicle_days`, that of a kind too, about vehicles without faults; `quality.<kind>.raised` of kinds that
must raise nothing; `quality.crash_detector.*`; `quality.nab.*`, `quality.nab_baseline.*`; `quality.dublin.*`. With `--tuning` the seeds and
strengths that thresholds may be chosen on; without it others.
"""

from fleetpulse.bench.options import Options
from fleetpulse.bench.quality import crash_part, dublin_part, fleet_part, series_part
from fleetpulse.bench.report import Report

PARTS = {"crash": crash_part.run, "nab": series_part.run, "dublin": dublin_part.run, "fleet": fleet_part.run}


def run(options: Options, report: Report) -> None:
    """Parts `crash`, `nab`, `dublin`, `fleet` (of it alone: `days`, `weeks`)."""
    if options.only:
        report.notes["parts"] = f"{', '.join(options.only)} alone"
    if options.tuning:
        report.notes["set"] = "tuning: seeds and strengths that thresholds may be chosen on"
    for name, part in PARTS.items():
        if options.wants(name) or (name == "fleet" and any(options.wants(each) for each in ("days", "weeks"))):
            options.say(f"quality.{name}")
            part(options, report)
