"""Protobuf bytes written by hand in plain Python, the unusual forms included. The inverse, in naive form, is the reference runtime."""

VARINT, I64, LEN, START_GROUP, END_GROUP, I32 = range(6)


def varint(value: int, length: int = 0) -> bytes:
    """Base-128, at least `length` bytes: overlong when that is more than needed."""
    out = bytearray()
    while value >= 0x80 or len(out) + 1 < length:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(number: int, wire_type: int, length: int = 0) -> bytes:
    return varint(number << 3 | wire_type, length)


def delimited(number: int, body: bytes, length: int = 0) -> bytes:
    return tag(number, LEN) + varint(len(body), length) + body


def group(number: int, body: bytes, end: int | None = None) -> bytes:
    return tag(number, START_GROUP) + body + tag(number if end is None else end, END_GROUP)


def batch(*frames: bytes) -> bytes:
    return b"".join(delimited(1, frame) for frame in frames)
