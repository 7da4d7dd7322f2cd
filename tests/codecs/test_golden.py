"""Bytes that once were written stay readable and mean the same. Files in golden/ are added to, never made anew.

`<name>.bin` is a record's value; `<name>.json` the frames that it holds, by field name. Those named `canonical` are also what the
encoder writes today.
"""

from pathlib import Path
from typing import Any

import orjson
import pytest

from fleetpulse.codecs import encode, json, records, schema
from tests.support.polls import at_offset, poll

FILES = sorted((Path(__file__).parent / "golden").glob("*.bin"))


def expected(file: Path) -> Any:
    values = orjson.loads(file.with_suffix(".json").read_bytes())
    frames = schema.empty(len(values))
    for row, value in enumerate(values):
        json.put(value, frames, row)
    return frames


def test_there_are_golden_files_of_each_form() -> None:
    assert {file.name.split(".")[0] for file in FILES} >= {"v1_canonical_full", "v1_canonical_sparse", "v1_any_order", "v1_json"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_golden_bytes_mean_what_they_meant(file: Path) -> None:
    decoded = records.decode(poll([file.read_bytes()]), source_topic="t", partitions=1)
    assert not decoded.dead_letters
    frames = at_offset(decoded.frames, 0)
    frames["append_ms"], frames["position"] = 0, 0
    assert frames.tobytes() == expected(file).tobytes()


@pytest.mark.parametrize("file", [file for file in FILES if "canonical" in file.name], ids=lambda file: file.stem)
def test_canonical_bytes_are_still_written(file: Path) -> None:
    assert encode.encode(expected(file)) == file.read_bytes()
