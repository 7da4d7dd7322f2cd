"""Bad input at volume, a small slice of `fleetpulse bench fuzz`; and that it would find what it looks for."""

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from fleetpulse.bench.fuzz import mutate, oracle, play, seeds
from fleetpulse.bench.fuzz.guard import Guarded
from fleetpulse.bench.options import Options
from fleetpulse.bench.report import Report
from fleetpulse.bench.scenarios import fuzz
from fleetpulse.codecs import records
from fleetpulse.codecs.batch import FrameBatch

SLICE = 0.02
"""Of ten million: 200,000 inputs."""


@pytest.mark.timeout(900)  # it is work of seconds, but there may be little of the machine to have
@pytest.mark.parametrize("part", seeds.INPUTS)
def test_no_input_breaks_a_decoder_and_every_rejection_is_counted(tmp_path: Path, part: str) -> None:
    report = Report("fuzz", 1)
    fuzz.run(Options(scratch=tmp_path, scale=SLICE, seed=7, only=(part,), say=lambda text: None), report)
    assert report.checks == {f"fuzz.{part} ends without a finding": True, f"fuzz.{part} memory is flat after the warm-up": True}, (
        report.notes
    )
    inputs, rejected = report.value(f"fuzz.{part}.inputs"), report.value(f"fuzz.{part}.rejected")
    assert inputs is not None
    assert rejected is not None
    assert inputs == fuzz.PARTS[part] * SLICE
    assert 0.3 * inputs < rejected < 0.95 * inputs, "inputs that are all refused, or all taken, try little"


def test_equal_seeds_give_equal_inputs() -> None:
    of = seeds.make(1, shard=1, partitions=4).of
    for kind in seeds.INPUTS:
        first, second = ([mutate.Mutator(of[kind]).make(random) for _ in range(300)] for random in (Random("a"), Random("a")))
        assert first == second
        assert len(set(first)) > 200


@pytest.mark.parametrize("kind", seeds.INPUTS)
def test_every_seed_is_taken_and_the_references_say_the_same(kind: seeds.Input) -> None:
    for value in seeds.make(1, shard=1, partitions=4).of[kind]:
        found = oracle.expected(value, shard=1, partitions=4)
        assert all(not isinstance(row, str) or row == "misrouted" for row in found.values()), value


@pytest.mark.parametrize("step", [-1, 1])
def test_a_read_beyond_the_payload_ends_the_process(step: int) -> None:
    code = f"""
from fleetpulse.bench.fuzz.guard import Guarded
import ctypes
place = Guarded(4096).put(b"x" * 10, at_end={step} > 0)
begin = place.ctypes.data
assert ctypes.string_at(begin, 10) == b"x" * 10
print("inside", flush=True)
ctypes.string_at(begin + (10 if {step} > 0 else -1), 1)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (-11, "inside")


def test_a_guarded_payload_is_what_was_put() -> None:
    room = Guarded(5000)
    for at_end in (True, False):
        for size in (0, 1, 4096, 5000):
            assert room.put(bytes(range(256)) * 20, at_end=at_end)[:size].tobytes() == (bytes(range(256)) * 20)[:size]


def _loses_a_record(decoded: FrameBatch) -> FrameBatch:
    return FrameBatch(decoded.partition, decoded.frames[decoded.frames["offset"] != 7], {}, decoded.dead_letters, decoded.next_offset)


def _reads_it_wrong(decoded: FrameBatch) -> FrameBatch:
    decoded.frames["seq"] += 1
    return decoded


@pytest.mark.parametrize(("defect", "says"), [(_loses_a_record, "neither"), (_reads_it_wrong, "the references give")])
def test_a_decoder_with_a_defect_is_found(monkeypatch: pytest.MonkeyPatch, defect: object, says: str) -> None:
    assert callable(defect)
    honest = records.decode
    monkeypatch.setattr(records, "decode", lambda batch, **more: defect(honest(batch, **more)))
    player = play.Player("protobuf", 3, sample=200, steps=0)

    def plays() -> None:
        for number in range(20):
            player.poll(number)

    with pytest.raises(play.FindingError, match=says):
        plays()


def test_a_process_that_dies_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    report = Report("fuzz", 1)
    fuzz.run(Options(scratch=tmp_path, scale=0.001, only=("json",), say=lambda text: None), report)
    assert report.checks == {"fuzz.json ends without a finding": False}
    assert "before its first poll" in report.notes["fuzz.json"]
