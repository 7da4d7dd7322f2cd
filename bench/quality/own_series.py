"""`--series FILE...`: any CSV of timestamp, value through the model of a single series; one score a row out."""

import csv
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import TextIO

from fleetpulse.bench.quality import table_file
from fleetpulse.bench.quality.say import say
from fleetpulse.config.settings import ConfigError
from fleetpulse.models.series import ALARM, SeriesModel


def run(files: Sequence[Path], out: Path | None) -> int:
    """One score a row, as CSV: timestamp, value as they were, anomaly_score, alarm. To stdout, or a file of the same name in `out`."""
    for file in files:
        table = table_file.read(file, ("timestamp", "value"))
        time = table.find("timestamp", "time", "datetime", "date", "time_ms")
        value = table.find("value", "values", "y")
        if len(table.names) < 2 and (time is None or value is None):
            raise ConfigError(f"a series must have the columns timestamp and value; got {', '.join(table.names)} ({file})")
        time = 0 if time is None else time
        value = next(k for k in range(len(table.names)) if k != time) if value is None else value
        at_ms, values = table.times_ms(time), table.numbers(value)
        if any(later < earlier for earlier, later in pairwise(at_ms)):
            say(f"{file}: rows are not in order of time; scored in the order of the file")
        missing = sum(not isfinite(x) for x in values)
        if missing:
            say(f"{file}: {missing} values are missing; they score 0")
        model, alarms = SeriesModel(), 0
        target = None if out is None else out / file.name
        if target is not None and target.resolve() == file.resolve():
            raise ConfigError(f"--out must be another folder than the file's own; got {out}")
        with ExitStack() as stack:
            stream: TextIO = sys.stdout
            if target is not None:
                target.parent.mkdir(parents=True, exist_ok=True)
                stream = stack.enter_context(target.open("w", encoding="utf-8", newline=""))
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(("timestamp", "value", "anomaly_score", "alarm"))
            for row, moment, x in zip(table.rows, at_ms, values, strict=True):
                score = model.score(moment / 1000 if isfinite(moment) else 0.0, x)
                alarms += score >= ALARM
                writer.writerow((row[time], row[value], f"{score:.6f}", int(score >= ALARM)))
        say(f"{file}: {len(values)} rows, {alarms} alarms (score >= {ALARM:g}){'' if target is None else f', {target}'}")
    return 0
