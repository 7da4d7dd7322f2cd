"""The rivals' task in Quix Streams, as its documentation advises: one StreamingDataFrame, built-in aggregations, final windows.

Windows close by partition, as everywhere else in this comparison. It does not end by itself.
"""

import os
from typing import Any

from quixstreams import Application  # type: ignore[import-not-found]
from quixstreams.dataframe.windows import Count, Mean, Min  # type: ignore[import-not-found]

WINDOW_MS = 60_000
GRACE_MS = 5_000
LOW_BATTERY_PCT = 15.0


def event_time(value: Any, headers: Any, timestamp: float, timestamp_type: Any) -> int:
    return int(value["time_ms"])


def result(value: dict[str, Any], key: bytes, timestamp: int, headers: Any) -> dict[str, Any]:
    return {
        "device_id": f"{key[:4].hex()}-{key[4:6].hex()}-{key[6:8].hex()}-{key[8:10].hex()}-{key[10:].hex()}",
        "window_start_ms": value["start"],
        "frames": value["frames"],
        "speed_mean_mps": value["speed_mean_mps"],
        "soc_min_pct": value["soc_min_pct"],
    }


def event(window: dict[str, Any]) -> dict[str, Any]:
    return {name: window[name] for name in ("device_id", "window_start_ms", "soc_min_pct")}


def main() -> None:
    app = Application(
        broker_address=os.environ["RIVAL_BROKERS"],
        consumer_group=os.environ["RIVAL_NAME"],
        auto_offset_reset="earliest",
        state_dir=os.environ["RIVAL_FOLDER"],
        loglevel="WARNING",
    )
    source = app.topic(os.environ["RIVAL_INPUT"], key_deserializer="bytes", value_deserializer="json", timestamp_extractor=event_time)
    windows_topic = app.topic(os.environ["RIVAL_WINDOWS"], key_serializer="bytes", value_serializer="json")
    events_topic = app.topic(os.environ["RIVAL_EVENTS"], key_serializer="bytes", value_serializer="json")
    windows = (
        app.dataframe(source)
        .tumbling_window(WINDOW_MS, grace_ms=GRACE_MS)
        .agg(frames=Count(), speed_mean_mps=Mean("speed_mps"), soc_min_pct=Min("battery_soc_pct"))
        .final(closing_strategy="partition")
        .apply(result, metadata=True)
        .to_topic(windows_topic)
    )
    windows[windows["soc_min_pct"] < LOW_BATTERY_PCT].apply(event).to_topic(events_topic)
    print("READY", flush=True)
    app.run()


if __name__ == "__main__":
    main()
