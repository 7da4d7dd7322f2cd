"""Which form a Kafka record's value or an MQTT payload has: protobuf batch, JSON, or nothing. Pure.

JSON is what begins, after white space, with `{` or `[`. But a line feed is also the first byte of every protobuf batch (the tag
of its first frame), and in a batch whose first frame has 123 or 91 bytes the next byte is `{` or `[`. The two are told apart
exactly: JSON text never holds a bare control character, and a frame that we take always does, namely the length of its device id.
"""

import numpy as np
from numba import types

from fleetpulse.codecs.jit import inlined, kernel
from fleetpulse.codecs.memory import BYTES, Bytes, Memory, base, load_u8

_TAB, _LINE_FEED, _RETURN, _SPACE = 0x09, 0x0A, 0x0D, 0x20
_OPEN_OBJECT, _OPEN_LIST = 0x7B, 0x5B


@inlined
def is_space(byte: int) -> bool:
    """White space between JSON tokens."""
    return byte in (_SPACE, _LINE_FEED, _RETURN, _TAB)


@inlined
def json_begin(payload: Memory, begin: int, end: int) -> int:
    """Position of the opening brace or bracket of a JSON value; -1 when the value at [begin, end) is not JSON."""
    at = begin
    while at < end and is_space(load_u8(payload, at)):
        at += 1
    if at == end or load_u8(payload, at) not in (_OPEN_OBJECT, _OPEN_LIST):
        return -1
    if load_u8(payload, begin) == _LINE_FEED:
        for i in range(begin, end):
            byte = load_u8(payload, i)
            if byte < _SPACE and not is_space(byte):
                return -1
    return at


@kernel(types.boolean(BYTES))
def _is_json(payload: Bytes) -> bool:
    return json_begin(base(payload), 0, len(payload)) >= 0


def is_json(payload: bytes) -> bool:
    """Whether the payload is JSON, which is one record a message and never joined."""
    return bool(_is_json(np.frombuffer(payload, np.uint8)))
