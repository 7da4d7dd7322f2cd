"""Vehicle records: found again, kept in snapshots, forgotten when long unseen and nothing is open."""

from math import isnan

from fleetpulse.models.vehicles import Vehicle, VehicleTable, Watch


def seen(table: VehicleTable, lo: int, end_ms: int, *, battery: int = 0, motor: int = 0) -> None:
    row = table.row((7, lo))
    vehicle = table.load(row)
    vehicle.end_ms, vehicle.battery_raised_ms, vehicle.motor_raised_ms = end_ms, battery, motor
    table.store(row, vehicle)


def test_a_new_vehicle_knows_nothing() -> None:
    table = VehicleTable()
    vehicle = table.load(table.row((7, 1)))
    assert (vehicle.device_hi, vehicle.device_lo, vehicle.end_ms) == (7, 1, 0)
    assert isnan(vehicle.soc_pct)
    assert vehicle.parked == vehicle.riding == Watch()


def test_what_is_stored_is_loaded_through_growth_and_snapshot() -> None:
    table = VehicleTable()
    for lo in range(1, 301):
        seen(table, lo, lo * 1_000)
    row = table.row((7, 17))
    watches = Watch(0.1, 0.2, 0.3, 0.4, 0.5, 6, 7, 8, 9, 10, 11, 12), Watch(0.6, 0.7, 0.8, 0.9, 1.0, 10, 11, 12, 13, 14, 15, 16)
    kept = Vehicle(7, 17, 5, 1.5, 2.5, 3.5, 6, 8, 9, 10, 11, 12, 0.25, 0.5, 0.75, *watches, {"powertrain": 3, "vibration": 12}, 4, 6, 2, 3)
    table.store(row, kept)
    again = VehicleTable()
    again.restore(table.snapshot())
    for t in (table, again):
        assert t.count == 300
        assert t.load(t.row((7, 17))) == kept
        assert t.load(t.row((7, 300))).end_ms == 300_000
    assert again.row((7, 301)) == 300


def test_unseen_vehicles_are_forgotten_unless_something_is_open() -> None:
    table = VehicleTable()
    seen(table, 1, 100)
    seen(table, 2, 100, battery=50)
    seen(table, 3, 100, motor=50)
    seen(table, 4, 200)
    assert table.forget(150) == 1
    assert table.count == 3
    assert [table.load(table.row((7, lo))).end_ms for lo in (2, 3, 4)] == [100, 100, 200]
    assert table.load(table.row((7, 1))).end_ms == 0
