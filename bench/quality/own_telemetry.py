"""`--telemetry FILE`: frames as CSV with the schema's field names through the real flows; their events out."""

import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import orjson

from fleetpulse.alerts import event
from fleetpulse.alerts.event import EVENT_TOPICS
from fleetpulse.bench import deployment, topic
from fleetpulse.bench.apache_kafka import ApacheKafka
from fleetpulse.bench.brokers import broker
from fleetpulse.bench.quality import alarms, frame_file, play, table_file
from fleetpulse.bench.quality.say import say
from fleetpulse.bench.report import Report


def run(file: Path, *, json_file: Path | None) -> int:
    """Events as JSON lines on stdout, a summary on stderr and in `json_file`."""
    rows, ids = frame_file.frames(table_file.read(file, frame_file.NAMES), say)
    days = len(ids) * max(1.0, float(rows["append_ms"][-1] - rows["append_ms"][0])) / 86_400_000
    say(f"{file}: {len(rows):,} frames of {len(ids)} vehicles, {days:.2f} vehicle-days")
    with tempfile.TemporaryDirectory(prefix="fleetpulse-quality-") as name, ExitStack() as stack:
        folder = Path(name)
        kafka = stack.enter_context(broker(folder / "kafka", Report("quality", 1)))
        settings = deployment.settings(kafka.address, folder, partitions=play.PARTITIONS)
        deployment.create_topics(settings, append_time=isinstance(kafka, ApacheKafka))
        frame_file.write(kafka.address, rows, ids, partitions=play.PARTITIONS)
        counters = play.flows(kafka.address, folder, say=say)
        events = read_events(kafka.address)
    for each in events:
        sys.stdout.buffer.write(orjson.dumps(each) + b"\n")
    sys.stdout.buffer.flush()
    names = Counter(_name(each) for each in events)
    summary = {"frames": counters, "vehicles": len(ids), "vehicle_days": round(days, 3), "events": dict(sorted(names.items()))}
    say(orjson.dumps(summary, option=orjson.OPT_INDENT_2).decode())
    if json_file is not None:
        json_file.write_bytes(orjson.dumps(summary, option=orjson.OPT_INDENT_2) + b"\n")
    return 0


def read_events(address: str) -> list[dict[str, object]]:
    """All events as CloudEvents objects, in order of time."""
    messages = [message for name in EVENT_TOPICS for message in topic.read(address, name)]
    found = [alarms.decode(message) for message in messages]
    return sorted(found, key=lambda each: (str(each["time"]), str(each["id"])))


def _name(each: dict[str, object]) -> str:
    data = each["data"]
    rule = data.get("rule") if isinstance(data, dict) else None
    name = str(each["type"]).removeprefix(event.TYPE_PREFIX).removesuffix(".v1")
    return f"{name} {rule}" if rule else name
