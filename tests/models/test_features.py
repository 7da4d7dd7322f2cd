"""Windows to features: who rides, what is compared with what, and what is left out when it was not measured."""

from math import isnan, nan

import numpy as np
import pytest

from fleetpulse.codecs.tables import WINDOW
from fleetpulse.models import features
from tests.models.fleet import Invented


def test_no_window_no_features() -> None:
    extracted = features.extract(np.zeros(0, dtype=WINDOW))
    assert extracted.riding == []
    assert extracted.samples == {"vibration": [], "powertrain": []}


def test_parked_windows_have_no_samples() -> None:
    windows = Invented(vehicles=30, minutes=5, ride_share=0.5).windows()
    extracted = features.extract(windows)
    assert 0 < sum(extracted.riding) < len(windows)
    for group in features.GROUPS:
        assert [sample is not None for sample in extracted.samples[group]] == extracted.riding
        assert all(len(sample) == len(features.GROUPS[group]) for sample in extracted.samples[group] if sample)


def test_what_was_not_measured_leaves_out_its_group_alone() -> None:
    windows = Invented(vehicles=10, minutes=3, ride_share=1.0).windows()[-10:]
    row = features.extract(windows).riding.index(True)
    windows["vibration_band3_mean_mps2"][row] = nan
    windows["ambient_temperature_mean_c"] = nan
    windows["climb_m"][row] = nan
    extracted = features.extract(windows)
    assert extracted.samples["vibration"][row] is None
    assert extracted.samples["powertrain"][row] is not None
    assert extracted.air_c[row] == pytest.approx(windows["battery_temperature_mean_c"][row])
    assert not any(isnan(value) for value in extracted.ride[row])


def test_a_charge_that_is_not_known_leaves_the_powertrain_out_since_its_voltage_hangs_on_it() -> None:
    windows = Invented(vehicles=10, minutes=3, ride_share=1.0).windows()[-10:]
    row = features.extract(windows).riding.index(True)
    windows["soc_first_pct"][row] = windows["soc_last_pct"][row] = nan
    extracted = features.extract(windows)
    assert extracted.samples["powertrain"][row] is None
    assert extracted.samples["vibration"][row] is not None


def test_a_bearing_shows_on_any_road() -> None:
    """Bands 2-4 are compared with band 1, so a rough road raises none of them."""
    windows = Invented(vehicles=2, minutes=1).windows()
    windows["moving_s"], windows["in_use_s"] = 60, 60
    for k in (1, 2, 3, 4):
        column = f"vibration_band{k}_mean_mps2"
        windows[column] = 0.5, 1.0  # the second road is twice as rough
    smooth, rough = features.extract(windows).samples["vibration"]
    assert smooth is not None
    assert rough is not None
    assert rough[0][1] - smooth[0][1] == pytest.approx(0.683, abs=0.01)
    assert [y for _, y in rough[1:]] == pytest.approx([y for _, y in smooth[1:]], abs=0.03)
