"""Flow city for real: zone reports in a broker, Bytewax, advice in the broker; stopped and resumed in the middle of an interval."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from bytewax.run import cli_main

from fleetpulse.config.settings import Settings
from fleetpulse.flows import city, recovery, topics
from fleetpulse.flows.recovery import RecoveryStore
from fleetpulse.flows.stop import Stop
from tests.operators.city import FLEET, rhythm
from tests.support.events import validate
from tests.support.topics import read, write

BERLIN = FLEET.city_names.index("berlin") % city.PARTITIONS
PARIS = FLEET.city_names.index("paris") % city.PARTITIONS


def run(settings: Settings, store: Path, ends: dict[int, int]) -> None:
    with RecoveryStore(store) as opened:
        opened.forget_uncommitted()
        cli_main(  # type: ignore[no-untyped-call]
            city.build(settings, FLEET, stop=Stop(), ends={partition: ends.get(partition, 0) for partition in range(city.PARTITIONS)}),
            epoch_interval=timedelta(seconds=settings.flow.epoch_s),
            recovery_config=recovery.config(store),
        )


def emitted(settings: Settings) -> list[dict[str, Any]]:
    messages = [
        m for topic, partitions in (("fleet.rebalance", 1), ("fleet.alerts", 4)) for m in read(settings, topic, partitions=partitions)
    ]
    headers: list[Any] = [message.headers() for message in messages]
    return [validate((header, message.value() or b"")) for header, message in zip(headers, messages, strict=True)]


def test_reports_become_advice_once_across_a_restart(settings: Settings, tmp_path: Path) -> None:
    topics.ensure(settings, limit_s=10)
    story = rhythm(5)
    for partition, name in ((BERLIN, "berlin"), (PARIS, "paris")):
        write(settings, city.TOPIC, [r for told in story for r in replace(told, city=name).all_records()], partition=partition)
    run(settings, tmp_path / "store", {BERLIN: 13, PARIS: 8})
    run(settings, tmp_path / "store", {BERLIN: 40, PARIS: 40})
    events = emitted(settings)
    kinds = Counter((e["data"]["city"], e["data"].get("kind", e["data"].get("rule"))) for e in events)
    assert {(name, kind) for name in ("berlin", "paris") for kind in ("move", "swap")} <= kinds.keys()
    told = Counter(e["data"].get("interval_end_ms", e["data"]["evidence"]["recorded_ms"]) for e in events)
    assert set(told) <= {t.end_ms for t in story}
    run(settings, tmp_path / "fresh", {BERLIN: 40, PARIS: 40})
    again = emitted(settings)
    assert len(again) == 2 * len(events)
    assert sorted(map(repr, again)) == sorted(map(repr, [*events, *events]))
