"""`fleetpulse explain EVENT_ID`: why an event came, from the topics alone: what fired, its values and limits, what else happened to the
subject, and the vehicle's signals around it.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from fleetpulse.alerts import event
from fleetpulse.alerts.event import EVENT_TOPICS
from fleetpulse.codecs import records
from fleetpulse.codecs.schema import FIELDS, Kind
from fleetpulse.config import kafka
from fleetpulse.config.settings import ConfigError, Settings
from fleetpulse.flows import offsets, replay
from fleetpulse.flows.headers import headers_of
from fleetpulse.flows.topics import TELEMETRY

BEFORE_MS, AFTER_MS = 600_000, 300_000
"""Of the vehicle's own time, around the event."""
BESIDE_MS = 3_600_000
BESIDE = 20
"""Other events of the subject: this far before and after, and at most so many on each side."""
WIDTH = 60
"""Characters of a signal's line."""
ALWAYS = ("battery_soc_pct", "speed_mps")
SILENCE_S = 10.0
_LEVELS = "▁▂▃▄▅▆▇█"
_NUMBERS = {field.name for field in FIELDS if field.missing is not None and np.isnan(field.missing)}


@dataclass(frozen=True)
class Story:
    """An event, the others of its subject in the order of their time, and the vehicle's frames around it (none for a zone)."""

    event: dict[str, Any]
    beside: list[dict[str, Any]]
    frames: NDArray[Any] | None


def main(settings: Settings, event_id: str) -> int:
    """Prints the story. Raises ConfigError when no topic holds the event."""
    try:
        UUID(event_id)
    except ValueError:
        raise ConfigError(f"an event id must be a UUID; got {event_id!r}") from None
    console = Console()
    with console.status("looking for the event"):
        found = next(_events(settings, lambda message: _header(message, "ce_id") == event_id), None)
    if found is None:
        raise ConfigError(f"one of {', '.join(EVENT_TOPICS)} must hold the event; none has {event_id} (they keep seven days)")
    with console.status("reading what happened around it"):
        told = story(settings, found)
    show(told, console)
    return 0


def story(settings: Settings, found: dict[str, Any]) -> Story:
    """What the topics know about an event (CloudEvents JSON form)."""
    at_ms, subject = event.time_ms(found["time"]), found["subject"].encode()
    beside = {
        other["id"]: other
        for other in _events(settings, lambda message: message.key() == subject)
        if abs(event.time_ms(other["time"]) - at_ms) <= BESIDE_MS and other["id"] != found["id"]
    }
    ordered = sorted(beside.values(), key=lambda other: (other["time"], other["id"]))
    before = [other for other in ordered if other["time"] <= found["time"]][-BESIDE:]
    after = [other for other in ordered if other["time"] > found["time"]][:BESIDE]
    return Story(found, before + after, _frames(settings, found, at_ms))


def _header(message: Message, name: str) -> str:
    return dict(headers_of(message)).get(name, b"").decode()


def _events(settings: Settings, wanted: Callable[[Message], bool]) -> Iterator[dict[str, Any]]:
    """Events of all event topics that are wanted, each topic to its end. Raises KafkaException, TimeoutError."""
    options = {**kafka.consumer(settings, group="fleetpulse.explain", reset="earliest"), "enable.partition.eof": True}
    consumer = Consumer(options)
    try:
        known = consumer.list_topics(timeout=SILENCE_S).topics
        parts = [TopicPartition(name, p, OFFSET_BEGINNING) for name in EVENT_TOPICS if name in known for p in known[name].partitions]
        consumer.assign(parts)
        left, until = len(parts), time.monotonic() + SILENCE_S
        while left:
            for message in consumer.consume(10_000, timeout=0.1):
                until = time.monotonic() + SILENCE_S
                error = message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                left -= error is not None
                if error is None and wanted(message):
                    yield event.decode(message.value() or b"", headers_of(message))
            if time.monotonic() > until:
                raise TimeoutError(f"Kafka must give the events within {SILENCE_S:g} s of silence")
    finally:
        consumer.close()


def _frames(settings: Settings, found: dict[str, Any], at_ms: int) -> NDArray[Any] | None:
    """(N,) FRAME rows of the event's vehicle around it, by event time; None where the event names no range of the raw topic."""
    where = found["data"].get("evidence", {}).get("kafka")
    if where is None or "device_id" not in found["data"]:
        return None
    device = UUID(found["data"]["device_id"]).int
    partition, last = int(where["partition"]), int(where["last_offset"])
    begin = _offset_at(settings, partition, at_ms - BEFORE_MS, last)
    end = offsets.ends(settings, TELEMETRY, settings.kafka.partitions)[partition]
    own: list[NDArray[Any]] = []
    for batch in replay.read(settings, partition, begin=begin, end=end):
        rows = records.decode(batch, source_topic=TELEMETRY, partitions=settings.kafka.partitions).frames
        mine = (rows["kind"] == Kind.FRAME) & (rows["device_hi"] == device >> 64) & (rows["device_lo"] == device & (2**64 - 1))
        own.append(rows[mine])
        if int(batch.append_ms[-1]) > at_ms + AFTER_MS and int(batch.offsets[-1]) >= last:
            break
    frames = np.concatenate(own)
    frames = frames[(frames["time_ms"] >= at_ms - BEFORE_MS) & (frames["time_ms"] <= at_ms + AFTER_MS)]
    return frames[np.argsort(frames["time_ms"], kind="stable")]


def _offset_at(settings: Settings, partition: int, time_ms: int, last: int) -> int:
    """First offset whose record is not older than the time, at most `last`. A broker that cannot tell says 0, which is slow and right."""
    consumer = Consumer(kafka.consumer(settings, group="fleetpulse.explain", reset="earliest"))
    try:
        (found,) = consumer.offsets_for_times([TopicPartition(TELEMETRY, partition, time_ms)], timeout=SILENCE_S)
    finally:
        consumer.close()
    return min(found.offset, last) if found.offset >= 0 else last


def show(told: Story, console: Console) -> None:
    """Print it."""
    data = told.event["data"]
    evidence = data.get("evidence", {})
    console.print(f"[bold]{_short(told.event)}[/bold]  {told.event['time']}")
    console.print(f"subject {told.event['subject']}  id {told.event['id']}")
    if "reason" in data:
        console.print(data["reason"])
    if evidence:
        console.print(_why(evidence))
    if told.beside:
        console.print("\n[bold]Beside it[/bold]")
        for other in told.beside:
            mark = "before" if other["time"] <= told.event["time"] else "after"
            console.print(f"  {other['time']}  {mark:6}  {_short(other)}  {other['data'].get('reason', '')}")
    if told.frames is not None and len(told.frames):
        console.print("\n[bold]Signals[/bold] from 10 min before to 5 min after; the event is at the bar")
        console.print(_signals(told.frames, event.time_ms(told.event["time"]), list(evidence.get("values", {}))))


def _short(one: dict[str, Any]) -> str:
    """Type and what changed, in a few words."""
    data = one["data"]
    what = data.get("rule") or data.get("vehicle_state") or data.get("trip_id") or data.get("kind") or ""
    return f"{one['type'].removeprefix(event.TYPE_PREFIX)} {what}".strip()


def _why(evidence: dict[str, Any]) -> Table:
    table = Table("", "", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("rule", f"{evidence['rule']} version {evidence['version']}")
    for name, value in evidence.get("values", {}).items():
        table.add_row(name, f"{value:g}" if isinstance(value, int | float) else str(value))
    for feature in evidence.get("features", []):
        table.add_row(f"feature {feature['name']}", f"{feature['value']:g}, score {feature['score']:g}")
    if "window" in evidence:
        table.add_row("window", f"{event.rfc3339(evidence['window']['start_ms'])} to {event.rfc3339(evidence['window']['end_ms'])}")
    if "kafka" in evidence:
        where = evidence["kafka"]
        partition, first, last = where["partition"], where["first_offset"], where["last_offset"]
        table.add_row("records", f"{where['topic']} partition {partition} offsets {first} to {last}")
        table.add_row("again", f"fleetpulse replay --partition {partition} --from {first} --to {last}")
    return table


def _signals(frames: NDArray[Any], at_ms: int, values: list[str]) -> Table:
    """A line a signal: those that the rule looked at, charge and speed."""
    names = [name for name in dict.fromkeys((*values, *ALWAYS)) if name in _NUMBERS]
    table = Table("signal", "least", "most", f"{BEFORE_MS // 60_000} min before to {AFTER_MS // 60_000} min after", box=None)
    slot = (frames["time_ms"] - (at_ms - BEFORE_MS)) * WIDTH // (BEFORE_MS + AFTER_MS + 1)
    for name in names:
        column = frames[name].astype(np.float64)
        if np.isnan(column).all():
            continue
        table.add_row(name, f"{np.nanmin(column):g}", f"{np.nanmax(column):g}", _line(slot, column))
    return table


def _line(slot: NDArray[np.int64], column: NDArray[np.float64]) -> str:
    """One character for a span of time: the height of its mean between least and most; a space where nothing was measured."""
    least, most = np.nanmin(column), np.nanmax(column)
    out = []
    for i in range(WIDTH):
        here = column[slot == i]
        here = here[~np.isnan(here)]
        level = int((here.mean() - least) / (most - least or 1.0) * (len(_LEVELS) - 1)) if len(here) else -1
        out.append(_LEVELS[level] if level >= 0 else " ")
    bar = BEFORE_MS * WIDTH // (BEFORE_MS + AFTER_MS)
    return "".join(out[:bar]) + "|" + "".join(out[bar:])
