"""The reference protobuf runtime with the message classes of telemetry.proto, compiled by protoc on first use. Nothing of ours."""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from grpc_tools import protoc

from fleetpulse import codecs

PROTO = Path(codecs.__path__[0]) / "telemetry.proto"

SHALLOW = """
syntax = "proto3";
package fleetpulse.shallow;
message Batch { repeated bytes frames = 1; }
message OnlyId { bytes device_id = 1; }
message OnlyIds { repeated OnlyId frames = 1; }
"""
"""What one sees of a batch without reading frames, and of a frame without reading other fields."""


@cache
def descriptor_set() -> descriptor_pb2.FileDescriptorSet:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "shallow.proto").write_text(SHALLOW)
        out = Path(folder) / "out"
        status = protoc.main(["protoc", f"-I{folder}", f"-I{PROTO.parent}", f"--descriptor_set_out={out}", "shallow.proto", PROTO.name])
        assert status == 0
        return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())


@cache
def message(name: str) -> Any:
    """Message class by full name, for example `fleetpulse.v1.TelemetryBatch`."""
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_set().file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def parse(name: str, payload: bytes) -> Any | None:
    """The message, or None when the reference rejects the bytes."""
    try:
        return message(name).FromString(payload)
    except DecodeError:
        return None
