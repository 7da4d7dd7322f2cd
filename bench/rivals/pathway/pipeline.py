"""The rivals' task in Pathway, as its documentation advises: `windowby` with a tumbling window, instance = vehicle.

Read in static mode with one commit, which is the best case: the engine sees the topic up to its end and writes each window once, not
every change of it. With PATHWAY_THREADS in the environment it uses that many workers.
"""

import os

import pathway as pw  # type: ignore[import-not-found]

WINDOW_MS = 60_000
LOW_BATTERY_PCT = 15.0


class Frame(pw.Schema):  # type: ignore[misc]
    device_id: str
    time_ms: int
    speed_mps: float
    battery_soc_pct: float


def main() -> None:
    settings = {"bootstrap.servers": os.environ["RIVAL_BROKERS"], "group.id": os.environ["RIVAL_NAME"], "auto.offset.reset": "earliest"}
    topic = os.environ["RIVAL_INPUT"]
    frames = pw.io.kafka.read(settings, topic=topic, schema=Frame, format="json", mode="static", autocommit_duration_ms=None)
    windows = frames.windowby(frames.time_ms, window=pw.temporal.tumbling(duration=WINDOW_MS), instance=frames.device_id).reduce(
        device_id=pw.this._pw_instance,
        window_start_ms=pw.this._pw_window_start,
        frames=pw.reducers.count(),
        speed_mean_mps=pw.reducers.avg(pw.this.speed_mps),
        soc_min_pct=pw.reducers.min(pw.this.battery_soc_pct),
    )
    low = windows.filter(pw.this.soc_min_pct < LOW_BATTERY_PCT)
    events = low.select(pw.this.device_id, pw.this.window_start_ms, pw.this.soc_min_pct)
    output = {"bootstrap.servers": os.environ["RIVAL_BROKERS"]}
    pw.io.kafka.write(windows, output, topic_name=os.environ["RIVAL_WINDOWS"], format="json")
    pw.io.kafka.write(events, output, topic_name=os.environ["RIVAL_EVENTS"], format="json")
    print("READY", flush=True)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)


if __name__ == "__main__":
    main()
