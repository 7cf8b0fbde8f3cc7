"""Options that cannot be are refused by name."""

from __future__ import annotations

import math

import pytest

from edgevision.errors import InputError
from edgevision.kiosk.station.options import StationOptions


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sure", 1.0), ("sure", 0.5), ("sure", "0.9"), ("cover", 0.0), ("alike", 1.0), ("alike", math.nan), ("noise_alarm", 0),
        ("smallest", 1.5), ("dark", True), ("still_s", 0.0), ("patience_s", -1.0), ("gone_s", math.inf), ("hand_s", None),
        ("camera_s", "2"), ("most_choices", 1), ("most_choices", 9), ("most_choices", 2.0), ("crop", 1), ("unknown_s", 0.8),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(name, value):
    with pytest.raises(InputError, match=f"^{name} of a Station is "):
        StationOptions(**{name: value})


def test_defaults_and_edges_are_taken():
    assert StationOptions(most_choices=2, unknown_s=0.7, sure=0.51) != StationOptions()


@pytest.mark.parametrize(("patience_s", "expected"), [(0.3, 0.3), (0.4, 0.4), (0.7, 0.4), (3, 0.4)])
def test_who_is_in_a_hurry_is_so_with_strangers_too(patience_s, expected):
    assert StationOptions(patience_s=patience_s).unknown_s == expected


def test_unknown_s_that_was_given_is_not_changed():
    assert StationOptions(unknown_s=0.6).unknown_s == 0.6
    with pytest.raises(InputError, match="at most patience_s"):
        StationOptions(patience_s=0.3, unknown_s=0.4)
