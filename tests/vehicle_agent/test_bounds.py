"""Beyond the store's bound the oldest frames go and are counted, no others; and waiting for answers costs ever fewer copies."""

from pathlib import Path

from structlog.testing import capture_logs

from fleetpulse.flows.embedded import EmbeddedMqtt, free_port
from fleetpulse.vehicle_agent.session import resend_after_s
from tests.vehicle_agent.bridge import tiny_bridge, until
from tests.vehicle_agent.test_agent import running, told

STORE_BYTES = 1 << 20
SEGMENT_BYTES = STORE_BYTES // 8


async def test_beyond_the_stores_bound_the_oldest_frames_are_dropped_and_counted(tmp_path: Path) -> None:
    """The broker is away until far more was made than the store may hold."""
    port = free_port()
    with EmbeddedMqtt(tmp_path / "mqtt", port) as broker, capture_logs() as logs:
        async with tiny_bridge(port) as bridge, running(port, tmp_path / "a", vehicles=60, store_bytes=STORE_BYTES) as run:
            await until(lambda: run.frames() > 300)
            broker.kill()
            await until(lambda: run.frames() > 0 and run.ledger()["dropped"] > 2_000, limit_s=200)
            assert run.ledger()["store_bytes"] <= STORE_BYTES + 2 * SEGMENT_BYTES
            broker.start()
            await until(lambda: bridge.connected)
            ledger = await run.end()
    assert ledger["pending"] == 0
    lost = told(tmp_path / "a") - bridge.ids()
    assert 0 < len(lost) <= ledger["dropped"], "each frame came or is counted; some came whose answer did not"
    newest_lost = {device: max(seq for d, _, seq in lost if d == device) for device, _, _ in lost}
    came = {device: max(seq for d, _, seq in bridge.ids() if d == device) for device in newest_lost}
    assert all(newest_lost[device] < came[device] for device in newest_lost), "the newest are kept"
    assert sum(line["event"].startswith("the store is full") for line in logs) == 1


def test_what_is_not_answered_is_sent_again_ever_more_seldom() -> None:
    assert [resend_after_s(30.0, sends) for sends in range(1, 7)] == [30, 60, 120, 240, 240, 240]
