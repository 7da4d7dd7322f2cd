"""Server-Sent Events and WebSocket: what comes, from where it goes on, and what happens to the slow."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from fleetpulse.config.settings import Settings
from fleetpulse.gateway.egress import streams as module
from fleetpulse.gateway.egress.event_log import EventLog, Filter
from fleetpulse.gateway.egress.feed_items import FeedEvent
from fleetpulse.gateway.egress.streams import FullError, Streams
from tests.gateway.egress.conftest import with_gateway
from tests.gateway.egress.support import (
    LIMIT_S,
    NOW_MS,
    Running,
    alert,
    availability,
    device,
    encoded,
    gateway,
    publish,
    wait_for,
)


def item(i: int, *, bytes_: int = 0) -> FeedEvent:
    body = orjson.dumps({"i": i, "x": "x" * bytes_})
    rule = "even" if i % 2 == 0 else "odd"
    return FeedEvent(str(i), "/s", "vehicle.trip.started.v1", f"v{i % 3}", i, i, (i, "t", 0, i), "berlin", "", rule, 0, body)


class Sse:
    """A client of /v1/stream."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()

    def message(self) -> dict[str, str]:
        """The next message that is no comment, as its fields."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if not line and fields:
                return fields
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value
        raise EOFError

    def event(self) -> dict[str, Any]:
        message = self.message()
        assert "event" not in message, message
        event: dict[str, Any] = orjson.loads(message["data"])
        return {"cursor": message["id"], **event}


@contextlib.contextmanager
def sse(running: Running, *, last: str | None = None, **params: Any) -> Iterator[Sse]:
    headers = {"Last-Event-ID": last} if last else {}
    with running.client.stream("GET", "/v1/stream", params=params, headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        client = Sse(response)
        assert client.message()["event"] == "hello"
        yield client


@contextlib.contextmanager
def websocket(running: Running, query: str = "", **options: Any) -> Iterator[ClientConnection]:
    with connect(f"ws://{running.address}/v1/ws{query}", open_timeout=LIMIT_S, **options) as client:
        assert set(receive(client)) == {"cursor"}
        yield client


def receive(client: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = orjson.loads(client.recv(LIMIT_S))
    return message


def test_sse_gives_the_events_that_pass_the_filters(deployment: Settings) -> None:
    with gateway(deployment) as running, sse(running, rule="crash", city="berlin", vehicle=str(device(1))) as client:
        made = [
            alert(device(i), rule, cause=f"{i}.{rule}", city=city) for i in (1, 2) for rule in ("crash", "tipped") for city in ("berlin",)
        ]
        publish(deployment, encoded([*made, alert(device(1), "crash", cause="last")]))
        assert [client.event()["data"]["rule"] for _ in range(2)] == ["crash", "crash"]


def test_sse_resumes_after_the_last_event_id_without_gap_or_double(deployment: Settings) -> None:
    made = [availability(device(i), "on_trip", "trip_start", ms=NOW_MS + i, cause=f"1.{i}") for i in range(250)]
    with gateway(deployment) as running:
        publish(deployment, encoded(made[:100]))
        running.wait_events(100)
        with sse(running, cursor=running.get("/v1/events", cursor="start", limit=1)["next_cursor"]) as client:
            first = [client.event() for _ in range(40)]
        publish(deployment, encoded(made[100:]))
        with sse(running, last=first[-1]["cursor"]) as client:
            rest = [client.event() for _ in range(250 - 41)]
    expected = {event.id for event in made}
    page_one = 1
    got = [event["id"] for event in (*first, *rest)]
    assert len(got) == len(set(got)) == len(expected) - page_one
    assert set(got) < expected


def test_sse_goes_on_after_a_restart_of_the_gateway_and_loses_nothing(deployment: Settings) -> None:
    made = [availability(device(i), "on_trip", "trip_start", ms=NOW_MS + 20_000 * i, cause=f"1.{i}") for i in range(30)]
    with gateway(deployment) as running, sse(running) as client:
        publish(deployment, encoded(made[:10]))
        cursor = [client.event() for _ in range(10)][-1]["cursor"]
    publish(deployment, encoded(made[10:]))
    with gateway(deployment) as running, sse(running, last=cursor) as client:
        got: list[str] = []
        while len(got) < 20 or got[-1] != made[-1].id:
            got.append(client.event()["id"])
    assert {event.id for event in made[10:]} <= set(got)
    assert made[0].id not in got


def test_websocket_gives_events_with_cursors_and_passes_over_what_clients_say(deployment: Settings) -> None:
    made = [alert(device(i), "crash", severity="critical", cause=str(i)) for i in range(5)]
    with gateway(deployment) as running, websocket(running, "?type=vehicle.alert&severity=critical") as client:
        client.send("hello?")
        publish(deployment, encoded([*made, availability(device(9), "on_trip", "trip_start")]))
        got = [receive(client) for _ in range(5)]
        assert {message["event"]["id"] for message in got} == {event.id for event in made}
        with websocket(running, f"?type=vehicle.alert&cursor={got[1]['cursor']}") as second:
            assert [receive(second)["event"]["id"] for _ in range(3)] == [m["event"]["id"] for m in got[2:]]


def test_a_wrong_websocket_request_is_answered_with_a_problem(deployment: Settings) -> None:
    with gateway(deployment) as running:
        for query in ("?severity=red", "?type=x", "?cursor=x", "?vehicle=7", "?city=atlantis"):
            with pytest.raises(InvalidStatus) as refusal, websocket(running, query):
                pass
            response = refusal.value.response
            assert response.status_code == 422
            assert response.headers["content-type"] == "application/problem+json"
            assert orjson.loads(response.body or b"")["detail"]


def test_a_page_of_another_origin_opens_no_websocket(deployment: Settings) -> None:
    with gateway(deployment) as running:
        with pytest.raises(InvalidStatus) as refusal, websocket(running, origin="https://evil.example"):
            pass
        assert refusal.value.response.status_code == 403
        with websocket(running, origin=f"http://{running.address}"):
            assert running.server.hub.streams.count("websocket") == 1


def test_a_slow_websocket_is_told_what_it_lost_and_costs_the_server_nothing(deployment: Settings) -> None:
    settings = with_gateway(deployment, client_queue=10)
    events, bytes_ = 3_000, 20_000
    with (
        gateway(settings) as running,
        websocket(running, max_queue=1) as slow,
        websocket(running, "?rule=odd", max_queue=1, close_timeout=0.2) as other,
    ):
        hub = running.server.hub
        loop_done = asyncio.run_coroutine_threadsafe(flood(running, events, bytes_), running.loop)
        loop_done.result(LIMIT_S)
        last, dropped, seen = -1, 0, []
        while last < events - 1:
            message = receive(slow)
            if "dropped" in message:
                dropped += message["dropped"]
            else:
                last = message["event"]["i"]
                seen.append(last)
        assert dropped > 0
        assert seen == sorted(set(seen))
        assert len(seen) + dropped == events, "each event came or was counted"
        assert running.get("/v1/fleet")["vehicles"] == 0, "the server serves on"
        assert hub.streams.dropped >= dropped
        other.close()
        wait_for(lambda: hub.streams.count("websocket") == 1, "the release of a closed client")


def test_a_slow_sse_client_is_told_what_it_lost_and_costs_the_server_nothing(deployment: Settings) -> None:
    settings = with_gateway(deployment, client_queue=10)
    events = 3_000
    with gateway(settings) as running, sse(running) as slow:
        asyncio.run_coroutine_threadsafe(flood(running, events, 20_000), running.loop).result(LIMIT_S)
        last, dropped, seen = -1, 0, []
        while last < events - 1:
            message = slow.message()
            if message.get("event") == "dropped":
                dropped += orjson.loads(message["data"])["dropped"]
            else:
                last = orjson.loads(message["data"])["i"]
                seen.append(last)
        assert dropped > 0
        assert seen == sorted(set(seen))
        assert len(seen) + dropped == events, "each event came or was counted"
        assert running.server.hub.streams.dropped == dropped
        assert f"fleet_gateway_stream_dropped_events_total {float(dropped)}" in running.client.get("/metrics").text


async def flood(running: Running, events: int, bytes_: int) -> None:
    """Events straight into the server's log, in the server's loop; faster than any client reads."""
    for first in range(0, events, 50):
        running.server.hub.apply([item(i, bytes_=bytes_) for i in range(first, first + 50)])
        await asyncio.sleep(0)


@pytest.mark.parametrize("path", ["/v1/stream", "/v1/ws"])
def test_a_client_that_takes_nothing_is_cut(deployment: Settings, path: str) -> None:
    with gateway(deployment, silent_s=1) as running, socket.socket() as stuck:
        hub = running.server.hub
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.connect(("127.0.0.1", running.port))
        upgrade = (
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        )
        head = f"GET {path} HTTP/1.1\r\nHost: {running.address}\r\n{upgrade if path == '/v1/ws' else ''}\r\n"
        stuck.sendall(head.encode())
        transport = "websocket" if path == "/v1/ws" else "sse"
        wait_for(lambda: hub.streams.count(transport) == 1, "the stream")
        asyncio.run_coroutine_threadsafe(flood(running, 1_000, 20_000), running.loop).result(LIMIT_S)
        wait_for(lambda: hub.streams.count(transport) == 0, "the end of the stuck client's stream")
        wait_for(lambda: len(running.server.server_state.connections) <= 1, "the end of its connection")


def test_streams_end_when_the_gateway_does(deployment: Settings) -> None:
    with gateway(deployment) as running, contextlib.ExitStack() as stack:
        events = stack.enter_context(sse(running))
        socket_ = stack.enter_context(websocket(running))
        running.server.should_exit = True
        with pytest.raises(ConnectionClosed) as closed:
            receive(socket_)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code in (1001, 1012)
        with pytest.raises((EOFError, httpx.RemoteProtocolError)):
            events.message()


async def test_a_follower_that_resumes_from_far_behind_is_given_everything() -> None:
    log = EventLog(1_000, overlap_ms=0)
    streams = Streams(log, queue=10)
    for i in range(500):
        log.append(item(i))
    follower = streams.open(Filter(), cursor=log.cursor(100), transport="sse")
    got: list[int] = []
    async for batch in streams.follow(follower):
        assert batch.dropped == 0
        got += [kept.n for kept in batch.events]
        if len(got) == 400:
            break
    assert got == list(range(101, 501))
    assert streams.dropped == 0


async def test_a_live_follower_keeps_the_newest_and_counts_the_rest() -> None:
    log = EventLog(1_000, overlap_ms=0)
    streams = Streams(log, queue=10)
    follower = streams.open(Filter(rules=("odd",)), cursor=None, transport="sse")
    batches = streams.follow(follower)
    log.append(item(1))
    assert [kept.n for kept in (await anext(batches)).events] == [1]
    for i in range(2, 102):
        log.append(item(i))
    batch = await anext(batches)
    assert batch.dropped == 40
    assert len(batch.events) == 10
    assert orjson.loads(batch.events[-1].body)["i"] == 101


async def test_what_fell_out_of_the_ring_is_counted() -> None:
    log = EventLog(50, overlap_ms=0)
    streams = Streams(log, queue=1_000)
    for i in range(10):
        log.append(item(i))
    follower = streams.open(Filter(), cursor=log.cursor(5), transport="sse")
    for i in range(10, 110):
        log.append(item(i))
    batch = await anext(streams.follow(follower))
    assert batch.dropped == 55
    assert batch.events[0].n == 61


async def test_there_may_be_so_many_followers_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FOLLOWERS", 2)
    streams = Streams(EventLog(10, overlap_ms=0), queue=10)
    first = streams.open(Filter(), cursor=None, transport="sse")
    second = streams.open(Filter(), cursor=None, transport="websocket")
    with pytest.raises(FullError, match="at most 2 streams"):
        streams.open(Filter(), cursor=None, transport="sse")
    streams.release(first)
    third = streams.open(Filter(), cursor=None, transport="sse")
    assert (streams.count("sse"), streams.count("websocket")) == (1, 1)
    del second, third
    gc.collect()
    assert streams.count("sse") == streams.count("websocket") == 0, "one that nobody holds any more counts no more"
