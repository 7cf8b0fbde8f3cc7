"""A whole compile of a network that takes long over each photo: what is found out first, cut, and foretold."""

from __future__ import annotations

import pytest
from footprints import opened_here
from known_networks import RIGHT, answers, options

from edgevision.errors import EngineError

pytestmark = pytest.mark.requires("torch", "onnx")


@pytest.fixture
def probed(quick, monkeypatch):
    """Sets what a run of each kind of graph is found to take in a process of its own, in ms, and at which the probe begins."""
    from dataclasses import replace

    from edgevision.compiler.select import measure, probe

    def slow(float_ms: float, int8_ms: float) -> list[str]:
        tried: list[str] = []

        def footprint(variant, threads, batch):
            tried.append(variant.id)
            ms = int8_ms if variant.candidate.precision == "int8" else float_ms
            return replace(opened_here(variant, threads), run_ms=ms)

        monkeypatch.setattr(measure, "footprint", footprint)
        return tried

    monkeypatch.setattr(probe, "PROBE_FROM_MS", 30.0)
    return slow


@pytest.mark.parametrize(
    ("float_ms", "int8_ms", "more", "tries", "said"),
    [
        (200, 100, {}, True, "int8 was 2.00 times quicker than float: 100 ms (onnxruntime) against 200 ms (onnxruntime-float)"),
        (200, 205, {}, True, "int8 was 1.02 times slower than float"),
        (200, 300, {}, False, "int8 was therefore not tried"),
        (200, 300, {"effort": "quick"}, False, "int8 was therefore not tried"),
        (200, 300, {"effort": "thorough"}, True, "int8 was 1.50 times slower than float"),
        (200, 300, {"precision": "int8"}, True, "int8 was 1.50 times slower than float"),
        (200, 300, {"targets": ("auto", "arm")}, True, "int8 was 1.50 times slower than float"),
        (20, 300, {}, True, None),  # not worth finding out
        (200, 300, {"precision": "float"}, False, None),
    ],
)  # fmt: skip
def test_int8_that_promises_nothing_is_not_tried(float_ms, int8_ms, more, tries, said, files, photos, probed, tmp_path):
    from edgevision.compiler.effort import Effort
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model

    probed(float_ms, int8_ms)
    given = {"precision": Precision(more.get("precision", "auto")), "effort": Effort(more.get("effort", "normal")),
             "targets": more.get("targets", ("auto",))}  # fmt: skip
    result = compile_model(files["script.pt"], tmp_path / "x.edge", options(files, photos, **given))
    kinds = {one.measurement.candidate for one in result.variants if not one.target}
    assert ("int8" in kinds) == tries
    notes = [note for note in result.report.notes if "int8 was" in note]
    assert (said in "; ".join(notes)) if said else not notes
    assert answers(result.path) == RIGHT


def test_a_costly_network_gets_fewer_photos_and_is_told_so(files, photos, probed, tmp_path):
    """At 1 s for a photo a normal compile calibrates on 64, of each class the same number."""
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model
    from edgevision.compiler.quantize.targets import cpu_target

    probed(1000, 500)
    expected: dict[str, float] = {}
    heard: list[str] = []
    given = options(files, photos, precision=Precision.INT8, data=photos, val=photos, skip_validation=True, rounds=20)
    result = compile_model(
        files["script.pt"], tmp_path / "x.edge", given, lambda step, done, total: heard.append(step), expected.update
    )
    calibration = result.report.splits.calibration
    assert len(calibration) == 64
    counts = [sum(photo.truth == color for photo in calibration) for color in {photo.truth for photo in calibration}]
    assert max(counts) - min(counts) <= 1
    assert any(note.startswith("64 of 90 calibration photos were used") for note in result.report.notes)
    # What was foretold is called as progress calls it.
    assert {step for step, seconds in expected.items() if seconds} <= set(heard)
    assert expected["calibration photos"] == 64 * 1.0 * (
        1 + len(cpu_target().dialects) + 1
    )  # float; int8 in two engines
    table = result.report.variants[0].measurement
    assert table.samples[1, 1].n == 8


def test_what_does_not_run_at_all_is_said_at_once(files, photos, quick, monkeypatch, tmp_path):
    from edgevision.compiler.pipeline import compile_model
    from edgevision.compiler.select import measure

    def footprint(variant, threads, batch):
        raise EngineError("out of order")

    monkeypatch.setattr(measure, "footprint", footprint)
    with pytest.raises(EngineError, match="the float graph does not run: out of order"):
        compile_model(files["script.pt"], tmp_path / "x.edge", options(files, photos))
    assert not (tmp_path / "x.edge").exists()
