"""Each reading endpoint over real Kafka and real HTTP, on one fleet that the module shares; answers against the OpenAPI document."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pytest
from fastapi.openapi.models import OpenAPI
from jsonschema import Draft202012Validator
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

from fleetpulse.alerts import event
from fleetpulse.alerts.event import Event
from fleetpulse.alerts.states import STATE_NAMES
from fleetpulse.config.settings import Settings
from tests.gateway.egress.support import (
    FLEET,
    NOW_MS,
    Running,
    alert,
    availability,
    device,
    encoded,
    fleet_rows,
    follow_up,
    gateway,
    maintenance,
    problem,
    publish,
    recommendation,
    state_records,
    zone_alert,
    zone_records,
)

VEHICLES, SHARDS = 3_000, 4
ZONE = "881f1d4887fffff"
FAR_MS = 4_000_000_000_000
ROWS = fleet_rows(VEHICLES, shards=SHARDS)
OFF = 1_000


def _prepare() -> NDArray[Any]:
    """All rows, after one vehicle was made a clear case."""
    for mine in ROWS:
        here = (mine["device_hi"] == device(OFF).int >> 64) & (mine["device_lo"] == device(OFF).int & (1 << 64) - 1)
        mine["vehicle_state"][here] = STATE_NAMES.index("non_operational")
        mine["event_type"][here] = 11  # battery_low
        mine["alerts"][here] = 1
        mine["fault_bits"][here] = 1 << 63 | 1
        mine["sensors"][here] = 0b1010
        mine["latitude_deg"][here] = np.nan
    return np.concatenate(ROWS)


ALL = _prepare()
RAISED = [
    alert(device(OFF), "low_battery", ms=NOW_MS - 600_000),
    alert(device(2), "crash", severity="critical", cause="2.2"),
    alert(device(3), "battery_drain", city="paris", cause="3.3"),
    zone_alert(ZONE),
]
EVENTS: list[Event] = [
    *RAISED,
    follow_up(RAISED[2], event.ALERT_ACKNOWLEDGED, ms=NOW_MS + 5, by="Anna"),
    availability(device(OFF), "non_operational", "battery_low", ms=NOW_MS - 600_000),
    maintenance(device(OFF), "battery", reason="Battery is weak."),
    maintenance(device(4), "tyre", severity="critical"),
    recommendation(ZONE, expires_ms=FAR_MS),
    recommendation("881f1d4881fffff", kind="swap", priority=1, expires_ms=FAR_MS),
    *(availability(device(10 + i), "on_trip", "trip_start", ms=NOW_MS + i, cause=f"9.{i}") for i in range(300)),
]


@pytest.fixture(scope="module")
def running(shared_deployment: Settings) -> Iterator[Running]:
    records = encoded(EVENTS)
    publish(
        shared_deployment,
        [
            *state_records(ROWS),
            *zone_records("berlin", [(int(ZONE, 16), 0, 3, 1, 0), (int(ZONE, 16), 255, 0, 1, 2)], shards=SHARDS, end_ms=NOW_MS),
            *records,
            *records[:50],  # redelivered
        ],
    )
    with gateway(shared_deployment) as made:
        yield made


def test_vehicles_are_filtered(running: Running) -> None:
    berlin = FLEET.city_names.index("berlin")
    cases: list[tuple[dict[str, Any], NDArray[np.bool_]]] = [
        ({}, np.ones(VEHICLES, dtype=bool)),
        ({"city": "berlin"}, ALL["city"] == berlin),
        ({"city": ["berlin", "paris"]}, ALL["city"] >= 1),
        ({"vehicle_model": "car", "vehicle_state": ["available", "reserved"]}, (ALL["vehicle_model"] == 3) & (ALL["vehicle_state"] <= 1)),
        ({"min_soc": 20, "max_soc": 30}, (ALL["battery_soc_pct"] >= 20) & (ALL["battery_soc_pct"] <= 30)),
        ({"service": True, "city": "berlin"}, (ALL["service"] == 1) & (ALL["city"] == berlin)),
        (
            {"bbox": "13.38,52.5,13.42,52.54"},
            (ALL["longitude_deg"] >= 13.38)
            & (ALL["longitude_deg"] <= 13.42)
            & (ALL["latitude_deg"] >= 52.5)
            & (ALL["latitude_deg"] <= 52.54),
        ),
    ]
    for params, mask in cases:
        answer = running.get("/v1/vehicles", limit=1000, **params)
        assert answer["total"] == int(mask.sum()), params
        assert len(answer["vehicles"]) == min(1000, answer["total"])


def test_vehicles_with_an_open_alert_are_found(running: Running) -> None:
    found = {
        rule: [v["device_id"] for v in running.get("/v1/vehicles", alert=rule)["vehicles"]] for rule in ("any", "crash", "battery_drain")
    }
    assert set(found["any"]) == {str(device(i)) for i in (OFF, 2, 3)}
    assert found["crash"] == [str(device(2))]
    assert found["battery_drain"] == [str(device(3))]
    assert running.get("/v1/vehicles", alert="tipped")["total"] == 0


def test_paging_gives_every_vehicle_exactly_once(running: Running) -> None:
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = running.get("/v1/vehicles", limit=271, city="paris", **cursor)
        seen += [v["device_id"] for v in answer["vehicles"]]
        if answer["next_cursor"] is None:
            break
        cursor = {"cursor": answer["next_cursor"]}
    assert len(seen) == len(set(seen)) == answer["total"] == int((ALL["city"] == FLEET.city_names.index("paris")).sum())


def test_a_vehicle_is_shown_by_names_and_without_what_was_never_measured(running: Running) -> None:
    shown = running.get(f"/v1/vehicles/{device(OFF)}")
    assert shown["device_id"] == str(device(OFF))
    assert shown["vehicle_state"] == "non_operational"
    assert shown["event_type"] == "battery_low"
    assert shown["status"] == ["locked", "gnss_fix"]
    assert shown["alerts"] == ["low_battery"]
    assert shown["fault_bits"] == [0, 63]
    assert shown["sensors"] == ["position_stuck", "charge_frozen"]
    assert shown["service"] is False
    assert shown["firmware_version"] == "1.2.3"
    assert not shown.keys() & {"latitude_deg", "altitude_m", "heading_deg", "trip_id", "device_hi"}
    assert running.get(f"/v1/vehicles/{device(3)}")["alerts"] == ["battery_drain"], "alerts of models come from their events"


def test_an_unknown_vehicle_is_404_and_no_uuid_422(running: Running) -> None:
    stranger = uuid4()
    for path in ("", "/events", "/why"):
        assert running.refused(f"/v1/vehicles/{stranger}{path}", 404) == f"there is no vehicle {stranger}"
        assert "device_id" in running.refused(f"/v1/vehicles/17{path}", 422)


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"bbox": "1,2,3"}, "west,south,east,north"),
        ({"bbox": "a,b,c,d"}, "west,south,east,north"),
        ({"bbox": "14,52,13,53"}, "west <= east"),
        ({"bbox": "13,nan,14,53"}, "west <= east"),
        ({"bbox": "13,52,14,95"}, "within -90..90"),
        ({"city": "atlantis"}, "one of berlin, paris; got 'atlantis'"),
        ({"vehicle_model": "boat"}, "one of scooter, ebike, car, van; got 'boat'"),
        ({"vehicle_state": "lost"}, "'available'"),
        ({"min_soc": 101}, "less than or equal to 100; got '101'"),
        ({"limit": 0}, "greater than or equal to 1; got '0'"),
        ({"cursor": "x"}, "must be one that this service gave; got 'x'"),
    ],
)
def test_a_wrong_parameter_is_422_with_what_must_hold_and_what_was_got(running: Running, params: dict[str, Any], says: str) -> None:
    assert says in running.refused("/v1/vehicles", 422, **params)


def test_why_names_state_event_alerts_and_maintenance(running: Running) -> None:
    why = running.get(f"/v1/vehicles/{device(OFF)}/why")
    assert why["available"] is False
    assert (why["vehicle_state"], why["event_type"], why["since_ms"]) == ("non_operational", "battery_low", NOW_MS - 600_000)
    assert why["reason"] == "It is out of service: its battery is too low to rent; battery is weak; reason of low_battery."
    assert why["event"]["data"]["evidence"]["rule"] == "battery_low"
    assert [a["rule"] for a in why["alerts"]] == ["low_battery"]
    assert [m["component"] for m in why["maintenance"]] == ["battery"]
    assert {e["type"].removeprefix(event.TYPE_PREFIX) for e in why["recent"]} == {
        event.AVAILABILITY_CHANGED,
        event.ALERT_RAISED,
        event.MAINTENANCE_REQUIRED,
    }


def test_why_takes_the_event_when_it_is_newer_than_the_state(running: Running) -> None:
    why = running.get(f"/v1/vehicles/{device(10)}/why")
    assert (why["vehicle_state"], why["event_type"], why["since_ms"]) == ("on_trip", "trip_start", NOW_MS)
    assert why["event"]["data"]["vehicle_state"] == "on_trip"


def test_events_by_cursor_give_each_once_in_an_order_that_stays(running: Running) -> None:
    seen, cursor = [], "start"
    while True:
        page = running.get("/v1/events", cursor=cursor, limit=37)
        seen += [e["id"] for e in page["events"]]
        cursor = page["next_cursor"]
        if not page["more"]:
            break
    assert len(seen) == len(EVENTS)
    assert set(seen) == {made.id for made in EVENTS}
    assert running.get("/v1/events", cursor=cursor) == {"events": [], "next_cursor": cursor, "more": False, "lost": 0}
    again = running.get("/v1/events", cursor="start", limit=1000)["events"]
    assert [e["id"] for e in again] == seen
    times = [e["time"] for e in again]
    assert times == sorted(times), "what was read at the start is in order of time"


def test_events_are_filtered_and_the_last_come_without_a_cursor(running: Running) -> None:
    last = running.get("/v1/events", limit=5)
    assert [e["data"]["device_id"] for e in last["events"]] == [str(device(10 + i)) for i in range(295, 300)]
    assert last["more"] is False
    kinds = {(e["type"].split(".fleet.")[1]) for e in running.get("/v1/events", type="vehicle.alert")["events"]}
    assert kinds == {event.ALERT_RAISED, event.ALERT_ACKNOWLEDGED}
    assert len(running.get("/v1/events", device_id=str(device(OFF)))["events"]) == 3
    assert len(running.get(f"/v1/vehicles/{device(OFF)}/events", type="vehicle.maintenance.required.v1")["events"]) == 1
    assert len(running.get("/v1/events", rule="crash", severity="critical")["events"]) == 1
    assert len(running.get("/v1/events", city="paris")["events"]) == 2
    assert "event type or a group" in running.refused("/v1/events", 422, type="vehicle.flies")
    assert "a cursor must be" in running.refused("/v1/events", 422, cursor="nonsense")


def test_an_event_is_found_by_its_id(running: Running) -> None:
    found = running.get(f"/v1/events/{RAISED[1].id}")
    assert found["data"]["rule"] == "crash"
    assert found["source"] == "/fleetpulse/test"
    assert found["datacontenttype"] == "application/json"
    assert "there is no event 'x'" in running.refused("/v1/events/x", 404)


def test_alerts_are_open_ones_by_urgency_and_filtered(running: Running) -> None:
    answer = running.get("/v1/alerts")
    assert [a["rule"] for a in answer["alerts"]] == ["crash", "battery_cluster", "low_battery", "battery_drain"]
    assert answer["total"] == 4
    assert [a["rule"] for a in running.get("/v1/alerts", severity="critical")["alerts"]] == ["crash"]
    assert [a["rule"] for a in running.get("/v1/alerts", city="paris")["alerts"]] == ["battery_drain"]
    assert [a["rule"] for a in running.get("/v1/alerts", acknowledged=True)["alerts"]] == ["battery_drain"]
    assert [a["rule"] for a in running.get("/v1/alerts", device_id=str(device(2)))["alerts"]] == ["crash"]
    assert running.get("/v1/alerts", limit=1)["total"] == 4


def test_maintenance_is_ordered_and_filtered(running: Running) -> None:
    assert [t["component"] for t in running.get("/v1/maintenance")["tasks"]] == ["tyre", "battery"]
    assert [t["component"] for t in running.get("/v1/maintenance", component="battery")["tasks"]] == ["battery"]
    assert running.get("/v1/maintenance", severity="info")["total"] == 0


def test_zones_and_recommendations(running: Running) -> None:
    [berlin] = running.get("/v1/zones", city="berlin")["cities"]
    assert (berlin["complete"], berlin["interval_end_ms"]) == (True, NOW_MS)
    [cell] = berlin["cells"]
    assert (cell["zone"], cell["vehicles"], cell["trip_starts"], cell["trip_ends"]) == (ZONE, 12, 8, 8)
    assert [r["kind"] for r in berlin["recommendations"]] == ["swap", "move"]
    assert [c["city"] for c in running.get("/v1/zones")["cities"]] == ["berlin", "paris"]
    [move] = running.get("/v1/rebalance", kind="move")["recommendations"]
    assert move["moves"][0]["incentive_eur"] == 1.5
    assert abs(move["zone_latitude_deg"] - 52.5163839) < 1e-6
    assert running.get("/v1/rebalance", city="paris")["total"] == 0


def test_the_fleets_numbers(running: Running) -> None:
    numbers = running.get("/v1/fleet")
    assert numbers["vehicles"] == VEHICLES
    assert sum(numbers["by_state"].values()) == VEHICLES
    assert sum(sum(states.values()) for states in numbers["by_city"].values()) == VEHICLES
    frames = numbers["frames"]
    assert frames["received"] == 100 * VEHICLES
    assert frames["received"] == sum(frames[name] for name in ("processed", "duplicate", "late", "quarantined", "dead_lettered"))
    assert numbers["objective"] == {"missing_share": 0.0, "limit": 0.0001, "met": True}
    assert sum(numbers["events"].values()) == len(EVENTS), "each once, though some came twice"
    assert numbers["alerts_open"] == {"critical": 1, "warning": 3}
    assert (numbers["alerts_suppressed"], numbers["in_service"]) == (0, VEHICLES // 50)


def test_the_map_has_every_vehicle_whose_position_is_known(running: Running) -> None:
    columns = running.get("/v1/map")
    assert len(columns["longitude_deg"]) == len(columns["city"]) == VEHICLES - 1
    assert len(running.get("/v1/map", city="berlin")["city"]) < VEHICLES - 1


def test_metrics_are_valid_and_their_labels_bounded(running: Running) -> None:
    running.get("/v1/fleet")
    answer = running.client.get("/metrics")
    families = {f.name: f for f in text_string_to_metric_families(answer.text)}
    assert sum(s.value for s in families["fleet_vehicles"].samples) == VEHICLES
    assert {s.labels["outcome"]: s.value for s in families["fleet_frames"].samples}["received"] == 100 * VEHICLES
    assert sum(s.value for s in families["fleet_events"].samples) == len(EVENTS)
    assert families["fleet_gateway_ready"].samples[0].value == 1
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", answer.text), "no ids in labels"
    routes = {s.labels["route"] for s in families["fleet_gateway_request_duration_seconds"].samples}
    assert "/v1/fleet" in routes
    running.client.get("/there/is/nothing")
    running.client.get(f"/v1/vehicles/{device(1)}")
    routes = {
        s.labels["route"]
        for f in text_string_to_metric_families(running.client.get("/metrics").text)
        for s in f.samples
        if "route" in s.labels
    }
    assert routes <= set(running.get("/openapi.json")["paths"]) | {"none", "/openapi.json", "/", "/static/{name}"}


def test_the_page_of_the_api_names_every_endpoint_and_metric(running: Running) -> None:
    text = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")
    families = text_string_to_metric_families(running.client.get("/metrics").text)
    metrics = {f.name + ("_total" if f.type == "counter" else "") for f in families if re.fullmatch(r"fleet_.*(?<!_created)", f.name)}
    assert set(re.findall(r"`(fleet_[a-z_]+)`", text)) == metrics
    told = re.sub(r"\$ID|ALERT_ID|EVENT_ID", "X", text)
    for path in running.get("/openapi.json")["paths"]:
        assert "$G" + re.sub(r"{\w+}", "X", path) in told, path


def test_faults_are_problems_everywhere(running: Running) -> None:
    assert problem(running.client.get("/nowhere"), 404) == "there is nothing at /nowhere"
    assert problem(running.client.delete("/v1/fleet"), 405) == "DELETE is not possible at /v1/fleet"
    url = f"/v1/vehicles/{device(1)}/operations"
    assert problem(running.client.post(url, content=b"{", headers={"content-type": "application/json"}), 422)
    assert "operation" in problem(running.client.post(url, json={}), 422)


def test_the_openapi_document_is_valid_and_explains_everything(running: Running) -> None:
    document = running.get("/openapi.json")
    assert document["openapi"].startswith("3.1")
    OpenAPI.model_validate(document)
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    used = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert used <= set(document["components"]["schemas"])
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            for parameter in operation.get("parameters", []):
                assert parameter.get("description") or parameter["schema"].get("description"), (path, parameter["name"])
            for response in operation["responses"].values():
                assert response["description"]


def validator(document: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": document["components"]})


def test_every_answer_has_the_form_that_the_document_gives(running: Running) -> None:
    document = running.get("/openapi.json")
    values = {"device_id": str(device(OFF)), "event_id": RAISED[0].id}
    checked = 0
    for template, methods in document["paths"].items():
        content = methods.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        if "application/json" not in content:
            continue
        answer = running.client.get(template.format(**values))
        assert answer.status_code == 200, answer.text
        validator(document, content["application/json"]["schema"]).validate(answer.json())
        checked += 1
    assert checked >= 15
    schema = document["paths"]["/v1/vehicles"]["get"]["responses"]["422"]["content"]
    validator(document, next(iter(schema.values()))["schema"]).validate(running.client.get("/v1/vehicles", params={"bbox": "x"}).json())


def test_the_console_page_comes_from_here_alone(running: Running) -> None:
    page = running.client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    files = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
    scripts = ["/static/dom.js", "/static/map.js"]
    texts = [page.text]
    for name in [*files, *scripts]:
        answer = running.client.get(name)
        assert answer.status_code == 200, name
        texts.append(answer.text)
    for text in texts:
        assert not re.search(r"https?://(?!www\.w3\.org)", text), "nothing from anywhere else"
        assert "innerHTML" not in text
        assert "insertAdjacentHTML" not in text
    assert problem(running.client.get("/static/../main.py"), 404)
    assert problem(running.client.get("/static/nothing.js"), 404)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "[::1"])
def test_a_host_that_is_not_loopback_is_refused_without_authentication(running: Running, host: str) -> None:
    assert "loopback name" in problem(running.client.get("/v1/fleet", headers={"host": host}), 421)


def test_a_page_of_another_origin_changes_nothing(running: Running) -> None:
    url = f"/v1/vehicles/{device(1)}/operations"
    body = {"operation": "drop_off"}
    for origin in ("https://evil.example", "null", f"https://{running.address}.evil.example"):
        assert "another origin" in problem(running.client.post(url, json=body, headers={"origin": origin}), 403)
    assert running.client.get("/v1/fleet", headers={"origin": "https://evil.example"}).status_code == 200
    assert running.client.post(url, json=body, headers={"origin": f"http://{running.address}"}).status_code == 202


def test_a_large_body_is_refused_whether_its_length_is_told_or_not(running: Running) -> None:
    url = f"/v1/vehicles/{device(1)}/operations"
    headers = {"content-type": "application/json"}
    assert "65536 bytes" in problem(running.client.post(url, content=b" " * 70_000, headers=headers), 413)
    with httpx.Client(base_url=str(running.client.base_url)) as client:
        answer = client.post(url, content=(b" " * 10_000 for _ in range(10)), headers=headers)
    assert "65536 bytes" in problem(answer, 413)
