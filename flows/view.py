"""The demo's live view: a table in a terminal (rich), one line every few seconds elsewhere. Shows, decides nothing."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fleetpulse.alerts.states import STATE_NAMES
from fleetpulse.flows.report import Latest

LINE_EVERY_S = 5.0
_STYLE = {"alert": "red", "maintenance": "yellow", "availability": "cyan", "rebalance": "magenta", "trip": "green"}


@dataclass(frozen=True)
class Moment:
    """What there is to see now. `ledger` is the agents' own account, the rest is read from Kafka."""

    address: str
    vehicles: int
    speed: float
    elapsed_s: float
    duration_s: float | None
    ledger: dict[str, Any]
    frames: dict[str, int]
    events: dict[str, int]
    latency_ms: dict[str, float]
    states: Counter[str]
    latest: list[Latest]


def _numbers(title: str, values: dict[str, str]) -> Table:
    table = Table(title=title, show_header=False, expand=True, title_justify="left", title_style="bold")
    table.add_column(style="dim")
    table.add_column(justify="right")
    for name, value in values.items():
        table.add_row(name, value)
    return table


def _picture(moment: Moment, height: int) -> Group:
    of = f" of {moment.duration_s:.0f}" if moment.duration_s else ""
    head = Text.assemble(
        ("Fleetpulse ", "bold green"),
        f"{moment.vehicles} vehicles, {moment.speed:g}x real time, {moment.elapsed_s:.0f}{of} s   ",
        (moment.address, "underline"),
    )
    sent = moment.ledger.get("frames", 0) + moment.ledger.get("garbage", 0)
    frames = {"sent": sent, **moment.frames}
    rate = moment.frames["received"] / max(moment.elapsed_s, 1)
    columns = Table.grid(expand=True, padding=(0, 1))
    for _ in range(3):
        columns.add_column(ratio=1)
    columns.add_row(
        _numbers("Frames", {name: f"{value:,}" for name, value in frames.items()}),
        _numbers("Vehicles", {name: f"{moment.states[name]:,}" for name in STATE_NAMES}),
        _numbers(
            "Events",
            {name: f"{value:,}" for name, value in moment.events.items()}
            | {
                "frames/s": f"{rate:,.0f}",
                "latency p50": f"{moment.latency_ms['p50']:.0f} ms",
                "p99": f"{moment.latency_ms['p99']:.0f} ms",
            },
        ),
    )
    latest = Table(title="Latest events", show_header=False, expand=True, title_justify="left", title_style="bold")
    for column, ratio in (("time", 2), ("type", 3), ("subject", 2), ("text", 8)):
        latest.add_column(column, ratio=ratio, no_wrap=True, overflow="ellipsis")
    for entry in moment.latest[: max(3, height - 18)]:
        style = next((s for name, s in _STYLE.items() if name in entry.type), "")
        kind = entry.type.removeprefix("vehicle.").removeprefix("zone.")
        latest.add_row(entry.time[11:19], Text(kind, style), entry.subject[:8], Text(entry.text))
    return Group(Panel(head), columns, latest)


def _line(moment: Moment) -> str:
    events = " ".join(f"{name}={value}" for name, value in moment.events.items())
    return (
        f"{moment.elapsed_s:5.0f} s  received={moment.frames['received']} missing={moment.frames['missing']} {events} "
        f"p99={moment.latency_ms['p99']:.0f}ms  {moment.address}"
    )


@contextmanager
def live(output: TextIO) -> Iterator[Callable[[Moment], None]]:
    """A function that shows a moment, for as long as the context lasts."""
    if output.isatty():
        console = Console(file=output)
        with Live(console=console, auto_refresh=False, screen=False) as screen:
            yield lambda moment: screen.update(_picture(moment, console.height), refresh=True)
        return
    next_line = time.monotonic()

    def line(moment: Moment) -> None:
        nonlocal next_line
        if time.monotonic() >= next_line:
            next_line = time.monotonic() + LINE_EVERY_S
            print(_line(moment), file=output, flush=True)

    yield line
