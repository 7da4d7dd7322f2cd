"""Versioned bytes of learned state: a header in JSON, then sections of bytes. For our own recovery store alone.

No I/O. What the sections mean is their owner's affair; here is only the frame around them and the refusal of a foreign one.
"""

import struct
from collections.abc import Sequence
from typing import Any

import orjson

from fleetpulse.codecs.errors import RefusedError

_FRAME = struct.Struct("<4sHI")  # magic, version, length of the header


class StoredStateError(RefusedError):
    """A snapshot that this program must not go on with. The text says what to do."""


def pack(magic: bytes, version: int, header: dict[str, Any], sections: Sequence[bytes]) -> bytes:
    """One copy of everything.

    magic    4 bytes that name the owner
    version  of the layout of header and sections
    header   JSON data; what the reader must know before it touches a section
    """
    head = orjson.dumps({**header, "sections": [len(section) for section in sections]})
    return b"".join((_FRAME.pack(magic, version, len(head)), head, *sections))


def unpack(stored: bytes, magic: bytes, version: int, *, flow: str) -> tuple[dict[str, Any], list[bytes]]:
    """Header and sections again. Raises StoredStateError when they are not of this owner and layout, or cut short.

    flow  the dataflow whose recovery store it is, for the message
    """
    found = stamp(stored)
    if found[:2] != (magic, version):
        raise refused(f"{magic.decode()} version {version}", f"{found[0].decode('ascii', 'replace')} version {found[1]}", flow=flow)
    begin = _FRAME.size + found[2]
    header = header_of(stored)
    sections = []
    for length in header.pop("sections"):
        sections.append(stored[begin : begin + length])
        begin += length
    if begin != len(stored):
        raise refused(f"{begin} bytes long", f"{len(stored)} bytes", flow=flow)
    return header, sections


def stamp(stored: bytes) -> tuple[bytes, int, int]:
    """Owner, version of the layout, length of the header; nothing of each when there are too few bytes."""
    if len(stored) < _FRAME.size:
        return b"", 0, 0
    magic, version, length = _FRAME.unpack_from(stored)
    return magic, version, length


def header_of(stored: bytes) -> dict[str, Any]:
    """The header, with `sections`: the lengths of what follows."""
    header: dict[str, Any] = orjson.loads(stored[_FRAME.size : _FRAME.size + stamp(stored)[2]])
    return header


def with_header(stored: bytes, **changes: Any) -> bytes:
    """The same with other values in its header."""
    magic, version, length = stamp(stored)
    head = orjson.dumps({**header_of(stored), **changes})
    return b"".join((_FRAME.pack(magic, version, len(head)), head, stored[_FRAME.size + length :]))


def refused(wanted: str, got: str, *, flow: str) -> StoredStateError:
    """The error for a snapshot that is not what this program writes."""
    return StoredStateError(
        f"a snapshot of flow {flow} must be {wanted}; got {got}; remove the flow's folder in the recovery store to let it learn anew"
    )
