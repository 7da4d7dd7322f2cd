"""The alert of a silent vehicle: reopened, snoozed, hidden by the outage of its area, told again."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fleetpulse.alerts import event
from fleetpulse.alerts.event import Event
from fleetpulse.alerts.notes import Kind
from fleetpulse.alerts.silences import SLICE_MS, SilenceParameters, Silences
from tests.alerts.test_silences import FAR, HOME, START_MS, City, kinds, name
from tests.support import events

PARAMETERS = SilenceParameters(vehicles=3, escalate_s=600, reopen_s=300)


class Life(City):
    """A city whose alerts can be reopened."""

    def __init__(self) -> None:
        super().__init__()
        self.silences = Silences("berlin", PARAMETERS)

    def tell(self, kind: Kind, number: int, *, cell: int = HOME, until_s: int = 0, silent_s: int = 600) -> None:
        """until_s: seconds from START_MS at which a snooze ends, which ada asked for."""
        self.note(kind, number, cell=cell, silent_s=silent_s)
        self.told[-1] = replace(
            self.told[-1], until_ms=START_MS + 1000 * until_s if until_s else 0, by="ada" if until_s else self.told[-1].by
        )

    def go(self, slices: int = 1) -> list[Event]:
        made: list[Event] = []
        for _ in range(slices):
            self.now_s += SLICE_MS // 1000
            made += self.silences.decide(START_MS + 1000 * self.now_s, self.told)
            self.told = []
            fresh = Silences("berlin", PARAMETERS)
            fresh.restore(self.silences.state())
            assert fresh == self.silences
            self.silences = fresh
        for e in made:
            events.validate(event.encode(e, deployment="test"))
        self.events += made
        assert len({e.id for e in self.events}) == len(self.events)
        return made


def test_who_falls_silent_again_soon_after_opens_its_alert_again() -> None:
    city = Life()
    city.tell("offline", 1)
    (raised,) = city.go(4)
    city.tell("heard", 1)
    assert kinds(city.go()) == [("cleared", "offline")]
    city.go(20)
    city.tell("offline", 1)
    (again,) = city.go(4)
    assert (again.type, again.data["alert_id"], again.data["raised_ms"], again.data["reopened"]) == (
        event.ALERT_REOPENED,
        raised.id,
        START_MS,
        1,
    )
    assert kinds(city.go(60)) == [("escalated", "offline")]
    city.tell("heard", 1)
    assert city.go()[0].data["reopened"] == 1
    city.go(31)
    city.tell("offline", 1)
    (fresh,) = city.go(4)
    assert (fresh.type, "reopened" in fresh.data) == (event.ALERT_RAISED, False)
    city.tell("gone", 1)
    city.go(40)
    assert city.silences.rested == {}


def test_a_snoozed_alert_is_suppressed_until_its_end_and_then_told_again() -> None:
    city = Life()
    city.tell("offline", 1)
    city.go(4)
    city.tell("snoozed", 1, until_s=1095)
    (suppressed,) = city.go()
    assert (suppressed.type, suppressed.data["suppressed_by"], suppressed.data["by"]) == (event.ALERT_SUPPRESSED, ["snooze"], "ada")
    assert suppressed.data["until_ms"] == START_MS + 1_095_000
    assert city.go(104) == []
    (resumed,) = city.go()
    assert (resumed.type, resumed.cause) == (event.ALERT_RESUMED, f"deadline.{START_MS + 1_095_000}")
    assert city.go(59) == []
    assert kinds(city.go()) == [("escalated", "offline")]


def test_a_vehicle_that_falls_silent_while_snoozed_is_an_alert_at_the_end_of_it() -> None:
    city = Life()
    city.tell("offline", 1, until_s=500)
    assert city.go(49) == []
    assert kinds(city.go()) == [("raised", "offline")]


def test_a_snooze_can_be_ended_and_that_it_is_missing_ends_it() -> None:
    city = Life()
    for number, cell in ((1, FAR[0]), (2, FAR[7])):
        city.tell("offline", number, cell=cell)
    city.go(4)
    for number in (1, 2):
        city.tell("snoozed", number, until_s=5000)
    city.go()
    city.tell("snoozed", 1, until_s=1)
    city.tell("missing", 2)
    assert [(e.type.split(".")[2], e.subject) for e in city.go()] == [("resumed", name(1)), ("escalated", name(2)), ("resumed", name(2))]


def test_what_is_cleared_while_it_is_suppressed_is_told() -> None:
    city = Life()
    city.tell("offline", 1)
    city.go(4)
    city.tell("snoozed", 1, until_s=5000)
    city.go()
    city.tell("heard", 1)
    assert kinds(city.go()) == [("cleared", "offline")]
    assert city.go(600) == []


def test_the_outage_of_an_area_hides_the_alerts_that_it_explains() -> None:
    city = Life()
    city.tell("offline", 1)
    (alone,) = city.go(4)
    for number in (2, 3):
        city.tell("offline", number, silent_s=640)
    made = city.go(4)
    assert kinds(made) == [("raised", "area_outage"), ("suppressed", "offline")]
    assert made[0].data["vehicles"] == 3
    assert (made[1].data["alert_id"], made[1].data["suppressed_by"]) == (alone.id, ["area_outage"])
    assert city.go(100) == [], "nor does it escalate"
    city.tell("heard", 2)
    assert kinds(city.go()) == [("cleared", "area_outage"), ("resumed", "offline")]
    assert kinds(city.go(60)) == [("raised", "offline"), ("escalated", "offline")]


STEP = st.tuples(
    st.sampled_from(("offline", "missing", "heard", "gone", "acknowledged", "snoozed")),
    st.integers(1, 5),
    st.integers(0, 6),
    st.integers(0, 90),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(STEP, max_size=30))
def test_any_story_opens_and_closes_each_alert_in_turn(steps: list[tuple[Kind, int, int, int]]) -> None:
    """As shards can tell it: heard only of the silent. go() restores a snapshot after each slice, and checks ids and schemas."""
    city, silent = Life(), set[int]()
    for kind, number, wait, ahead_s in steps:
        if (kind == "offline") != (number not in silent):
            continue
        silent = silent | {number} if kind in ("offline", "missing", "acknowledged", "snoozed") else silent - {number}
        city.tell(kind, number, until_s=city.now_s + ahead_s if kind in ("offline", "snoozed") else 0)
        city.go(wait)
    city.go(100)
    is_open: dict[str, bool] = {}
    suppressed: set[str] = set()
    for e in city.events:
        id_ = e.data["alert_id"]
        assert is_open.get(id_) is (None if e.type == event.ALERT_RAISED else e.type != event.ALERT_REOPENED), e.type
        is_open[id_] = e.type != event.ALERT_CLEARED
        assert (e.type == event.ALERT_RESUMED) <= (id_ in suppressed)
        if e.type == event.ALERT_SUPPRESSED:
            suppressed.add(id_)
        elif e.type in (event.ALERT_RESUMED, event.ALERT_CLEARED):
            suppressed.discard(id_)
    shown = {s.alert_id for s in city.silences.silent.values() if s.alert_id} | city.silences.outages.keys()
    assert {id_ for id_, open_ in is_open.items() if open_} == shown
