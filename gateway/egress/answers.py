"""The forms of all answers, for OpenAPI and for tests that hold real answers against them. Data only.

Answers are written by orjson from plain objects and not validated on the way out: at 1,000 vehicles an answer that would cost more than
finding them.
"""

from typing import Any, Literal, get_args

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from fleetpulse.alerts.states import STATE_NAMES

Severity = Literal["info", "warning", "critical"]
VehicleState = Literal[
    "available", "reserved", "on_trip", "stopped", "non_operational", "non_contactable", "missing", "removed", "elsewhere"
]
assert get_args(VehicleState) == STATE_NAMES, "the states must be those of alerts/states.py"

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def respond(value: object, status: int = 200) -> Response:
    """The value as JSON; NumPy arrays too."""
    return Response(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY), status, HEADERS, media_type="application/json")


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(_Form):
    """RFC 9457 problem details."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(description="One sentence: what must hold, what was got.", examples=["there is no vehicle 00000000-..."])
    instance: str | None = None


class Vehicle(_Form):
    """Latest known state of a vehicle. What was never measured is absent. Times are Unix milliseconds."""

    device_id: str
    slot: int = Field(description="Place in its shard.")
    shard: int = Field(description="Partition of vehicle-telemetry.")
    city: str | None = None
    vehicle_model: str | None = None
    vehicle_state: VehicleState = Field(description="MDS 2.0 vehicle state.")
    event_type: str = Field(description="MDS 2.0 event type that led to the state; none: first seen.")
    state_since_ms: int
    last_heard_ms: int = Field(description="Stream time of the last frame.")
    last_frame_ms: int = Field(description="The vehicle's own time of its newest frame.")
    latitude_deg: float | None = None
    longitude_deg: float | None = None
    odometer_m: float | None = None
    horizontal_accuracy_m: float | None = None
    speed_mps: float | None = None
    heading_deg: float | None = None
    altitude_m: float | None = None
    battery_soc_pct: float | None = None
    battery_voltage_v: float | None = None
    battery_current_a: float | None = Field(None, description="Positive: charging.")
    battery_temperature_c: float | None = None
    battery_soh_pct: float | None = None
    range_m: float | None = None
    tyre_pressure_min_kpa: float | None = None
    status: list[str] = Field(
        description="Which of charging, locked, in_use, moving, tipped, gnss_fix, crash, tamper, reserved, backlog hold."
    )
    fault_bits: list[int] = Field(description="Numbers of the fault bits that are set.")
    trip_id: str | None = Field(None, description="Pseudonym of the current trip.")
    trips: int = Field(description="Trips ended since first seen.")
    alerts: list[str] = Field(description="Conditions that are alerted now.")
    maintenance: list[str] = Field(description="Conditions that require maintenance now.")
    received: int = Field(description="Sequence audit: frames received, also the next four.")
    duplicate: int
    late: int
    quarantined: int
    missing: int
    boot_id: int
    seq: int
    firmware_version: str | None = None
    sensors: list[str] = Field(description="What it senses badly now; such values are left out of windows, rules and models.")
    service: bool = Field(description="In service: it has no alerts, whatever its conditions.")


class VehicleList(_Form):
    vehicles: list[Vehicle]
    total: int = Field(description="How many match, on all pages.")
    next_cursor: str | None = Field(description="Asks for the next page; null on the last.")


class CloudEvent(BaseModel):
    """CloudEvents 1.0. Services drop doubles by (source, id). `data` is described by alerts/schemas/."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str = Field(examples=["eu.mobilitycorp.fleet.vehicle.alert.raised.v1"])
    subject: str = Field(description="Device id, or zone.")
    time: str = Field(description="Event time.")
    partitionkey: str
    datacontenttype: str
    data: dict[str, Any]


class EventPage(_Form):
    events: list[CloudEvent] = Field(description="Oldest first.")
    next_cursor: str = Field(description="Asks for what comes after these; always given, also when nothing is there yet.")
    more: bool = Field(description="Whether there is more now.")
    lost: int = Field(description="Events of any kind after the cursor that are no longer kept.")


class Alert(_Form):
    """An open alert."""

    alert_id: str
    rule: str
    severity: Severity = Field(description="The highest that was told.")
    reason: str
    raised_ms: int
    age_s: int
    acknowledged: bool
    acknowledged_by: str | None = None
    acknowledged_ms: int | None = None
    escalated_ms: int | None = None
    reopened: int | None = Field(None, description="How often it was opened again.")
    suppressed_by: list[str] | None = Field(
        None, description="What keeps it quiet: snooze, or rules that explain it. Nobody is told of it."
    )
    snoozed_until_ms: int | None = None
    snoozed_by: str | None = None
    device_id: str | None = Field(None, description="Absent for an alert about a zone.")
    zone: str | None = None
    city: str | None = None
    vehicle_model: str | None = None
    latitude_deg: float | None = None
    longitude_deg: float | None = None
    battery_soc_pct: float | None = None
    late: bool | None = None
    vehicles: int | None = Field(None, description="Silent vehicles of an area; devices and zones name the first 50.")
    devices: list[str] | None = None
    zones: list[str] | None = None
    evidence: dict[str, Any]


class AlertList(_Form):
    alerts: list[Alert] = Field(description="Most urgent first: not suppressed, not acknowledged, severity, rule, age.")
    total: int


class Maintenance(_Form):
    """An open task."""

    maintenance_id: str
    device_id: str
    component: str
    severity: Severity
    rule: str
    reason: str
    required_ms: int
    age_s: int
    predicted_date: str | None = None
    city: str | None = None
    vehicle_model: str | None = None
    latitude_deg: float | None = None
    longitude_deg: float | None = None
    battery_soc_pct: float | None = None
    evidence: dict[str, Any]


class MaintenanceList(_Form):
    tasks: list[Maintenance] = Field(description="Most urgent first: severity, predicted day, age.")
    total: int


class Why(_Form):
    """Why a vehicle is, or is not, available."""

    device_id: str
    available: bool
    vehicle_state: VehicleState
    event_type: str
    since_ms: int | None = Field(None, description="Absent: since it was first seen.")
    for_s: int | None = None
    reason: str = Field(description="One sentence.")
    event: CloudEvent | None = Field(None, description="The event that caused the state, with its evidence, as long as it is kept.")
    alerts: list[Alert]
    maintenance: list[Maintenance]
    recent: list[CloudEvent] = Field(description="The vehicle's last events, newest first.")


class Frames(_Form):
    """received = processed + duplicate + late + quarantined + dead_lettered, over what has reached the flow."""

    received: int
    processed: int
    duplicate: int
    late: int
    quarantined: int
    dead_lettered: int
    missing: int


class Objective(_Form):
    missing_share: float = Field(description="missing / (received - duplicate + missing).")
    limit: float = Field(description="gateway.missing_share_max.")
    met: bool


class Audit(_Form):
    """Sequence audit of one vehicle, in frames. What comes late is no longer missing."""

    device_id: str
    received: int
    duplicate: int
    late: int
    quarantined: int
    missing: int
    boot_id: int = Field(description="Of its newest boot.")
    seq: int = Field(description="The highest of that boot.")
    objective: Objective


class FleetAudit(_Form):
    frames: Frames
    objective: Objective
    gaps_overflow: int = Field(description="Gaps dropped because a vehicle had more than eight; their frames stay counted as missing.")
    vehicles: int
    vehicles_missing: int = Field(description="Vehicles that miss a frame.")
    worst: list[Audit] = Field(description="The most missing first.")


class DeploymentClock(_Form):
    now_ms: int
    speed: float = Field(description="How many times as fast as the wall it runs; 1 outside the demo.")


class FleetNumbers(_Form):
    deployment: str
    clock: DeploymentClock
    vehicles: int
    by_state: dict[str, int]
    by_city: dict[str, dict[str, int]] = Field(description="City, then state.")
    by_model: dict[str, dict[str, int]] = Field(description="Vehicle model, then state.")
    frames: Frames
    objective: Objective
    counters: dict[str, int] = Field(description="All counters of the audit, summed over shards.")
    events: dict[str, int] = Field(description="Events by type that this gateway has read, each once.")
    alerts_open: dict[str, int] = Field(description="By severity.")
    alerts_suppressed: int = Field(description="How many of them nobody is told of now.")
    in_service: int = Field(description="Vehicles that are in service, so that they have no alerts.")
    maintenance_open: dict[str, int] = Field(description="By component.")
    latency_ms: dict[str, float] = Field(description="p50 and p99 from the causing Kafka record to the event, over the last 10,000.")
    stream_ms: int = Field(description="Newest stream time of the flow.")
    lag_s: float = Field(description="The deployment's clock less stream_ms.")
    stale: bool = Field(description="Whether that is more than gateway.stale_s: the flow, the bridge or Kafka is away, or far behind.")


class Cell(_Form):
    zone: str = Field(description="H3 cell.")
    latitude_deg: float
    longitude_deg: float
    vehicles: int
    by_state: dict[str, int]
    by_model: dict[str, int]
    by_charge: dict[str, int]
    trip_starts: int = Field(description="In the interval.")
    trip_ends: int


class Recommendation(BaseModel):
    """Data of zone.rebalance.recommended.v1 with the id of its event."""

    recommendation_id: str
    city: str
    zone: str
    zone_latitude_deg: float = Field(description="Centre of the zone.")
    zone_longitude_deg: float
    kind: Literal["move", "swap"]
    priority: int
    reason: str
    interval_start_ms: int
    interval_end_ms: int
    horizon_end_ms: int
    expires_ms: int
    demand_forecast: float
    supply: float
    deficit: float
    moves: list[dict[str, Any]] = []
    swaps: list[dict[str, Any]] = []
    evidence: dict[str, Any]


class CityZones(_Form):
    city: str
    interval_end_ms: int | None = Field(description="The boundary of the counts; null before the first.")
    complete: bool = Field(description="Whether all shards have reported it.")
    shards: int
    shards_reported: int
    cells: list[Cell]
    recommendations: list[Recommendation]


class Zones(_Form):
    cities: list[CityZones]


class RecommendationList(_Form):
    recommendations: list[Recommendation] = Field(description="Of each city's newest interval, not expired, most urgent first.")
    total: int


class CityOutline(_Form):
    city: str
    timezone: str
    centre_longitude_deg: float
    centre_latitude_deg: float
    zones: list[dict[str, Any]] = Field(description="name, kind (jurisdiction, service_area, no_go), ring of [longitude, latitude].")


class Cities(_Form):
    cities: list[CityOutline]


class FleetMap(_Form):
    """All vehicles whose position is known, as columns; codes index the lists of names."""

    cities: list[str]
    vehicle_models: list[str]
    vehicle_states: list[str]
    city: list[int]
    vehicle_model: list[int]
    vehicle_state: list[int]
    alerted: list[int] = Field(description="1: an alert is open.")
    longitude_deg: list[float] = Field(description="5 digits, about a metre.")
    latitude_deg: list[float]
    battery_soc_pct: list[float | None]


class OperationAccepted(_Form):
    """Kafka has the operation; what it led to comes as events."""

    operation_id: str
    operation: str
    device_id: str
    time_ms: int
    by: str
    partition: int
    offset: int
    repeated: bool = Field(description="Whether an earlier request with this Idempotency-Key had written it.")


class Ready(_Form):
    ready: bool
    vehicles: int
    kafka_away: bool
    lag_s: float
    stale: bool


class Alive(_Form):
    alive: Literal[True]
