"""Silent vehicles of a city: one alert for one vehicle, one for an area, none for who is back in time; the whole life of each."""

from typing import Any
from uuid import UUID

import h3.api.basic_int as h3

from fleetpulse.alerts import areas, event
from fleetpulse.alerts.event import Event
from fleetpulse.alerts.notes import Kind, Note
from fleetpulse.alerts.silences import NAMED, SLICE_MS, SilenceParameters, Silences
from tests.support import events

START_MS = 1_700_000_000_000
PARAMETERS = SilenceParameters(vehicles=5, escalate_s=1800)
HOME = h3.latlng_to_cell(52.52, 13.405, 8)
NEAR = sorted(h3.grid_ring(HOME, 1))
FAR = sorted(h3.grid_ring(HOME, 6))


def name(number: int) -> str:
    return str(UUID(int=number))


class City:
    """Slices of ten seconds, one after the other; every event is validated. Times in seconds from START_MS."""

    def __init__(self, city: str = "berlin") -> None:
        self.silences = Silences(city, PARAMETERS)
        self.now_s = 0
        self.told: list[Note] = []
        self.events: list[Event] = []

    def note(self, kind: Kind, number: int, *, cell: int = HOME, silent_s: int = 600, alert_id: str = "", at_s: int | None = None) -> None:
        """Something that is told in the present slice; silent_s: for how long it has been silent."""
        at_ms = START_MS + 1000 * (self.now_s if at_s is None else at_s)
        common: dict[str, Any] = {"device_id": name(number), **({"city": self.silences.city} if self.silences.city else {})}
        if cell:
            common["latitude_deg"], common["longitude_deg"] = (round(x, 7) for x in h3.cell_to_latlng(cell))
        self.told.append(
            Note(
                kind=kind,
                city=1,
                device=name(number),
                stream_ms=at_ms + 500,
                time_ms=at_ms,
                cause=f"deadline.{at_ms}",
                since_ms=at_ms - 1000 * silent_s,
                severity="critical" if kind == "missing" else "warning",
                reason=f"It is {kind}.",
                common=common,
                evidence={"rule": "offline", "version": "1", "values": {"silent_s": float(silent_s)}},
                alert_id=alert_id,
                by="ada" if kind == "acknowledged" else "",
            )
        )

    def go(self, slices: int = 1) -> list[Event]:
        """Let slices end; what they led to. From one to the next through a snapshot."""
        made: list[Event] = []
        for _ in range(slices):
            self.now_s += SLICE_MS // 1000
            made += self.silences.decide(START_MS + 1000 * self.now_s, self.told)
            self.told = []
            fresh = Silences(self.silences.city, PARAMETERS)
            fresh.restore(self.silences.state())
            assert fresh == self.silences
            self.silences = fresh
        for e in made:
            events.validate(event.encode(e, deployment="test"))
        self.events += made
        assert len({e.id for e in self.events}) == len(self.events)
        return made


def kinds(made: list[Event]) -> list[tuple[str, str]]:
    return [(e.type.split(".")[2], e.rule) for e in made]


def test_a_silent_vehicle_is_an_alert_after_it_waited_for_others_and_is_cleared_when_heard() -> None:
    city = City()
    city.note("offline", 1)
    assert city.go(3) == []
    (raised,) = city.go()
    assert (raised.type, raised.subject, raised.time_ms) == (event.ALERT_RAISED, name(1), START_MS)
    assert raised.data["alert_id"] == raised.id == event.event_id(event.ALERT_RAISED, name(1), "offline", f"deadline.{START_MS}")
    city.note("heard", 1)
    (cleared,) = city.go()
    assert (cleared.type, cleared.data["alert_id"], cleared.data["raised_ms"]) == (event.ALERT_CLEARED, raised.id, START_MS)
    assert city.go(500) == []
    assert city.silences.silent == {}


def test_who_is_back_before_the_wait_is_over_is_no_alert() -> None:
    city = City()
    for _ in range(20):
        city.note("offline", 1)
        assert city.go(2) == []
        city.note("heard", 1)
        assert city.go(2) == []


def test_who_has_company_waits_for_more() -> None:
    """Every minute another falls silent: only the first is told alone, and the fifth makes it an outage. Two are told in the end."""
    city = City()
    made: list[Event] = []
    for number in range(1, 6):
        city.note("offline", number, cell=(HOME, NEAR[0])[number % 2])
        made += city.go(6)
    assert [(e.type, e.rule, e.data.get("vehicles")) for e in made] == [
        (event.ALERT_RAISED, "offline", None),
        (event.ALERT_RAISED, "area_outage", 5),
        (event.ALERT_SUPPRESSED, "offline", None),
    ]
    city = City()
    city.note("offline", 1)
    city.note("offline", 2, cell=NEAR[0])
    city.note("offline", 3, cell=FAR[0])
    assert [e.subject for e in city.go(29)] == [name(3)]
    assert sorted(e.subject for e in city.go(2)) == [name(1), name(2)]


def test_who_falls_silent_with_an_outage_two_cells_away_is_part_of_it() -> None:
    city = City()
    for number in range(1, 6):
        city.note("offline", number)
    assert kinds(city.go(4)) == [("raised", "area_outage")]
    city.note("offline", 6, cell=sorted(h3.grid_ring(HOME, 2))[0], silent_s=800)
    city.note("offline", 7, cell=sorted(h3.grid_ring(HOME, 5))[0], silent_s=800)
    (alone,) = city.go(40)
    assert (alone.rule, alone.subject) == ("offline", name(7))


def test_missing_makes_the_alert_critical_whether_it_is_raised_yet_or_not() -> None:
    city = City()
    city.note("offline", 1)
    city.note("offline", 2, cell=FAR[0])
    city.go(2)
    city.note("missing", 2, cell=FAR[0])
    assert [(e.type, e.data["severity"]) for e in city.go(2)] == [(event.ALERT_RAISED, "warning"), (event.ALERT_RAISED, "critical")]
    city.note("missing", 1)
    (escalated,) = city.go()
    assert (escalated.type, escalated.data["severity"], escalated.data["reason"]) == (event.ALERT_ESCALATED, "critical", "It is missing.")


def test_an_alert_that_nobody_acknowledges_escalates_once_and_an_acknowledged_one_does_not() -> None:
    city = City()
    city.note("offline", 1)
    city.note("offline", 2, cell=FAR[0])
    first, _ = city.go(4)
    city.note("acknowledged", 1, alert_id=first.data["alert_id"])
    city.note("acknowledged", 2, cell=FAR[0], alert_id=first.data["alert_id"])
    city.note("acknowledged", 3)
    (taken,) = city.go()
    assert (taken.type, taken.subject, taken.data["by"]) == (event.ALERT_ACKNOWLEDGED, name(1), "ada")
    (escalated,) = city.go(400)
    assert (escalated.type, escalated.subject, escalated.data["severity"]) == (event.ALERT_ESCALATED, name(2), "critical")
    assert escalated.data["reason"] == "Nobody acknowledged it for 30 min. It is offline."
    assert escalated.cause == f"deadline.{START_MS + 1_840_000}"


def outage(city: City, vehicles: int = 8) -> Event:
    """As many fall silent in HOME and around it within 40 s, their deadlines come in three slices."""
    for i in range(vehicles):
        city.note("offline", 10 + i, cell=[HOME, *NEAR][i % 7], at_s=city.now_s + i % 3)
        if i % 3 == 2:
            city.go()
    raised = city.go(4 - vehicles // 3 % 4)
    (made,) = [e for e in city.events if e.rule == "area_outage"]
    assert raised[-1:] in ([], [made])
    return made


def test_an_area_that_falls_silent_is_one_alert() -> None:
    city = City()
    raised = outage(city)
    assert kinds(city.events) == [("raised", "area_outage")]
    data = raised.data
    assert (raised.subject, data["zone"], data["city"], data["severity"]) == (f"{HOME:x}", f"{HOME:x}", "berlin", "critical")
    assert data["alert_id"] == raised.id
    assert (data["vehicles"], data["devices"]) == (8, [name(10 + i) for i in range(8)])
    assert data["zones"] == sorted(f"{cell:x}" for cell in (HOME, *NEAR))
    assert city.go(400) == [], "neither its vehicles nor itself are told again"


def test_who_is_silent_elsewhere_or_since_another_time_is_an_alert_of_its_own() -> None:
    city = City()
    outage(city)
    city.note("offline", 1, cell=FAR[0])
    city.note("offline", 2, silent_s=5000)
    city.note("offline", 3, cell=0)
    assert [(e.subject, e.rule) for e in city.go(4)] == [(name(n), "offline") for n in (1, 2, 3)]


def test_who_fell_silent_with_an_area_joins_it_whenever_its_deadline_comes() -> None:
    """A vehicle that reports seldom has a deadline 20 min later."""
    city = City()
    outage(city)
    city.go(120)
    city.note("offline", 1, cell=NEAR[0], silent_s=1900)
    assert city.go(10) == []
    assert len(city.silences.outages) == 1
    assert {s.outage for s in city.silences.silent.values()} == set(city.silences.outages)


def test_an_outage_ends_when_too_few_are_silent_and_the_rest_are_alerts_of_their_own() -> None:
    city = City()
    raised = outage(city)
    city.note("acknowledged", 12, alert_id=raised.id)
    assert kinds(city.go()) == [("acknowledged", "area_outage")]
    for n in (10, 11, 12):
        city.note("heard", n)
    assert city.go() == []
    city.note("heard", 13)
    (cleared,) = city.go()
    assert (cleared.type, cleared.rule, cleared.data["alert_id"], cleared.data["vehicles"]) == (
        event.ALERT_CLEARED,
        "area_outage",
        raised.id,
        4,
    )
    assert city.go(2) == []
    assert [(e.subject, e.rule) for e in city.go(2)] == [(name(n), "offline") for n in (14, 15, 16, 17)]
    assert city.silences.outages == {}


def test_a_large_outage_names_only_the_first() -> None:
    city = City()
    for i in range(3 * NAMED):
        city.note("offline", 10 + i, cell=sorted(h3.grid_disk(HOME, 5))[i % 91])
    (raised,) = city.go(4)
    assert (raised.data["vehicles"], len(raised.data["devices"]), len(raised.data["zones"])) == (150, NAMED, NAMED)


def test_vehicles_of_no_city_are_alerts_each() -> None:
    city = City("")
    for n in range(6):
        city.note("offline", n + 1)
    assert kinds(city.go(4)) == [("raised", "offline")] * 6


def test_who_is_given_up_or_forgotten_is_cleared_and_who_comes_again_is_news() -> None:
    city = City()
    city.note("offline", 1)
    city.go(4)
    city.note("gone", 1)
    assert kinds(city.go()) == [("cleared", "offline")]
    city.note("heard", 1)
    city.note("offline", 1)
    assert kinds(city.go(4)) == [("raised", "offline")]


def test_groups_hang_together_by_neighbourhood_and_time() -> None:
    points = sorted(
        [(HOME, 0, "a"), (NEAR[0], 50, "b"), (HOME, 90, "c"), (FAR[0], 0, "d"), (HOME, 500, "e"), (NEAR[3], 440, "f"), (NEAR[3], 5000, "g")]
    )
    assert areas.groups(points, together_ms=100) == [["a", "b", "c"], ["d"], ["e", "f"], ["g"]]
    assert areas.groups([], together_ms=100) == []
