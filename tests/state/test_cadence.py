"""Offline by a vehicle's own cadence: no flapping, within bounds, hastened by the broker's word; back when it is heard for a while."""

from dataclasses import replace

from fleetpulse.codecs.operations import Operation
from fleetpulse.codecs.schema import Status
from fleetpulse.state.facts import Condition
from fleetpulse.state.parameters import Parameters, Rules
from tests.state.logs import MODELS, START_MS, TOWN
from tests.state.story import Story, cleared, names, raised

OFFLINE = Condition.OFFLINE
PARAMETERS = Parameters(rules=Rules(), models=MODELS, cities=(None, TOWN), interval_ms=3_600_000)
"""Offline after 600 s at least, 7200 s at most, four of the vehicle's gaps between; 300 s when disconnected; back after 10 s."""


def told(story: Story, parameters: Parameters = PARAMETERS) -> list[tuple[str, float]]:
    return [one for one in names(story.result(parameters)) if "trip" not in one[0]]


def heard(story: Story, first_s: int, last_s: int, *, every_s: int, status: int = Status.LOCKED) -> Story:
    """A frame every every_s, a tick every second; both ends included."""
    for second in range(first_s, last_s + 1):
        if (second - first_s) % every_s:
            story.tick(second)
        else:
            story.frame(second, status=status)
    return story


def test_a_vehicle_that_reports_every_150_s_never_flaps() -> None:
    assert told(heard(Story(), 0, 6000, every_s=150)) == []


def test_one_that_reports_every_15_min_is_offline_once_then_its_habit_is_known() -> None:
    """Half of the gap of 900 s is learned at once, four times that are 1800 s; in the end 2 x 900 s and more."""
    story = heard(Story(), 0, 9000, every_s=900)
    assert told(story) == [(raised(OFFLINE), 600), (cleared(OFFLINE), 1800)]
    assert 700 < story.shard(PARAMETERS).records["cadence_s"][0][0] < 900
    story.ticks(9001, 9000 + 3600)
    (offline,) = told(story)[2:]
    assert offline[0] == raised(OFFLINE)
    assert 9000 + 4 * 700 < offline[1] < 9000 + 4 * 900


def test_one_that_reports_every_second_is_offline_after_10_min_of_silence_and_not_before() -> None:
    story = heard(Story(), 0, 500, every_s=1).ticks(501, 1200)
    assert told(story) == [(raised(OFFLINE), 1100)]
    assert story.result(PARAMETERS).facts[0]["stream_ms"] == START_MS + 1_100_000


def test_nothing_makes_the_limit_longer_than_the_longest() -> None:
    story = heard(Story(), 0, 40_000, every_s=4000).ticks(40_001, 48_000)
    assert told(story)[-1] == (raised(OFFLINE), 40_000 + 7200)


def test_riding_and_parked_are_habits_of_their_own() -> None:
    """It reports every 15 min parked; on the ride that follows it is offline after 10 min."""
    story = heard(Story(), 0, 9000, every_s=900)
    heard(story, 9001, 9100, every_s=1, status=Status.IN_USE).ticks(9101, 9800)
    assert told(story)[2:] == [(raised(OFFLINE), 9100 + 600)]


def test_a_gap_of_the_radio_is_no_habit() -> None:
    """It was out of radio contact for 500 s and sent what it had measured in between."""
    story = heard(Story(), 0, 100, every_s=1).ticks(101, 599)
    for second in range(101, 600):
        story.frame(second, append_s=600, status=Status.LOCKED | Status.BACKLOG)
    story.ticks(601, 1300)
    assert told(story) == [(raised(OFFLINE), 1200)]


def test_a_vehicle_that_is_heard_for_a_moment_is_not_back() -> None:
    story = heard(Story(), 0, 100, every_s=10).ticks(101, 899).frame(900).frame(905).ticks(906, 2999).frame(3000).ticks(3001, 3009)
    assert told(story) == [(raised(OFFLINE), 700)]
    story.frame(3010)
    assert told(story)[1:] == [(cleared(OFFLINE), 3010)]
    back = story.result(PARAMETERS).facts[-1]
    assert (back["value"][0], back["first_offset"], back["last_offset"]) == (2095, len(story.rows) - 11, len(story.rows) - 1)


def test_who_was_disconnected_is_offline_sooner_unless_it_is_heard_or_connected_again() -> None:
    def after(*more: str) -> list[tuple[str, float]]:
        story = heard(Story(), 0, 100, every_s=1).ticks(101, 109).operation(110, Operation.DISCONNECTED)
        if "heard" in more:
            story.frame(111)
        if "connected" in more:
            story.operation(111, Operation.CONNECTED)
        return [one for one in told(story.ticks(112, 750)) if one[0] != "operation"]

    assert after() == [(raised(OFFLINE), 400)]
    assert after("heard") == [(raised(OFFLINE), 711)]
    assert after("connected") == [(raised(OFFLINE), 700)]


def test_a_word_of_the_broker_that_comes_late_counts_at_once() -> None:
    story = heard(Story(), 0, 100, every_s=1).ticks(101, 499).operation(500, Operation.DISCONNECTED).ticks(501, 510)
    assert told(story)[1:] == [(raised(OFFLINE), 400)]
    assert story.result(PARAMETERS).facts[-1]["stream_ms"] == START_MS + 501_000


def test_the_limit_is_within_its_bounds_whatever_they_are() -> None:
    short = replace(PARAMETERS, rules=replace(PARAMETERS.rules, offline_s=60, offline_longest_s=30))
    assert told(heard(Story(), 0, 10, every_s=1).ticks(11, 100), short) == [(raised(OFFLINE), 70)]
