"""The process that gives mutated inputs to the decoders, poll after poll, and says what came of them. It may die of one: that is a finding.

`python -m fleetpulse.bench.fuzz.play --input NAME --inputs N --seed S --folder DIR [--sample N] [--steps N] [--first POLL]` prints one JSON
line. Poll p depends on (seed, input, p) alone, so `--first P --inputs 1` plays one again. DIR/poll holds the number of the poll under way.
"""

import argparse
import sys
import time
import traceback
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import orjson
import psutil

from fleetpulse.bench.fuzz import oracle, seeds
from fleetpulse.bench.fuzz.guard import Guarded
from fleetpulse.bench.fuzz.mutate import Mutator
from fleetpulse.bench.fuzz.seeds import Input
from fleetpulse.codecs import framing, records
from fleetpulse.codecs.batch import MAX_PAYLOAD_BYTES, FrameBatch, RecordBatch
from fleetpulse.codecs.errors import REASONS, WireError
from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.settings import Settings
from fleetpulse.flows.shards import shard_maker
from fleetpulse.operators.fleet import ShardLogic

POLL = 2_000
SHARD, PARTITIONS = 1, 4
TOPIC = "fuzz"
START_MS = 1_750_000_020_000
ROOM_BYTES = 32 << 20
WARM_SHARE = 0.2
"""Of the polls, before memory is looked at the first time."""
GIANTS_EVERY = 50
"""Polls of `batch` between records near, at and beyond the largest that is read."""
SHARD_POLLS = 40
"""Polls that one shard takes before a fresh one: its memory grows with vehicles, and mutated ids make new ones."""
SHOWN_BYTES = 400
_PARTS = ("processed", "duplicate", "late", "quarantined.", "dead_lettered.")


class FindingError(Exception):
    """An input broke a promise."""


@dataclass
class Played:
    """What one process found. rss: resident bytes after the warm-up and at the end; finding: the first broken promise."""

    inputs: int = 0
    rejected: int = 0
    taken: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    compared: int = 0
    stepped: int = 0
    seconds: float = 0.0
    rss_warm: int = 0
    rss_end: int = 0
    finding: str = ""


class Player:
    """Plays polls of one input form.

    sample  inputs of each poll that are compared with the references
    steps   one poll of so many also goes through a whole shard (state, rules, life cycle); 0: none
    """

    def __init__(self, kind: Input, seed: int, *, sample: int, steps: int) -> None:
        self._kind: Input = kind
        self._seed = seed
        self._sample = sample
        self._steps = steps
        self._mutator = Mutator(seeds.make(seed, shard=SHARD, partitions=PARTITIONS).of[kind])
        self._guarded, self._alone = Guarded(ROOM_BYTES), Guarded(2 * MAX_PAYLOAD_BYTES)
        self._make = shard_maker(Settings.model_validate({"kafka": {"partitions": PARTITIONS}}), load_fleet(), topic=TOPIC)
        self._logic: ShardLogic | None = None
        self._steps_done = 0
        self.played = Played()

    def poll(self, number: int) -> None:
        """One poll. Raises FindingError, and whatever the code under test raises."""
        random = Random(f"{self._seed}.{self._kind}.{number}")  # noqa: S311 - inputs that can be made again
        values = [self._mutator.make(random) for _ in range(POLL)]
        if self._kind == "batch" and number % GIANTS_EVERY == 0:
            values[random.randrange(POLL)] = _giant(random)
        batch = self._batch(values, number)
        decoded = records.decode(batch, source_topic=TOPIC, partitions=PARTITIONS)
        self._account(decoded, len(values))
        for value in values:
            self._frame(value, random)
        for i in random.sample(range(len(values)), self._sample):
            self._compare(values[i], decoded, i)
        if self._steps and number % self._steps == 0:
            self._step(batch)

    def _batch(self, values: list[bytes], number: int) -> RecordBatch:
        offsets = np.arange(len(values), dtype=np.int64)
        return RecordBatch(
            partition=SHARD,
            payload=self._guarded.put(b"".join(values), at_end=number % 2 == 0),
            ends=np.cumsum([len(value) for value in values], dtype=np.int64),
            offsets=offsets,
            append_ms=START_MS + 1000 * number + offsets // 10,
        )

    def _account(self, decoded: FrameBatch, inputs: int) -> None:
        """Each input is rows, or a rejection with its reason, or both; nothing else came out."""
        refused = {letter.offset for letter in decoded.dead_letters}
        taken = set(np.unique(decoded.frames["offset"]).tolist())
        if refused | taken != set(range(inputs)):
            raise FindingError(f"records {sorted(set(range(inputs)) ^ (refused | taken))[:5]} must be rows or rejections; they are neither")
        reasons = Counter(letter.reason for letter in decoded.dead_letters)
        if not reasons.keys() <= set(REASONS):
            raise FindingError(f"a reason must be one of {REASONS}; got {sorted(reasons)}")
        self.played.inputs += inputs
        self.played.rejected += len(refused)
        self.played.taken += len(taken)
        for reason, count in reasons.items():
            self.played.reasons[reason] = self.played.reasons.get(reason, 0) + count

    def _frame(self, value: bytes, random: Random) -> None:
        """What the bridge does with it: a count of frames, or WireError."""
        if len(value) <= MAX_PAYLOAD_BYTES:
            framing.walk(self._alone.put(value, at_end=True), False, 0, 0)
        try:
            frames = framing.check(value, random.randbytes(16) if random.random() < 0.5 else None)
        except WireError:
            return
        if frames < 1:
            raise FindingError(f"framing.check must count frames or raise; got {frames} for {shown(value)}")

    def _compare(self, value: bytes, decoded: FrameBatch, record: int) -> None:
        """Against the references, position by position; and the bridge rejects the same lengths."""
        expected = oracle.expected(value, shard=SHARD, partitions=PARTITIONS)
        rows = decoded.frames[decoded.frames["offset"] == record]
        got: oracle.Outcome = {int(rows["position"][i]): oracle.content(rows[i : i + 1]) for i in range(len(rows))}
        got |= {letter.position: letter.reason for letter in decoded.dead_letters if letter.offset == record}
        if got != expected:
            raise FindingError(f"the references give {_told(expected)}, ours {_told(got)} for {shown(value)}")
        whole = expected.get(oracle.WHOLE)
        try:
            framing.check(value, None)
            reason = ""
        except WireError as error:
            reason = error.reason
        if value and (whole in ("framing", "oversize")) != (reason in ("framing", "oversize")):
            raise FindingError(f"bridge and flow must agree on lengths; {reason!r} and {whole!r} for {shown(value)}")
        self.played.compared += 1

    def _step(self, batch: RecordBatch) -> None:
        """The whole fleet step, and its accounting identity."""
        if self._logic is None or self._steps_done % SHARD_POLLS == 0:
            self._logic = self._make(SHARD)
        logic = self._logic
        begin = logic.next_offset
        moved = RecordBatch(SHARD, batch.payload, batch.ends, batch.offsets + begin, batch.append_ms, begin)
        decoded = records.decode(moved, source_topic=TOPIC, partitions=PARTITIONS)
        logic.run(decoded, [])
        counted = logic.counters()
        parts = sum(n for name, n in counted.items() if name.startswith(_PARTS))
        if counted["received"] != parts:
            raise FindingError(f"received must be the sum of its parts; got {counted['received']} and {parts}: {counted}")
        self._steps_done += 1
        self.played.stepped += len(batch.ends)


def _giant(random: Random) -> bytes:
    size = MAX_PAYLOAD_BYTES + random.choice((-1, 0, 1))
    return random.choice(
        (
            random.randbytes(size),
            b"\x0a\x00" * (size // 2),
            b"[" * size,
            b"[" + b"1," * (size // 2 - 1) + b"1]",
            b"[" + b"{}," * (size // 3 - 1) + b"{}]",
            b'{"a":' * (size // 5),
            b'{"device_id":"' + b"x" * (size - 16) + b'"}',
            b"\x0a\xff\xff\x3f" + bytes(size - 4),
            b"\n" + b" " * (size - 1),
            b"\x93\x03" * (size // 2),
        )
    )


def _told(outcome: oracle.Outcome) -> dict[int, str]:
    return {position: found if isinstance(found, str) else found.hex()[:SHOWN_BYTES] for position, found in list(outcome.items())[:3]}


def shown(value: bytes) -> str:
    """An input for a message, to be typed in again."""
    return f"{value[:SHOWN_BYTES]!r}{' ...' if len(value) > SHOWN_BYTES else ''} ({len(value)} bytes)"


def main() -> None:
    parser = argparse.ArgumentParser(prog="fleetpulse.bench.fuzz.play")
    parser.add_argument("--input", choices=seeds.INPUTS, required=True)
    parser.add_argument("--inputs", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--sample", type=int, default=20)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    sys.stdout.buffer.write(orjson.dumps(play(arguments)) + b"\n")


def play(arguments: argparse.Namespace) -> dict[str, Any]:
    """All polls, or up to the first finding."""
    player = Player(arguments.input, arguments.seed, sample=arguments.sample, steps=arguments.steps)
    process, played = psutil.Process(), player.played
    polls = -(-arguments.inputs // POLL)
    warm = int(polls * WARM_SHARE)
    began = time.perf_counter()
    for number in range(arguments.first, arguments.first + polls):
        (arguments.folder / "poll").write_text(str(number), encoding="ascii")
        try:
            player.poll(number)
        except Exception as error:  # whatever it is, it is the finding
            played.finding = f"poll {number}: {error}" if isinstance(error, FindingError) else f"poll {number}: {error!r}"
            traceback.print_exc()
            break
        if number - arguments.first == warm:
            played.rss_warm = process.memory_info().rss
    played.seconds = time.perf_counter() - began
    played.rss_end = process.memory_info().rss
    return asdict(played)


if __name__ == "__main__":
    main()
