"""The ring of events: what is selected, how cursors go on, what is forgotten."""

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import given

from fleetpulse.alerts import event
from fleetpulse.gateway.egress.event_log import TYPES, CursorError, EventLog, Filter, types_of
from fleetpulse.gateway.egress.feed_items import FeedEvent

CITIES, RULES, SEVERITIES = ("berlin", "paris"), ("crash", "offline"), ("info", "critical")


def item(
    i: int, *, type_: str = event.ALERT_RAISED, city: str = "berlin", subject: str = "a", rule: str = "crash", severity: str = "info"
) -> FeedEvent:
    return FeedEvent(str(i), "/s", type_, subject, i, 1_000 * i, (1_000 * i, "t", 0, i), city, severity, rule, 0, orjson.dumps({"i": i}))


def bodies(log: EventLog, wanted: Filter, *, after: int = 0) -> list[int]:
    return [orjson.loads(log.kept(n).body)["i"] for n in log.select(wanted, after=after).tolist()]


events = st.lists(
    st.tuples(st.sampled_from(TYPES), st.sampled_from(CITIES), st.sampled_from("abc"), st.sampled_from(RULES), st.sampled_from(SEVERITIES)),
    max_size=60,
)
filters = st.builds(
    Filter,
    types=st.lists(st.sampled_from(TYPES), max_size=2).map(tuple),
    cities=st.lists(st.sampled_from((*CITIES, "rome")), max_size=2).map(tuple),
    subjects=st.lists(st.sampled_from("abcd"), max_size=2).map(tuple),
    rules=st.lists(st.sampled_from((*RULES, "never")), max_size=2).map(tuple),
    severities=st.lists(st.sampled_from(SEVERITIES), max_size=2).map(tuple),
)


@given(events, filters, st.integers(1, 25), st.integers(0, 70))
def test_select_gives_what_a_plain_loop_gives(made: list[tuple[str, str, str, str, str]], wanted: Filter, kept: int, after: int) -> None:
    log = EventLog(kept, overlap_ms=0)
    for i, (type_, city, subject, rule, severity) in enumerate(made):
        log.append(item(i, type_=type_, city=city, subject=subject, rule=rule, severity=severity))
    plain = []
    for i, (type_, city, subject, rule, severity) in enumerate(made):
        still_there = i >= len(made) - kept and i + 1 > after
        asked = (
            (type_, wanted.types),
            (city, wanted.cities),
            (subject, wanted.subjects),
            (rule, wanted.rules),
            (severity, wanted.severities),
        )
        if still_there and all(not values or value in values for value, values in asked):
            plain.append(i)
    assert bodies(log, wanted, after=after) == plain


def test_an_event_that_comes_twice_is_kept_once() -> None:
    log = EventLog(10, overlap_ms=0)
    assert log.append(item(1))
    assert not log.append(item(1))
    assert log.newest == 1


def test_the_ring_forgets_the_oldest_and_its_id() -> None:
    log = EventLog(3, overlap_ms=0)
    for i in range(5):
        log.append(item(i))
    assert bodies(log, Filter()) == [2, 3, 4]
    assert log.oldest == 3
    assert log.get("1") is None
    assert log.get("4") is not None
    assert log.append(item(1)), "an id that was forgotten is a new event"


def test_a_cursor_goes_on_exactly_in_the_same_run() -> None:
    log = EventLog(100, overlap_ms=10_000)
    for i in range(10):
        log.append(item(i))
    assert bodies(log, Filter(), after=log.position(log.cursor(4))) == [4, 5, 6, 7, 8, 9]


def test_a_cursor_of_another_run_goes_on_from_its_time_less_the_overlap() -> None:
    before, after = EventLog(100, overlap_ms=2_000), EventLog(100, overlap_ms=2_000)
    for i in range(10):
        before.append(item(i))
    for i in (1, 0, 2, 4, 3, 5, 6, 7, 8, 9, 10):  # another order of arrival
        after.append(item(i))
    rest = bodies(after, Filter(), after=after.position(before.cursor(6)))  # has read 0..5
    assert set(rest) >= {6, 7, 8, 9, 10}
    assert 0 not in rest


def test_a_cursor_of_another_run_that_is_older_than_the_ring_starts_at_its_oldest() -> None:
    before, after = EventLog(100, overlap_ms=0), EventLog(3, overlap_ms=0)
    before.append(item(1))
    for i in range(5, 10):
        after.append(item(i))
    assert bodies(after, Filter(), after=after.position(before.cursor(1))) == [7, 8, 9]


@pytest.mark.parametrize("text", ["", "x", "a-b-c", "a-1", "a-1-", "a--1", "-1-2", "a-1-2-3", "a-٣-1", "a-" + "9" * 50 + "-1"])
def test_a_text_that_is_no_cursor_is_refused(text: str) -> None:
    log = EventLog(3, overlap_ms=0)
    with pytest.raises(CursorError, match="a cursor must be one that this service gave"):
        log.position(text)


def test_a_group_of_types_stands_for_its_members() -> None:
    assert types_of("vehicle.trip") == (event.TRIP_STARTED, event.TRIP_ENDED)
    assert types_of(event.TYPE_PREFIX + event.ALERT_RAISED) == (event.ALERT_RAISED,)
    assert types_of("vehicle.tri") == ()
    assert types_of("") == ()
