"""The decoders that ours is compared with, each on the values of one poll: google.protobuf (upb), ptars, orjson, msgspec.

What each gives is what its user gets: Python objects with eleven fields read into lists (upb), an Arrow batch (ptars), a dict a frame
(orjson), a typed struct a frame (msgspec). Ours gives checked columns with their Kafka origin, so it does more.
"""

import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import orjson
import ptars
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

from fleetpulse import codecs
from fleetpulse.bench import json_text

PROTO = Path(codecs.__path__[0]) / "telemetry.proto"
READ = (
    "time_ms",
    "seq",
    "latitude_e7",
    "longitude_e7",
    "speed_mps",
    "heading_deg",
    "battery_soc_pct",
    "battery_voltage_v",
    "battery_current_a",
    "battery_temperature_c",
    "status",
)
"""Fields that are read from each upb message."""

Decode = Callable[[Sequence[bytes]], Any]


@cache
def _classes() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        code = protoc.main(["protoc", f"-I{PROTO.parent}", f"--descriptor_set_out={out}", PROTO.name])
        assert code == 0, "telemetry.proto must compile"
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    names = ("TelemetryBatch", "VehicleTelemetry")
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"fleetpulse.v1.{name}")) for name in names}


def upb_parse(values: Sequence[bytes]) -> list[Any]:
    """Messages; nothing of them is read."""
    parse = _classes()["TelemetryBatch"].FromString
    return [parse(value) for value in values]


def upb(values: Sequence[bytes]) -> dict[str, list[Any]]:
    """A list for each of READ."""
    parse = _classes()["TelemetryBatch"].FromString
    frames = [frame for value in values for frame in parse(value).frames]
    return {name: [getattr(frame, name) for frame in frames] for name in READ}


def ptars_decoder() -> Decode:
    """Decodes frames (not batches: it takes one message a row) to an Arrow record batch."""
    message = _classes()["VehicleTelemetry"].DESCRIPTOR
    handler = ptars.HandlerPool([message.file]).get_for_message(message)

    def decode(values: Sequence[bytes]) -> Any:
        return handler.list_to_record_batch(values)

    return decode


def inner(values: Sequence[bytes]) -> list[bytes]:
    """The frames of batches of one."""
    return [frame.SerializeToString() for value in values for frame in _classes()["TelemetryBatch"].FromString(value).frames]


def orjson_decoder(values: Sequence[bytes]) -> list[Any]:
    """A dict a frame."""
    loads = orjson.loads
    return [loads(value) for value in values]


_NUMBERS = {name: float | None for name in json_text.FIELDS if name.endswith(("_m", "_mps", "_deg", "_pct", "_v", "_a", "_c", "_kpa"))}
JsonFrame = msgspec.defstruct(
    "JsonFrame", [("device_id", str), *((name, _NUMBERS.get(name, int | None), None) for name in json_text.FIELDS)], gc=False
)


def msgspec_decoder() -> Decode:
    """A typed struct a frame."""
    decode_one = msgspec.json.Decoder(JsonFrame).decode

    def decode(values: Sequence[bytes]) -> list[Any]:
        return [decode_one(value) for value in values]

    return decode
