"""Timers: silence, our own outages, what is forgotten; always at the crossing of a second, in the order of slots."""

from fleetpulse.codecs.schema import MISSING_E7
from fleetpulse.state.facts import Cause, Condition, Fact
from fleetpulse.state.parameters import Parameters, Rules
from tests.state.logs import MODELS, START_MS, TOWN
from tests.state.story import Story, cleared, names, raised

RAISED, CLEARED, OFFLINE, MISSING = Fact.RAISED, Fact.CLEARED, Condition.OFFLINE, Condition.MISSING
PARAMETERS = Parameters(
    rules=Rules(offline_s=20, offline_longest_s=20, online_dwell_s=0, missing_s=40, evict_s=90, silence_jump_s=5),
    models=MODELS,
    cities=(None, TOWN),
    interval_ms=60_000,
)


def test_silence_is_raised_at_its_deadline_and_cleared_by_the_next_frame() -> None:
    result = Story().frame(0.3).ticks(1, 45).frame(46).result(PARAMETERS)
    assert names(result) == [(raised(OFFLINE), 20.3), (raised(MISSING), 40.3), (cleared(MISSING), 46), (cleared(OFFLINE), 46)]
    begin, end = result.facts[0], result.facts[3]
    assert (begin["cause"], begin["cause_ms"], begin["row"], begin["append_ms"]) == (Cause.DEADLINE, START_MS + 20_300, 0, 0)
    assert (begin["stream_ms"], begin["first_offset"]) == (START_MS + 21_000, 0)
    assert (end["value"][0], end["value"][1]) == (45.7, 20)


def test_any_frame_that_is_no_duplicate_counts_as_heard() -> None:
    """Late ones and those with a clock that is off too; a duplicate may come from a bridge that sends again."""
    for story in (
        Story().frame(0).ticks(1, 15).frame(-200, append_s=16),
        Story().frame(0).ticks(1, 15).frame(-200_000, append_s=16),
        Story().frame(0).ticks(1, 15).frame(5000, append_s=16),
    ):
        assert names(story.ticks(17, 35).result(PARAMETERS)) == []
    assert names(Story().frame(0).ticks(1, 15).frame(0, append_s=16, seq=0).ticks(17, 35).result(PARAMETERS)) == [(raised(OFFLINE), 20)]


def test_an_outage_of_ours_raises_no_alarm() -> None:
    """
    stream    0 ... 10 | outage of an hour | 3610 ... 3620
    vehicle   x                                       20 s of silence with us listening: offline
    """
    story = Story().frame(0).ticks(1, 10).tick(3610)
    assert names(story.result(PARAMETERS)) == []
    assert names(story.ticks(3611, 3621).result(PARAMETERS)) == [(raised(OFFLINE), 3620)]


def test_a_jump_below_the_limit_is_silence_of_the_vehicles() -> None:
    story = Story().frame(0)
    for second in range(5, 26, 5):
        story.tick(second)
    assert names(story.result(PARAMETERS)) == [(raised(OFFLINE), 20)]


def test_timers_run_before_the_record_that_crosses_the_second_and_in_the_order_of_slots() -> None:
    story = Story().frame(0.5, who=2).frame(0.2, who=1).frame(0.1, who=3, append_s=0.5).ticks(1, 20)
    result = story.frame(21, who=3).result(PARAMETERS)
    assert result.facts["device_lo"].tolist() == [2, 1, 3, 3]
    assert names(result) == [(raised(OFFLINE), 20.5), (raised(OFFLINE), 20.5), (raised(OFFLINE), 20.5), (cleared(OFFLINE), 21)]


def test_a_vehicle_that_is_not_heard_of_for_long_is_forgotten_and_its_slot_taken_by_the_next() -> None:
    story = Story().frame(0, who=1).frame(0, who=2, seq=5).ticks(1, 50).frame(51, who=1).ticks(52, 100)
    result = story.result(PARAMETERS)
    evicted = result.facts[result.facts["fact"] == Fact.EVICTED]
    assert [(f["device_lo"], f["slot"], f["event_ms"]) for f in evicted] == [(2, 1, START_MS + 90_000)]
    shard = story.shard(PARAMETERS)
    assert (shard.vehicles, shard.counters["vehicles"], shard.counters["evicted"], shard.counters["missing"]) == (2, 1, 1, 5)
    shard = story.frame(101, who=9).frame(101, who=2).shard(PARAMETERS)
    assert shard.records["device_lo"].tolist() == [1, 9, 2]
    assert shard.counters["vehicles"] == 3
    assert shard.records["latitude_e7"].tolist() == [MISSING_E7] * 3


def test_the_id_of_zeros_is_an_id_like_any_other_and_not_that_of_a_freed_slot() -> None:
    story = Story().frame(0, who=1).ticks(1, 95).frame(96, who=0).frame(97, who=0)
    shard = story.shard(PARAMETERS)
    assert (shard.vehicles, shard.counters["vehicles"], shard.counters["duplicate"]) == (1, 1, 0)
    assert shard.records["received"].tolist() == [2]


def test_a_forgotten_vehicle_gives_back_all_its_blocks() -> None:
    """A gap, a running dwell, a trip, a window before: when it is gone, none is taken."""
    story = Story().frame(58, seq=3, battery_soc_pct=3, status=4).frame(60, seq=9, battery_soc_pct=3, status=4)
    shard = story.shard(PARAMETERS)
    assert shard.blocks == {"gaps": 1, "dwells": 1, "trips": 1, "before": 1}
    shard = story.ticks(61, 200).shard(PARAMETERS)
    assert shard.blocks == {"gaps": 0, "dwells": 0, "trips": 0, "before": 0}


def test_boundaries_come_after_the_timers_and_before_the_record_that_crosses() -> None:
    story = Story().frame(30).ticks(31, 59).frame(61, who=2)
    result = story.result(PARAMETERS)
    assert names(result) == [(raised(OFFLINE), 50)]
    assert result.boundaries == [(START_MS + 60_000, 1)]
    story.tick(250)
    assert story.result(PARAMETERS).boundaries == [(START_MS + 60_000, 1), (START_MS + 240_000, 1)]
