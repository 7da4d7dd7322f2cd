"""The rivals' task on this project's own source, decoder and sink, as a Bytewax flow with recovery on.

`python -m fleetpulse.bench.our_rival` reads the environment and says READY as every rival does, and ends at the topic's end. RIVAL_OUTPUT
says how windows are written: `arrow`, some thousand in a record, as in this project's topic fleet.features; or `json`, one record a
window, as the others do.
"""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.recovery import init_db_dir
from bytewax.run import cli_main
from numpy.typing import NDArray

from fleetpulse.alerts.event import Outgoing
from fleetpulse.bench import deployment
from fleetpulse.bench.json_text import uuid_text
from fleetpulse.bench.task import LOW_BATTERY_PCT
from fleetpulse.bench.window_task import Windows
from fleetpulse.codecs import tables
from fleetpulse.codecs.batch import FrameBatch
from fleetpulse.flows import offsets, recovery, tuning, wiring
from fleetpulse.flows.stop import Stop
from fleetpulse.operators.decode import decode

PARTITIONS = 4
ROWS = 4096
"""Windows in one Arrow record."""

Write = Callable[[NDArray[Any]], list[Outgoing]]


def arrow(topic: str) -> Write:
    """Closed windows as Arrow record batches."""

    def write(rows: NDArray[Any]) -> list[Outgoing]:
        return [Outgoing(topic, b"", tables.encode(rows[i : i + ROWS], {})) for i in range(0, len(rows), ROWS)]

    return write


def json(topic: str, *columns: str) -> Write:
    """Closed windows as JSON objects, one a record, keyed by the vehicle."""

    def write(rows: NDArray[Any]) -> list[Outgoing]:
        texts = uuid_text(rows["device_hi"], rows["device_lo"]).tobytes()
        values = zip(*(rows[name].tolist() for name in columns), strict=True)
        out = []
        for i, value in enumerate(values):
            key = texts[36 * i : 36 * i + 36]
            out.append(Outgoing(topic, key, orjson.dumps({"device_id": key.decode(), **dict(zip(columns, value, strict=True))})))
        return out

    return write


class WindowLogic(StatefulBatchLogic[FrameBatch, list[Outgoing], bytes]):
    """One partition's windows."""

    def __init__(self, windows: Write, events: Write, snapshot: bytes | None) -> None:
        self._write_windows = windows
        self._write_events = events
        self._state = Windows()
        if snapshot is not None:
            self._state.restore(snapshot)

    def on_batch(self, values: list[FrameBatch]) -> tuple[list[list[Outgoing]], bool]:
        out: list[Outgoing] = []
        for batch in values:
            closed = self._state.apply(batch.frames)
            if len(closed):
                out += self._write_windows(closed)
                out += self._write_events(closed[closed["soc_min_pct"] < LOW_BATTERY_PCT])
        return ([out] if out else []), StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        return self._state.snapshot()


def build(stop: Stop) -> Dataflow:
    """Source, decoder, windows, sink."""
    settings = deployment.settings(os.environ["RIVAL_BROKERS"], Path(os.environ["RIVAL_FOLDER"]), partitions=PARTITIONS)
    topic = os.environ["RIVAL_INPUT"]
    columns = ("window_start_ms", "frames", "speed_mean_mps", "soc_min_pct")
    windows_topic = os.environ["RIVAL_WINDOWS"]
    windows = arrow(windows_topic) if os.environ["RIVAL_OUTPUT"] == "arrow" else json(windows_topic, *columns)
    events = json(os.environ["RIVAL_EVENTS"], "window_start_ms", "soc_min_pct")
    ends = offsets.ends(settings, topic, PARTITIONS)
    flow = Dataflow("rival")
    polls = op.input("source", flow, wiring.source(settings, topic, group="rival", partitions=PARTITIONS, stop=stop, ends=ends))
    frames = decode("decode", polls, source_topic=topic, partitions=PARTITIONS)
    closed = op.stateful_batch("windows", frames, lambda snapshot: WindowLogic(windows, events, snapshot))
    op.output("sink", closed, wiring.sink(settings, partitions=PARTITIONS, stop=stop))
    return flow


def main() -> None:
    store = Path(os.environ["RIVAL_FOLDER"]) / "store"
    store.mkdir(parents=True)
    init_db_dir(store, recovery.STORE_PARTITIONS)  # type: ignore[no-untyped-call]
    flow = build(Stop())
    tuning.settle()
    print("READY", flush=True)
    cli_main(flow, epoch_interval=timedelta(seconds=10), recovery_config=recovery.config(store))  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
