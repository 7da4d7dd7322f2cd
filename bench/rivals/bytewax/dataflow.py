"""The rivals' task in Bytewax, as its documentation advises: Kafka operators, `key_on`, `fold_window` on an event clock.

Run as `python -m bytewax.run dataflow:flow`. The clock waits an hour of system time, since it goes on with the wall while old frames are
read, and asks for no timer: the times of old windows are past, so that every vehicle would wake up for every batch. Windows close when
the topic's end is reached.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from bytewax import operators as op
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSourceMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.operators.windowing import EventClock, TumblingWindower, fold_window

BROKERS = [os.environ["RIVAL_BROKERS"]]
ALIGN_TO = datetime(2025, 1, 1, tzinfo=UTC)
LENGTH = timedelta(seconds=60)
LOW_BATTERY_PCT = 15.0


@dataclass
class Accumulator:
    frames: int = 0
    speed_sum_mps: float = 0.0
    soc_min_pct: float = float("inf")


def decode(message: KafkaSourceMessage[Any, Any]) -> dict[str, Any]:
    frame: dict[str, Any] = orjson.loads(message.value)
    return frame


def event_time(frame: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(frame["time_ms"] / 1000, UTC)


def fold(into: Accumulator, frame: dict[str, Any]) -> Accumulator:
    into.frames += 1
    into.speed_sum_mps += frame["speed_mps"]
    into.soc_min_pct = min(into.soc_min_pct, frame["battery_soc_pct"])
    return into


def merge(into: Accumulator, other: Accumulator) -> Accumulator:
    into.frames += other.frames
    into.speed_sum_mps += other.speed_sum_mps
    into.soc_min_pct = min(into.soc_min_pct, other.soc_min_pct)
    return into


def result(item: tuple[str, tuple[int, Accumulator]]) -> dict[str, Any]:
    device_id, (window, into) = item
    start = ALIGN_TO + window * LENGTH
    return {
        "device_id": device_id,
        "window_start_ms": int(start.timestamp() * 1000),
        "frames": into.frames,
        "speed_mean_mps": into.speed_sum_mps / into.frames,
        "soc_min_pct": into.soc_min_pct,
    }


def low_battery(window: dict[str, Any]) -> bool:
    return bool(window["soc_min_pct"] < LOW_BATTERY_PCT)


def event(window: dict[str, Any]) -> dict[str, Any]:
    return {name: window[name] for name in ("device_id", "window_start_ms", "soc_min_pct")}


def record(value: dict[str, Any]) -> KafkaSinkMessage[bytes, bytes]:
    return KafkaSinkMessage(value["device_id"].encode(), orjson.dumps(value))


flow = Dataflow("rival")
polled = kop.input("input", flow, brokers=BROKERS, topics=[os.environ["RIVAL_INPUT"]], tail=False)
op.raises("errors", polled.errs)
keyed = op.key_on("key", op.map("decode", polled.oks, decode), lambda frame: frame["device_id"])
clock = EventClock(ts_getter=event_time, wait_for_system_duration=timedelta(hours=1), to_system_utc=lambda close: None)
folded = fold_window("window", keyed, clock, TumblingWindower(length=LENGTH, align_to=ALIGN_TO), Accumulator, fold, merge)
windows = op.map("result", folded.down, result)
kop.output("windows", op.map("window-record", windows, record), brokers=BROKERS, topic=os.environ["RIVAL_WINDOWS"])
events = op.map("event", op.filter("low-battery", windows, low_battery), event)
kop.output("events", op.map("event-record", events, record), brokers=BROKERS, topic=os.environ["RIVAL_EVENTS"])
print("READY", flush=True)
