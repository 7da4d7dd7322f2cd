"""Mutations of wire bytes: what broken radios, wrong encoders and attackers send. Seeded; knows the forms, not their fields."""

import re
from collections.abc import Callable, Sequence
from random import Random

INTERESTING = bytes((0x00, 0x01, 0x0A, 0x10, 0x7F, 0x80, 0xFE, 0xFF, 0x0B, 0x0C, 0x12, 0x0D, 0x09, 0x20, 0x7B, 0x5B, 0x22, 0x5C))
HUGE_VARINTS = (*(b"\xff" * n + bytes([last]) for n in (4, 8, 9, 10, 11) for last in (0, 1, 2, 127)), b"\x80" * 9 + b"\x01")
FLOATS = (b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f", b"\x00\x00\x80\xff", b"\xff\xff\x7f\x7f", b"\x01\x00\x00\x00", b"\x00\x00\x00\x80")
INVALID_UTF8 = (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xf0\x9f\x9b", b"\xfe\xfe\xff\xff")
DEPTHS = (1, 2, 50, 98, 99, 100, 101, 127, 128)
NUMBERS = (
    *(
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e999",
        b"-1e999",
        b"1e-999",
        b"-0",
        b"-0.0",
        b"01",
        b"1.",
        b".5",
        b"+1",
        b"0x10",
        b"1_0",
        b"--1",
    ),
    *(b"9223372036854775807", b"9223372036854775808", b"18446744073709551615", b"18446744073709551616", b"-9223372036854775809"),
    *(b"4294967295", b"4294967296", b"9007199254740993", b"123456789012345678.9", b"1" * 400, b"0." + b"3" * 400, b"1e" + b"9" * 40),
    *(b"null", b"true", b"false", b'""', b'"7"', b'"-0"', b'"007"', b'"1e3"', b"[]", b"{}", b"[[]]", b'{"a":{}}', b"nul", b"", b"1 2"),
)
ESCAPES = (
    b"\\ud800",
    b"\\udfff\\ud800",
    b"\\ud83d\\uded4",
    b"\\u0000",
    b"\\x41",
    b"\\",
    b'\\"',
    b"\\u12",
    b"\n",
    b"\x00",
    b"\x1f",
    b"\x7f",
)
KEYS = (b'"seq":1,"seq":2', b'"device_id":null', b'"operation":"drop_off"', b'"operation":null', b'"time_ms":-1', b'"":0', b'"s\\u0065q":3')
BOM = b"\xef\xbb\xbf"
_NUMBER = re.compile(rb"-?\d+(\.\d+)?")
_TEXT = re.compile(rb'"[^"\\]*"')
_COMMA = re.compile(rb",")
JSON_DEPTHS = (2, 50, 500, 1000, 1024, 1025, 2000)
SPARED = 0.08
"""Share of the inputs that stay whole, so that rows, and not rejections alone, pass the same walk."""

REFRAMED = 0.6
"""Share of the protobuf inputs in which a frame's body is changed and its length is right again: else most would end at the lengths."""

Mutation = Callable[[Random, bytearray, Sequence[bytes]], None]
"""Changes the bytes in place; the seeds are for splices."""


def _at(random: Random, value: bytearray) -> int:
    return int(random.random() * len(value)) if value else 0


def _flip(random: Random, value: bytearray, seeds: Sequence[bytes]) -> None:
    for _ in range(random.choice((1, 1, 1, 2, 8))):
        if value:
            value[_at(random, value)] ^= 1 << int(random.random() * 8)


def _set(random: Random, value: bytearray, seeds: Sequence[bytes]) -> None:
    if value:
        value[_at(random, value)] = random.choice(INTERESTING)


def _cut(random: Random, value: bytearray, seeds: Sequence[bytes]) -> None:
    del value[_at(random, value) :]


def _behead(random: Random, value: bytearray, seeds: Sequence[bytes]) -> None:
    del value[: _at(random, value)]


def _remove(random: Random, value: bytearray, seeds: Sequence[bytes]) -> None:
    at = _at(random, value)
    del value[at : at + 1 + int(random.random() * 8)]


def _repeat(random: Random, value: bytearray, seeds: Sequence[bytes]) -> None:
    a, b = sorted((_at(random, value), _at(random, value)))
    value[a:a] = value[a : min(b, a + 200)]


def _insert(random: Random, value: bytearray, seeds: Sequence[bytes]) -> None:
    at = _at(random, value)
    value[at:at] = random.randbytes(1 + int(random.random() * 16))


def _splice(random: Random, value: bytearray, seeds: Sequence[bytes]) -> None:
    other = random.choice(seeds)[:4000]
    value[_at(random, value) :] = other[int(random.random() * len(other)) :] if other else b""


def _varint(random: Random, value: bytearray, seeds: Sequence[bytes]) -> None:
    at = _at(random, value)
    value[at : at + 1] = random.choice(HUGE_VARINTS)


def _first_length(random: Random, value: bytearray, seeds: Sequence[bytes]) -> None:
    """The length of the first frame lies: by little, or by much."""
    if len(value) > 2:
        value[1] = (value[1] + random.choice((-2, -1, 1, 2, 16, 127))) & 0xFF if random.random() < 0.5 else 0xFF


def _length(random: Random, value: bytearray, seeds: Sequence[bytes]) -> None:
    """A byte that may be a length (after the tag of a delimited field) lies."""
    at = value.find(random.choice(b"\x0a\xa2\xb2\x82"), _at(random, value))
    if 0 <= at < len(value) - 1:
        value[at + 1] = random.choice((0, 1, 15, 17, 0x7F, 0x80, 0xFF, random.randrange(256)))


def _groups(random: Random, value: bytearray, seeds: Sequence[bytes]) -> None:
    depth, at = random.choice(DEPTHS), _at(random, value)
    value[at:at] = b"\x93\x03" * depth + (b"\x94\x03" * depth if random.random() < 0.7 else b"")


def _field(random: Random, value: bytearray, seeds: Sequence[bytes]) -> None:
    """A field of any number and wire type, inside the first frame if its length can grow by that."""
    number, kind = random.choice((random.randrange(1, 45), 2**29 - 1, 0)), random.randrange(8)
    body = _tag(number << 3 | kind) + random.choice(
        (random.choice(HUGE_VARINTS), random.choice(FLOATS) * 2, b"\x10" + bytes(16), b"\x05abc")
    )
    if len(value) > 2 and value[0] == 0x0A and value[1] < 0x80 - len(body):
        value[1] += len(body)
    value[2:2] = body


def _tag(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _float(random: Random, value: bytearray, seeds: Sequence[bytes]) -> None:
    at = _at(random, value)
    value[at : at + 4] = random.choice(FLOATS)


def _text(random: Random, value: bytearray, seeds: Sequence[bytes]) -> None:
    bad = random.choice(INVALID_UTF8)
    at = _at(random, value)
    value[at : at + len(bad)] = bad


def _lead(random: Random, value: bytearray, seeds: Sequence[bytes]) -> None:
    value[:0] = random.choice((b"\n", b"\n{", b"\n[", b" \t\r\n", b"{", b"[", BOM, b"\x00", b"\x0a\x00", b"\x0a\x7b"))


def _trail(random: Random, value: bytearray, seeds: Sequence[bytes]) -> None:
    value += random.choice((b"\x00", b"\n", b"x", b"}", b"]", b"\x0a", b"\x0a\x01", b"\x10\x01", b"\x0c", BOM))


def _match(pattern: re.Pattern[bytes], random: Random, value: bytearray) -> re.Match[bytes] | None:
    return pattern.search(value, _at(random, value)) or pattern.search(value)


def _number(random: Random, value: bytearray, seeds: Sequence[bytes]) -> None:
    found = _match(_NUMBER, random, value)
    if found:
        value[found.start() : found.end()] = random.choice(NUMBERS)


def _string(random: Random, value: bytearray, seeds: Sequence[bytes]) -> None:
    found = _match(_TEXT, random, value)
    if found:
        value[found.start() + 1 : found.start() + 1] = random.choice(ESCAPES if random.random() < 0.6 else INVALID_UTF8)


def _key(random: Random, value: bytearray, seeds: Sequence[bytes]) -> None:
    """A key more, or one that stands twice."""
    found = _match(_COMMA, random, value)
    if found:
        value[found.start() : found.start()] = b"," + random.choice(KEYS)


def _nest(random: Random, value: bytearray, seeds: Sequence[bytes]) -> None:
    depth = random.choice(JSON_DEPTHS)
    opening, closing = random.choice(((b"[", b"]"), (b'{"a":', b"}")))
    deep = opening * depth + (b"1" + closing * depth if random.random() < 0.7 else b"")
    found = _match(_NUMBER, random, value) if random.random() < 0.5 else None
    value[found.start() if found else 0 : found.end() if found else len(value)] = deep


def _list(random: Random, value: bytearray, seeds: Sequence[bytes]) -> None:
    other = random.choice(seeds)[:2000]
    value[:] = b"[" + value + random.choice((b",", b" , ", b",,", b"")) + other + random.choice((b"]", b"]", b",]", b""))


ANY: tuple[Mutation, ...] = (_flip, _flip, _flip, _set, _set, _cut, _behead, _remove, _repeat, _insert, _splice, _lead, _trail, _text)
PROTOBUF: tuple[Mutation, ...] = (*ANY, _varint, _varint, _first_length, _length, _length, _groups, _field, _field, _float)
JSON: tuple[Mutation, ...] = (*ANY, _number, _number, _number, _string, _string, _key, _key, _list)
RARE: tuple[Mutation, ...] = (_nest,)
"""Long, so that one in a hundred is enough."""


class Mutator:
    """An endless supply of inputs from seeds; equal seeds of `random` give equal inputs."""

    def __init__(self, seeds: Sequence[bytes]) -> None:
        self._seeds = seeds

    def make(self, random: Random) -> bytes:
        """One input: a seed with a few mutations that suit it."""
        seed = random.choice(self._seeds)
        if random.random() < SPARED:
            return seed
        mutations = JSON if seed.lstrip()[:1] in (b"{", b"[") else PROTOBUF
        begin, end = _body(seed) if mutations is PROTOBUF and random.random() < REFRAMED else (0, 0)
        value = bytearray(seed[begin:end] if end else seed)
        for _ in range(random.choice((1, 1, 1, 2, 3, 5))):
            random.choice(mutations)(random, value, self._seeds)
        if random.random() < 0.01:
            random.choice(RARE)(random, value, self._seeds)
        return b"\x0a" + _tag(len(value)) + bytes(value) + seed[end:] if end else bytes(value)


def _body(seed: bytes) -> tuple[int, int]:
    """Where the body of a batch's first frame begins and ends; (0, 0) when it does not begin with a frame."""
    if len(seed) < 4 or seed[0] != 0x0A:
        return 0, 0
    size, begin = (seed[1], 2) if seed[1] < 0x80 else (seed[1] & 0x7F | seed[2] << 7, 3)
    return (begin, begin + size) if begin + size <= len(seed) else (0, 0)
