"""One MQTT connection of one or several vehicles: connects, greets, publishes what waits, takes answers, and connects again.

A parcel is done when the bridge has answered; until then the store keeps it. Parcels of a vehicle go out in the order of their making,
except what must be sent again. At most WORKERS parcels are unacknowledged by the broker and WINDOW unanswered by the bridge; beyond that
parcels wait.
"""

import asyncio
import random
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from ssl import SSLContext

import aiomqtt
import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs import presence
from fleetpulse.codecs.presence import Presence
from fleetpulse.config.settings import Mqtt
from fleetpulse.vehicle_agent import link, wire
from fleetpulse.vehicle_agent.link import Vehicle
from fleetpulse.vehicle_agent.parcel import Kind, Parcel, State
from fleetpulse.vehicle_agent.store import Store

WORKERS = 4
WINDOW = 256
GARBAGE_SENDS = 3
"""A broker may close the connection on bytes like these; after so many tries they are given up."""
RESEND_DOUBLES = 3
"""How often the wait before a parcel is sent again doubles: while Kafka is away every copy waits in the MQTT broker, for the bridge to
take one day. When the connection was new made, the broker may have lost them, and the wait begins anew."""
_BACKOFF_S = (0.2, 10.0)
_BACKLOG_MS = 60_000
_ID = struct.Struct(">Q")


@dataclass
class Totals:
    """What all sessions of a process did. garbage_waiting: taken and not yet sent or given up."""

    published: int = 0
    garbage: int = 0
    garbage_waiting: int = 0
    duplicates: int = 0
    connections: int = 0
    connected: int = 0
    last_error: str = ""


@dataclass(frozen=True)
class Surroundings:
    """What the sessions of a process share.

    context       TLS for a connection of these vehicles; called once a session
    now_ms        the deployment's clock
    boot_id       of a vehicle, by number
    offline       (V,) vehicles out of radio contact now
    double        (V,) share of parcels that a vehicle sends twice
    trust_broker  as in the settings
    resend_s      on the wall: how long the bridge may take to answer what was sent once
    """

    mqtt: Mqtt
    context: Callable[[Vehicle], SSLContext | None]
    store: Store
    totals: Totals
    now_ms: Callable[[], int]
    boot_id: Callable[[int], int]
    offline: NDArray[np.bool_]
    double: NDArray[np.float64]
    trust_broker: bool
    resend_s: float
    rng: random.Random


def resend_after_s(resend_s: float, sends: int) -> float:
    """How long the bridge may take to answer a parcel that was sent so often, 1 or more."""
    return float(resend_s * 2 ** min(sends - 1, RESEND_DOUBLES))


class Session:
    """A connection. `vehicles` by their number in the process."""

    def __init__(self, vehicles: dict[int, Vehicle], around: Surroundings) -> None:
        self._vehicles = vehicles
        self._around = around
        self._context = around.context(next(iter(vehicles.values())))
        self._queue: deque[Parcel] = deque()
        self._ready = asyncio.Semaphore(0)
        self._room = asyncio.Event()
        self._unanswered: dict[int, Parcel] = {}
        self._held: dict[int, list[Parcel]] = {}
        self.connected = False

    def __len__(self) -> int:
        """Parcels that could be sent now."""
        return len(self._queue)

    def put(self, parcel: Parcel, *, first: bool = False) -> None:
        """Take a parcel of one of the vehicles for sending; `first`: before all others."""
        if first:
            self._queue.appendleft(parcel)
        else:
            self._queue.append(parcel)
        self._ready.release()

    def back_online(self, vehicle: int) -> None:
        """The vehicle has radio contact again: what it kept is sent."""
        for parcel in self._held.pop(vehicle, ()):
            self.put(parcel)

    def send_again(self, now_s: float) -> None:
        """Queue what the broker took and the bridge did not answer in time. Call it regularly."""
        resend_s = self._around.resend_s
        late = [
            p
            for p in self._unanswered.values()
            if p.state is State.DONE or (p.state is State.SENT and now_s - p.sent_at_s > resend_after_s(resend_s, p.sends))
        ]
        for parcel in late:
            if parcel.state is State.DONE:  # dropped by the store's bound
                self._done(parcel)
            else:
                parcel.state = State.WAITING
                self.put(parcel, first=True)

    async def run(self) -> None:
        """Until cancelled; then says goodbye when it is connected."""
        backoff_s = _BACKOFF_S[0]
        while True:
            try:
                async with self._client() as client:
                    await self._serve(client)
            except aiomqtt.MqttError as error:
                self._around.totals.last_error = str(error)
                task = asyncio.current_task()
                if task is not None and task.cancelling():  # leaving the connection failed, and its error hides the cancellation
                    return
            if self.connected:
                backoff_s = _BACKOFF_S[0]
                self.connected = False
            await asyncio.sleep(backoff_s * self._around.rng.uniform(0.5, 1.5))
            backoff_s = min(2 * backoff_s, _BACKOFF_S[1])

    def _client(self) -> aiomqtt.Client:
        will = self._presence(next(iter(self._vehicles)), online=False)
        return link.client(self._around.mqtt, self._context, list(self._vehicles.values()), will, self._answer)

    def _presence(self, vehicle: int, *, online: bool) -> Presence:
        return Presence(online=online, boot_id=self._around.boot_id(vehicle), time_ms=self._around.now_ms())

    async def _serve(self, client: aiomqtt.Client) -> None:
        """Serve one connection until it breaks (MqttError) or the session is cancelled."""
        granted = await client.subscribe([(vehicle.ack_topic, 0) for vehicle in self._vehicles.values()])
        if any(getattr(code, "is_failure", False) for code in granted):
            raise aiomqtt.MqttError("the broker refused the subscription to ack/{device_id}")
        await self._greet(client, online=True)
        self.connected = True
        for parcel in self._unanswered.values():
            parcel.sends = min(parcel.sends, 1)
        totals = self._around.totals
        totals.connections += 1
        totals.connected += 1
        self._ready = asyncio.Semaphore(len(self._queue))
        tasks = [asyncio.create_task(self._send(client)) for _ in range(WORKERS)]
        tasks.append(asyncio.create_task(self._listen(client)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        except asyncio.CancelledError:
            await self._goodbye(client)
            raise
        finally:
            totals.connected -= 1
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _greet(self, client: aiomqtt.Client, *, online: bool) -> None:
        messages = [(v.status_topic, presence.encode(self._presence(number, online=online))) for number, v in self._vehicles.items()]
        publishes = (client.publish(topic, message, qos=1, retain=True, timeout=link.PUBLISH_S) for topic, message in messages)
        await asyncio.gather(*publishes)

    async def _goodbye(self, client: aiomqtt.Client) -> None:
        """A clean end makes no will, so say it ourselves."""
        try:
            await self._greet(client, online=False)
        except aiomqtt.MqttError as error:
            self._around.totals.last_error = str(error)

    async def _listen(self, client: aiomqtt.Client) -> None:
        """Ends with MqttError when the connection breaks; answers come through the queue of link.client."""
        async for _ in client.messages:
            pass

    def _answer(self, correlation: bytes) -> None:
        """The bridge says that Kafka has a parcel."""
        if len(correlation) == _ID.size:
            parcel = self._unanswered.get(_ID.unpack(correlation)[0])
            if parcel is not None:
                self._done(parcel)

    def _done(self, parcel: Parcel) -> None:
        self._around.store.answered(parcel)
        self._unanswered.pop(parcel.id, None)
        self._room.set()

    async def _send(self, client: aiomqtt.Client) -> None:
        """One worker: takes parcel after parcel from the queue."""
        while True:
            await self._ready.acquire()
            while len(self._unanswered) >= WINDOW and self._queue[0].id not in self._unanswered:
                self._room.clear()
                await self._room.wait()
            parcel = self._queue.popleft()
            if parcel.state is State.DONE:
                continue
            if self._around.offline[parcel.vehicle]:
                self._held.setdefault(parcel.vehicle, []).append(parcel)
            elif parcel.kind is Kind.GARBAGE:
                await self._publish_garbage(client, parcel)
            else:
                await self._publish(client, parcel)

    async def _publish(self, client: aiomqtt.Client, parcel: Parcel) -> None:
        around, vehicle = self._around, self._vehicles[parcel.vehicle]
        payload = around.store.payload(parcel)
        if around.now_ms() - parcel.newest_ms > _BACKLOG_MS:
            payload = wire.with_backlog(payload)
        copies = 2 if parcel.sends == 0 and around.rng.random() < around.double[parcel.vehicle] else 1
        around.totals.duplicates += parcel.frames * (copies - (parcel.sends == 0))
        parcel.state = State.SENDING
        parcel.sends += copies
        self._unanswered[parcel.id] = parcel
        correlation = _ID.pack(parcel.id)
        try:
            for _ in range(copies):
                properties = None if around.trust_broker else vehicle.properties(correlation)
                await client.publish(vehicle.topic(parcel.kind), payload, qos=1, properties=properties, timeout=link.PUBLISH_S)
        except (aiomqtt.MqttError, asyncio.CancelledError):
            if parcel.state is State.SENDING:
                parcel.state = State.WAITING
                self.put(parcel, first=True)
            raise
        around.totals.published += copies
        if around.trust_broker:
            self._done(parcel)
        elif parcel.state is State.SENDING:
            parcel.state = State.SENT
            parcel.sent_at_s = asyncio.get_running_loop().time()

    async def _publish_garbage(self, client: aiomqtt.Client, parcel: Parcel) -> None:
        totals = self._around.totals
        parcel.sends += 1
        try:
            await client.publish(self._vehicles[parcel.vehicle].topic(parcel.kind), parcel.payload, qos=1, timeout=link.PUBLISH_S)
        except (aiomqtt.MqttError, asyncio.CancelledError):
            if parcel.sends < GARBAGE_SENDS:
                self.put(parcel, first=True)
            else:
                totals.garbage_waiting -= 1
            raise
        totals.garbage += 1
        totals.garbage_waiting -= 1
