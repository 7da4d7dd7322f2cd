"""Other people's files through the command's entry points: scores, events, crashes out, and clear errors."""

import csv
from io import StringIO
from pathlib import Path

import numpy as np
import orjson
import pytest

from fleetpulse.bench.quality import imu_file, own_data, own_imu, own_series, own_telemetry, table_file
from fleetpulse.bench.quality.series_part import data
from fleetpulse.config.settings import ConfigError
from fleetpulse.vehicle_agent.impacts import Impact, trace

G = 9.80665


def recording(tmp_path: Path, samples: np.ndarray, header: str, *, hz: float, start_ms: float | None = None) -> Path:
    file = tmp_path / "imu.csv"
    times = [f"{i / hz:.4f}" if start_ms is None else f"{start_ms + 1000 * i / hz:.0f}" for i in range(len(samples))]
    lines = [f"{at},{x:.4f},{y:.4f},{z:.4f}" for at, (x, y, z) in zip(times, samples, strict=True)]
    file.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return file


def ride_with_a_crash() -> np.ndarray:
    parts = [trace(Impact.RIDE, 0, seed=1), trace(Impact.KERB, 70, seed=2), trace(Impact.CRASH, 8, seed=3)]
    return np.concatenate(parts)


def detections(file: Path, capsys: pytest.CaptureFixture[str], *, unit: str = "auto") -> list[dict[str, float]]:
    assert own_imu.run(file, unit=unit, limit_mps2=60.0) == 0
    return [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_crash_is_found_in_g_and_in_ms_and_at_other_rates_and_mountings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = ride_with_a_crash()
    given = [
        recording(tmp_path, samples / G, "Time (s),Acc X (g),Acc Y (g),Acc Z (g)", hz=50),
        recording(tmp_path, samples, "timestamp,ax,ay,az", hz=50, start_ms=1_700_000_000_000),
        recording(tmp_path, np.repeat(samples, 2, axis=0), "time,x,y,z", hz=100),
        recording(tmp_path, samples[:, [2, 0, 1]], "time,x,y,z", hz=50),
    ]
    assert len({file.name for file in given}) == 1
    for header, values, hz, start_ms in (
        ("Time (s),Acc X (g),Acc Y (g),Acc Z (g)", samples / G, 50, None),
        ("timestamp,ax,ay,az", samples, 50, 1.7e12),
        ("time,x,y,z", np.repeat(samples, 2, axis=0), 100, None),
        ("time,x,y,z", samples[:, [2, 0, 1]], 50, None),
    ):
        found = detections(recording(tmp_path, values, header, hz=hz, start_ms=start_ms), capsys)
        assert len(found) == 1
        assert found[0]["since_start_s"] == pytest.approx(7.0, abs=0.12)
        assert 0.5 <= found[0]["confidence"] < 1


def test_a_kerb_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert detections(recording(tmp_path, trace(Impact.KERB, 80, seed=2), "time,x,y,z", hz=50), capsys) == []


def test_a_small_range_is_noticed(tmp_path: Path) -> None:
    file = recording(tmp_path, np.clip(ride_with_a_crash(), -39.2, 39.2), "time,x,y,z", hz=50)
    said: list[str] = []
    record = imu_file.read(file, unit="mps2", say=said.append)
    assert record.full_scale_mps2 == pytest.approx(39.2)
    assert any("full scale is 39" in line for line in said)
    assert len(imu_file.detect(record, 60.0)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [("time,speed\n1,2\n", "must have the columns time, x, y, z"), ("time,x,y,z\n0,0,0,1\n", "half a second at least")],
)
def test_a_recording_that_cannot_be_read_says_why(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "imu.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        own_imu.run(file, unit="auto", limit_mps2=60.0)


def test_a_series_gets_one_score_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "given.csv", tmp_path / "out"
    rng = np.random.Generator(np.random.PCG64(1))
    values = [f"{x:.3f}" for x in rng.normal(0, 1, 900)]
    values[100], values[800] = "", "40"
    file.write_text("timestamp,value\n" + "".join(f"{1_700_000_000 + 60 * i},{v}\n" for i, v in enumerate(values)), encoding="utf-8")
    assert own_series.run([file], None) == 0
    text = capsys.readouterr().out
    rows = list(csv.DictReader(StringIO(text)))
    assert [row["value"] for row in rows] == values
    assert rows[100]["anomaly_score"] == "0.000000"
    assert rows[800]["alarm"] == "1"
    assert own_series.run([file], out) == 0
    assert (out / "given.csv").read_text(encoding="utf-8") == text
    with pytest.raises(ConfigError, match="another folder"):
        own_series.run([file], tmp_path)


def test_real_series_are_scored_row_by_row(tmp_path: Path) -> None:
    file = data("nab") / "realAWSCloudwatch" / "grok_asg_anomaly.csv"
    if not file.exists():
        pytest.skip(f"no data in {data('nab')}")
    assert own_series.run([file], tmp_path) == 0
    assert len((tmp_path / file.name).read_text(encoding="utf-8").splitlines()) == len(file.read_text(encoding="utf-8").splitlines())


def test_frames_go_through_the_real_flows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A ride of four minutes that ends with a crash, with the columns that somebody has."""
    file = tmp_path / "frames.csv"
    lines = ["device_id,time,lat,lon,speed_kmh,battery_soc_pct,in_use,moving,locked,crash,colour"]
    for second in range(0, 600, 5):
        rides = 60 <= second < 300
        crash = int(second >= 300)
        use = int(rides or 300 <= second < 330)
        lines.append(
            f"scooter-7,{1_762_754_400 + second},{52.52 + second * 1e-5:.6f},13.40,{20 if rides else 0},{80 - second / 100:.1f},"
            f"{use},{int(rides)},{1 - use},{crash},red"
        )
    file.write_text("\n".join(lines), encoding="utf-8")
    assert own_telemetry.run(file, json_file=tmp_path / "summary.json") == 0
    told = capsys.readouterr()
    kinds = [(line["type"].split("fleet.")[1], line["data"].get("rule")) for line in map(orjson.loads, told.out.splitlines())]
    assert ("vehicle.trip.started.v1", None) in kinds
    assert ("vehicle.trip.ended.v1", None) in kinds
    assert ("vehicle.alert.raised.v1", "crash") in kinds
    assert "colour" in told.err
    summary = orjson.loads((tmp_path / "summary.json").read_bytes())
    assert summary["frames"]["processed"] == 120
    assert summary["vehicles"] == 1


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    nothing: dict[str, object] = {"telemetry": None, "imu": None, "out": None, "json_file": None, "imu_unit": "auto", "imu_limit": 60.0}
    with pytest.raises(ConfigError, match="belong to the scenario quality"):
        own_data.main("codec", series=[file], **nothing)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="not several"):
        own_data.main("quality", series=[file], **{**nothing, "imu": file})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="g, mps2 or auto"):
        own_data.main("quality", series=[file], **{**nothing, "imu_unit": "kg"})  # type: ignore[arg-type]
    assert table_file.read.__doc__
