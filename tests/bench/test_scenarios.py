"""Scenarios run to their end on real brokers, small, and give the documented names; the command's exit code says whether checks hold."""

from pathlib import Path

import orjson
import pytest

from fleetpulse.bench import contest, load_run, main, maven, task, topic
from fleetpulse.bench.apache_kafka import ApacheKafka, jars
from fleetpulse.bench.load import Load
from fleetpulse.bench.options import Options
from fleetpulse.bench.report import Report
from fleetpulse.bench.scenarios import flow, latency, memory, rivals, snapshot, state
from fleetpulse.config.settings import ConfigError

README = (Path(main.__file__).resolve().parent / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options(scratch=tmp_path, scale=0.004, cache=tmp_path / "cache", say=lambda text: None)


def _apache() -> None:
    try:
        maven.java()
        jars()
    except maven.MissingToolError as error:
        pytest.skip(f"Apache Kafka cannot run here: {error}")


def test_state_and_snapshot_give_their_names(options: Options) -> None:
    report = Report("state", 1)
    state.run(Options(options.scratch, options.scale, only=("5k",), cache=options.cache, say=options.say), report)
    snapshot.run(options, report)
    names = {result.name for result in report.results}
    assert {"state.5k", "state.bare.5k", "state.logic.5k", "snapshot.pause", "snapshot.bytes.vehicle"} <= names
    assert all(report.checks.values())


def test_the_command_writes_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "report" / "bench.json"
    monkeypatch.setattr("fleetpulse.bench.options.CACHE", tmp_path)
    code = main.main("codec", json_file=file, plots=None, scale=0.001, seed=1, only=("json",), accept=False)
    body = orjson.loads(file.read_bytes())
    assert code == 0
    assert body["scenario"] == "codec"
    assert {"codec.json.fleetpulse", "codec.json.orjson", "codec.json.msgspec"} <= {result["name"] for result in body["results"]}
    assert "scale" in body["notes"]


def test_an_unknown_scenario_is_the_operators_fault() -> None:
    with pytest.raises(ConfigError, match="a scenario must be one of"):
        main.main("nothing", json_file=None, plots=None, scale=1, seed=1, only=(), accept=False)


def test_flow_runs_to_the_topics_end_and_counts_every_frame(options: Options) -> None:
    report = Report("flow", 1)
    flow.run(Options(options.scratch, 0.02, only=("json.single.5k",), cache=options.cache, say=options.say), report)
    assert report.value("flow.json.single.5k") is not None
    assert report.checks == {"flow.json.single.5k processes every frame": True}


def test_a_paced_load_gives_latencies_memory_and_counters(tmp_path: Path) -> None:
    _apache()
    with ApacheKafka(tmp_path / "kafka") as kafka:
        outcome = load_run.run(kafka.address, tmp_path / "run", Load(rate=2_000, vehicles=500, seconds=8.0), warm_s=4.0)
    assert outcome.generator["sent"] == 16_000
    assert outcome.counters["processed"] == 16_000
    assert len(outcome.latencies_ms) > 50
    assert outcome.latencies_ms.min() >= 0
    assert outcome.rss


def test_ours_gives_the_references_results_from_json_to_json_and_from_protobuf_to_arrow(tmp_path: Path, options: Options) -> None:
    _apache()
    report = Report("rivals", 1)
    ours = ("fleetpulse_json_out", "fleetpulse_packed")
    rivals.run(Options(tmp_path, 0.002, only=ours, cache=options.cache, say=options.say), report)
    assert report.checks == {f"rivals.{name} has the reference's results": True for name in ours}, report.notes


def test_a_rival_that_cannot_run_is_skipped_with_its_reason(tmp_path: Path) -> None:
    _apache()
    broken = contest.Rival("broken", "", "", lambda folder: [maven.java(), "NoSuchClass"], lambda source, folder: None)
    with ApacheKafka(tmp_path / "kafka") as kafka:
        topic.create(kafka.address, "frames", 1)
        place = contest.Place(kafka.address, tmp_path, tmp_path)
        with pytest.raises(contest.RivalError, match="READY"):
            contest.run(broken, place, source="frames", wanted=task.Results({}, {}), limit_s=5, nudge=lambda: None)


def test_every_name_is_documented() -> None:
    for word in (*main.SCENARIOS, *(rival.name for rival in contest.RIVALS), *flow.SIZES, *state.SIZES, *latency.LOADS):
        assert word in README, word
    for module in (flow, latency, memory, state, snapshot):
        assert module.__doc__
