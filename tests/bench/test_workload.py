"""The workload is what it says: seeded, plausible, in order, the same in every form."""

from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetpulse.bench import json_text, payloads, reference, workload
from fleetpulse.bench.payloads import Form
from fleetpulse.bench.workload import Workload
from fleetpulse.codecs import partition, records
from fleetpulse.codecs.schema import FIELDS
from tests.naive import json_text as naive

NAMES = workload.make(Workload(1, 1)).dtype.names or ()
SMALL = Workload(vehicles=50, frames=600, seed=3)


def test_the_same_seed_gives_the_same_frames_and_another_gives_others() -> None:
    assert workload.make(SMALL).tobytes() == workload.make(SMALL).tobytes()
    assert workload.make(SMALL).tobytes() != workload.make(Workload(50, 600, seed=4)).tobytes()


def test_frames_arrive_in_order_and_those_of_a_vehicle_in_order_of_their_own() -> None:
    rows = workload.make(SMALL)
    assert np.all(np.diff(rows["append_ms"]) >= 0)
    delay_ms = rows["append_ms"] - rows["time_ms"]
    assert delay_ms.min() >= 0
    assert delay_ms.max() < workload.MAX_DELAY_MS
    for device in np.unique(rows["device_lo"]):
        own = rows[rows["device_lo"] == device]
        assert own["seq"].tolist() == list(range(12))
        assert np.all(np.diff(own["time_ms"]) == SMALL.interval_ms)


def test_every_value_is_plausible() -> None:
    rows = workload.make(SMALL)
    for field in FIELDS:
        if field.missing is not None and field.name in NAMES:
            present = rows[field.name][~np.isin(rows[field.name], [field.missing])]
            values = present[~np.isnan(present.astype(np.float64))]
            assert np.all((values >= field.low) & (values <= field.high)), field.name


def test_a_frame_of_protobuf_carries_29_fields_in_about_165_bytes_and_of_json_20_in_about_460() -> None:
    rows = workload.make(SMALL)
    single = payloads.single(rows, "protobuf", 4)
    riding = int(np.argmax(rows["speed_mps"]))
    value = list(single.records())[riding].value
    batch = reference.message("fleetpulse.v1.TelemetryBatch").FromString(value)
    later = [field.name for field, _ in batch.frames[0].ListFields()]
    assert len({*later, "seq"}) == 29  # seq 0 of the first frame is proto3's default and not on the wire
    assert 150 < len(single.payload) / len(rows) < 180
    assert 430 < len(payloads.single(rows, "json", 4).payload) / len(rows) < 500
    assert len(orjson.loads(json_text.encode(rows[:1]).values()[0])) == 20


@given(st.integers(1, 40), st.integers(0, 2**31))
def test_json_text_is_what_obvious_python_writes(vehicles: int, seed: int) -> None:
    rows = workload.make(Workload(vehicles, vehicles * 2, seed=seed))
    assert json_text.encode(rows).values() == naive.encode(rows)


@pytest.mark.parametrize("form", ["protobuf", "json"])
@pytest.mark.parametrize("pack", [False, True])
def test_decoded_polls_are_the_frames_that_were_made(form: Form, pack: bool) -> None:
    rows = workload.make(SMALL)
    given = payloads.make(rows, form, pack=pack, partitions=4)
    batches = [records.decode(batch, source_topic="t", partitions=4) for batch in given.polls(100, 4)]
    assert not any(batch.dead_letters for batch in batches)
    decoded = np.concatenate([batch.frames for batch in batches])
    names = ["device_hi", "device_lo", *(json_text.FIELDS if form == "json" else [f.name for f in FIELDS if f.name in NAMES])]
    order = ["device_hi", "seq"]
    got, want = np.sort(decoded[names], order=order), np.sort(rows[names], order=order)
    for name in names:
        np.testing.assert_array_equal(got[name], want[name], err_msg=name)


@pytest.mark.parametrize("pack", [False, True])
def test_records_stand_in_their_vehicles_partition_in_order_of_time(pack: bool) -> None:
    rows = workload.make(SMALL)
    given = payloads.make(rows, "protobuf", pack=pack, partitions=4)
    assert np.all(np.diff(given.append_ms) >= 0)
    assert given.frames == 600
    listed = list(given.records())
    assert [record.timestamp_ms for record in listed] == given.append_ms.tolist()
    for record in listed:
        if record.key is not None:
            assert record.partition == partition.of(record.key, 4)


def test_frames_come_from_the_cache_the_second_time(tmp_path: Path) -> None:
    first = payloads.frames(SMALL, tmp_path)
    files = list(tmp_path.rglob("*.npy"))
    assert len(files) == 1
    stamp = files[0].stat().st_mtime_ns
    assert payloads.frames(SMALL, tmp_path).tobytes() == first.tobytes() == workload.make(SMALL).tobytes()
    assert files[0].stat().st_mtime_ns == stamp
