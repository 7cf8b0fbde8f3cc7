"""edgevision.compiler.effort: small networks get everything, large ones what fits in."""

from __future__ import annotations

import math

import pytest

from edgevision.compiler.effort import (
    ALLOWANCES,
    MIN_CALIBRATION,
    MIN_ROUNDS,
    MIN_TRIALS,
    Counts,
    Effort,
    Load,
    counts_for,
    forecast,
)

pytestmark = pytest.mark.requires("onnx")


def load(photo_s: float, **more: float) -> Load:
    given = {"open_s": 2.0, "calibration": 400, "validation": 300, "variants": 6, "int8": 3, "recipes": 9,
             "observations": 1, "nodes": 50, "settings": 2, "rounds": 40}  # fmt: skip
    return Load(photo_s=photo_s, **{**given, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("photo_ms", [0.01, 1, 10])
@pytest.mark.parametrize("effort", [Effort.NORMAL, Effort.THOROUGH])
def test_small_networks_get_everything(photo_ms, effort):
    counts = counts_for(effort, load(photo_ms / 1e3), 128)
    assert (counts.calibration, counts.trials, counts.rounds) == (400, 128, 40)


@pytest.mark.parametrize("photo_s", [0.05, 0.3, 1, 30, 1000])
def test_thorough_cuts_nothing(photo_s):
    counts = counts_for(Effort.THOROUGH, load(photo_s), 128)
    assert (counts.calibration, counts.trials, counts.rounds) == (400, 128, 40)


@pytest.mark.parametrize("effort", Effort)
@pytest.mark.parametrize("photo_s", [1e-9, 1e-3, 0.02, 0.1, 0.3, 0.7, 2, 1e6])
def test_each_step_keeps_to_its_allowance_or_to_the_least(effort, photo_s):
    """Worked out here anew from the counts, step by step."""
    given = load(photo_s, observations=2)
    counts = counts_for(effort, given, 128)
    allowed = ALLOWANCES[effort]
    assert counts.calibration == MIN_CALIBRATION or (
        counts.calibration * photo_s * 4 * 2 <= allowed.calibrate_s
        and counts.calibration * photo_s * 6 <= allowed.answers_s
    )
    assert counts.trials == MIN_TRIALS or counts.trials * photo_s * 9 <= allowed.recipes_s
    assert counts.rounds == MIN_ROUNDS or (counts.rounds + 5) * photo_s * 6 * 2 * 1.5 <= allowed.measure_s
    assert MIN_CALIBRATION <= counts.calibration <= 400
    assert MIN_TRIALS <= counts.trials <= 128
    assert MIN_ROUNDS <= counts.rounds <= 40


@pytest.mark.parametrize("effort", Effort)
def test_more_is_never_asked_for_than_there_is(effort):
    counts = counts_for(effort, load(5.0, calibration=20, rounds=3), 16)
    assert (counts.calibration, counts.trials, counts.rounds) == (20, 16, 3)


def test_more_effort_never_gets_less():
    for photo_s in (1e-3, 0.05, 0.2, 1.0, 10.0):
        quick, normal, thorough = (counts_for(effort, load(photo_s), 128) for effort in Effort)
        for name in ("calibration", "trials", "rounds", "ranking_s", "report_s"):
            assert getattr(quick, name) <= getattr(normal, name) <= getattr(thorough, name)


def test_the_forecast_adds_up_what_each_step_does():
    seconds = forecast(load(0.5), Counts(100, 32, 10, 60, 40))
    assert seconds == pytest.approx({
        "calibrate": 4 * 100 * 0.5, "range estimators": 9 * 32 * 0.5, "open the variants": 3 * 2.0,
        "measure": (10 + 5) * 6 * 2 * 1.5 * 0.5, "calibration photos": 6 * 100 * 0.5, "validation photos": 6 * 300 * 0.5,
        "sensitivity": 40,
    })  # fmt: skip


def test_without_int8_the_forecast_speaks_of_float_alone():
    floating = load(0.5, recipes=0, observations=0, nodes=0, int8=0, variants=2)
    seconds = forecast(floating, counts_for(Effort.NORMAL, floating, 128))
    assert {step for step, value in seconds.items() if value} == {"measure", "calibration photos", "validation photos"}
    assert math.isfinite(sum(seconds.values()))
