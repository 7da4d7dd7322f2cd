"""One file of the store: records one after the other, each with length and checksum. Bytes and files only; what they mean is store.py's.

A record: CRC-32 of what follows it (4 bytes), length of the body (4), kind (1), body. A file that was cut in the middle of a record (the
machine lost power) is read up to there.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

_HEAD = struct.Struct("<IIB")
HEAD_BYTES = _HEAD.size
_MAX_BODY = 64 << 20


class Record(NamedTuple):
    """`offset` of the body in the file."""

    kind: int
    body: bytes
    offset: int


class Segment:
    """A file that is appended to, or only read."""

    def __init__(self, file: Path, number: int) -> None:
        self.file = file
        self.number = number
        self.size = file.stat().st_size if file.exists() else 0
        self._out: BinaryIO | None = None
        self._in: BinaryIO | None = None
        self._dirty = False

    def append(self, records: list[tuple[int, bytes]]) -> list[int]:
        """Write records in one go; the offsets of their bodies. When this returns the operating system has them."""
        if self._out is None:
            self._out = self.file.open("ab", buffering=0)
        offsets, parts = [], []
        for kind, body in records:
            check = zlib.crc32(body, kind)
            parts += [_HEAD.pack(check, len(body), kind), body]
            self.size += HEAD_BYTES
            offsets.append(self.size)
            self.size += len(body)
        data = memoryview(b"".join(parts))
        while data:
            data = data[self._out.write(data) :]
        self._dirty = True
        return offsets

    def read(self, offset: int, size: int) -> bytes:
        if self._in is None:
            self._in = self.file.open("rb", buffering=0)
        return os.pread(self._in.fileno(), size, offset)

    def records(self) -> Iterator[Record]:
        """All whole records; then cuts off what is broken at the end, so that an append continues there."""
        content = self.file.read_bytes()
        at = 0
        while at + HEAD_BYTES <= len(content):
            check, length, kind = _HEAD.unpack_from(content, at)
            body = content[at + HEAD_BYTES : at + HEAD_BYTES + length]
            if length > _MAX_BODY or len(body) < length or zlib.crc32(body, kind) != check:
                break
            yield Record(kind, body, at + HEAD_BYTES)
            at += HEAD_BYTES + length
        if at < len(content):
            os.truncate(self.file, at)
        self.size = at

    def sync(self) -> None:
        """Until the disk has it. May run in another thread than append."""
        if self._out is not None and self._dirty:
            self._dirty = False
            os.fdatasync(self._out.fileno())

    def close(self) -> None:
        for handle in (self._out, self._in):
            if handle is not None:
                handle.close()
        self._out = self._in = None

    def remove(self) -> None:
        self.close()
        self.file.unlink()
