"""A bridge of a few lines for the agent's tests: takes everything, answers on Response Topic when told to, and remembers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiomqtt
import numpy as np
from numpy.typing import NDArray
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from fleetpulse.codecs import records
from fleetpulse.codecs.batch import RecordBatch

FrameId = tuple[bytes, int, int]


class TinyBridge:
    """answers: whether it answers; published: (topic, payload) in order of receipt."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answers = True
        self.connected = False
        self.published: list[tuple[str, bytes]] = []

    async def run(self) -> None:
        while True:
            with suppress(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", self._port, protocol=aiomqtt.ProtocolVersion.V5) as client:
                    await client.subscribe([("telemetry/+", 1), ("alert/+", 1), ("status/+", 1)])
                    self.connected = True
                    async for message in client.messages:
                        assert isinstance(message.payload, bytes)
                        self.published.append((str(message.topic), message.payload))
                        topic = getattr(message.properties, "ResponseTopic", None)
                        if self.answers and topic is not None:
                            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
                            properties.CorrelationData = message.properties.CorrelationData  # type: ignore[union-attr]
                            await client.publish(topic, b"", qos=0, properties=properties)
            self.connected = False
            await asyncio.sleep(0.05)

    def payloads(self, kind: str) -> list[tuple[str, bytes]]:
        """(device id as text, payload) of telemetry, alert or status."""
        return [(topic.removeprefix(f"{kind}/"), payload) for topic, payload in self.published if topic.startswith(f"{kind}/")]

    def frames(self) -> NDArray[Any]:
        """All frames that came, in order of receipt, doubles included."""
        values = [payload for kind in ("telemetry", "alert") for _, payload in self.payloads(kind) if payload]
        ends = np.cumsum([len(value) for value in values]).astype(np.int64)
        zero = np.zeros(len(values), np.int64)
        return records.decode(RecordBatch(0, b"".join(values), ends, zero, zero), source_topic="", partitions=1).frames

    def ids(self) -> set[FrameId]:
        """(device id, boot, seq) of all frames that came."""
        frames = self.frames()
        columns = (frames[name].tolist() for name in ("device_hi", "device_lo", "boot_id", "seq"))
        return {((hi << 64 | lo).to_bytes(16, "big"), boot, seq) for hi, lo, boot, seq in zip(*columns, strict=True)}


@asynccontextmanager
async def tiny_bridge(port: int) -> AsyncIterator[TinyBridge]:
    bridge = TinyBridge(port)
    task = asyncio.create_task(bridge.run())
    await until(lambda: bridge.connected)
    try:
        yield bridge
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool | Awaitable[bool]], *, limit_s: float = 60.0) -> None:
    """Wait for a condition; fails when the limit is over."""
    async with asyncio.timeout(limit_s):
        while True:
            held = condition()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(0.02)
