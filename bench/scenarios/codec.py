"""Scenario `codec`: bytes to columns, ours beside other decoders on the same bytes. No Kafka; polls of 10,000 records stand in memory.

Names: `codec.{protobuf,json}.{fleetpulse,upb,ptars,orjson,msgspec}` in frames per CPU second, which is a second of one core, one frame a
record; `.fleetpulse_packed` with 100 frames a record; `codec.protobuf.upb_parse` without reading a field; `codec.memcpy` is the limit of
moving the same bytes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.bench import decoders, measure, payloads
from fleetpulse.bench.options import Options
from fleetpulse.bench.payloads import Form, Payloads
from fleetpulse.bench.report import Report
from fleetpulse.bench.workload import Workload
from fleetpulse.codecs import records
from fleetpulse.codecs.batch import RecordBatch

VEHICLES = 10_000
FRAMES = 200_000
POLL = 10_000
PARTITIONS = 4
UNIT = "frames/CPU s"


def run(options: Options, report: Report) -> None:
    """Every decoder on the same frames."""
    each = options.scaled(FRAMES / VEHICLES)
    rows = payloads.frames(Workload(VEHICLES, VEHICLES * each, seed=options.seed), options.cache)
    for form in ("protobuf", "json"):
        if options.wants(form):
            _form(form, rows, options, report)


def _form(form: Form, rows: NDArray[Any], options: Options, report: Report) -> None:
    single = payloads.single(rows, form, PARTITIONS)
    report.notes[f"codec.{form}"] = f"{len(single.payload) / single.frames:.0f} bytes a frame, {single.frames} frames"
    ours = f"codec.{form}.fleetpulse"
    options.say(ours)
    _ours(ours, single, POLL, report)
    _ours(f"{ours}_packed", payloads.packed(rows, form, PARTITIONS), POLL // payloads.PACK, report)
    report.ratio(f"{ours}_packed", ours)
    values = [record.value for record in single.records()]
    if form == "protobuf":
        _memcpy(single, report)
        report.ratio(ours, "codec.memcpy")
        rivals: dict[str, tuple[decoders.Decode, Sequence[bytes]]] = {
            "upb": (decoders.upb, values),
            "upb_parse": (decoders.upb_parse, values),
            "ptars": (decoders.ptars_decoder(), decoders.inner(values)),
        }
    else:
        rivals = {"orjson": (decoders.orjson_decoder, values), "msgspec": (decoders.msgspec_decoder(), values)}
    for name, (decode, given) in rivals.items():
        theirs = f"codec.{form}.{name}"
        options.say(theirs)
        report.add(theirs, UNIT, measure.rates(_over(decode, given), single.frames).cpu)
        report.ratio(ours, theirs)


def _over(decode: decoders.Decode, values: Sequence[bytes]) -> Callable[[], None]:
    """Decodes in polls and drops each before the next, as a flow does."""
    polls = [values[i : i + POLL] for i in range(0, len(values), POLL)]

    def work() -> None:
        for poll in polls:
            decode(poll)

    return work


def _ours(name: str, given: Payloads, poll: int, report: Report) -> None:
    polls = given.polls(poll, PARTITIONS)

    def work() -> int:
        return sum(_decoded(batch) for batch in polls)

    report.checks[f"{name} takes every frame"] = work() == given.frames
    report.add(name, UNIT, measure.rates(work, given.frames).cpu)


def _decoded(batch: RecordBatch) -> int:
    return len(records.decode(batch, source_topic="bench", partitions=PARTITIONS).frames)


def _memcpy(given: Payloads, report: Report) -> None:
    target = np.empty_like(given.payload)
    report.add("codec.memcpy", UNIT, measure.rates(lambda: np.copyto(target, given.payload), given.frames, runs=9).cpu)
