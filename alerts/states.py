"""Names and codes of the MDS 2.0 vehicle states and event types, as they stand in tables and events; names of conditions. Data only."""

from enum import IntEnum

from fleetpulse.state.facts import Condition, Sensor


class VehicleState(IntEnum):
    """MDS 2.0 vehicle state; the lower-case name is the standard's."""

    AVAILABLE = 0
    RESERVED = 1
    ON_TRIP = 2
    STOPPED = 3
    NON_OPERATIONAL = 4
    NON_CONTACTABLE = 5
    MISSING = 6
    REMOVED = 7
    ELSEWHERE = 8


class EventType(IntEnum):
    """MDS 2.0 event type of both modes; the lower-case name is the standard's. NONE: first seen, nothing happened yet."""

    NONE = 0
    RESERVATION_START = 1
    RESERVATION_STOP = 2
    RESERVATION_CANCEL = 3
    CUSTOMER_CANCELLATION = 4
    TRIP_START = 5
    TRIP_STOP = 6
    TRIP_RESUME = 7
    TRIP_END = 8
    TRIP_LEAVE_JURISDICTION = 9
    TRIP_ENTER_JURISDICTION = 10
    BATTERY_LOW = 11
    BATTERY_CHARGED = 12
    MAINTENANCE = 13
    MAINTENANCE_PICK_UP = 14
    MAINTENANCE_END = 15
    SERVICE_END = 16
    SERVICE_START = 17
    REBALANCE_PICK_UP = 18
    PROVIDER_DROP_OFF = 19
    DECOMMISSIONED = 20
    RECOMMISSIONED = 21
    COMMS_LOST = 22
    COMMS_RESTORED = 23
    NOT_LOCATED = 24
    LOCATED = 25
    UNSPECIFIED = 26
    AGENCY_PICK_UP = 27
    AGENCY_DROP_OFF = 28
    COMPLIANCE_PICK_UP = 29
    OFF_HOURS = 30
    ON_HOURS = 31
    SYSTEM_SUSPEND = 32
    SYSTEM_RESUME = 33
    TRIP_CANCEL = 34
    CHANGED_GEOGRAPHIES = 35
    DRIVER_CANCELLATION = 36
    PROVIDER_CANCELLATION = 37


STATE_NAMES = tuple(state.name.lower() for state in VehicleState)
EVENT_TYPE_NAMES = tuple(event.name.lower() for event in EventType)
CONDITION_NAMES = tuple(condition.name.lower() for condition in Condition)
"""By bit of the columns `alerts` and `maintenance` of tables.STATE."""
SENSOR_NAMES = tuple((bit.name or "").lower() for bit in Sensor)
"""By bit of `sensors`."""
