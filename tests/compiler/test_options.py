"""What compile is asked for, and what is refused."""

from __future__ import annotations

import pytest

from edgevision.compiler.options import CompileOptions
from edgevision.errors import InputError


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"threads": 0}, "--threads is 1…256, got 0"),
        ({"threads": 257}, "--threads"),
        ({"batch": 0}, "--batch is 1…256, got 0"),
        ({"max_drop": -0.1}, "--max-drop"),
        ({"true_accept_rate": 1.0}, "--true-accept-rate"),
        ({"calibration_limit": 15}, "at least 16"),
    ],
)
def test_what_cannot_be_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        CompileOptions(**given)
