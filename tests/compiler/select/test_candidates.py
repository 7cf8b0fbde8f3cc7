"""What was measured before is kept, but for the graphs that are made anew."""

from __future__ import annotations

from typing import Any

import pytest

from edgevision.compiler.variants import Candidate, Variant, VariantMeasurement
from edgevision.evaluate.base import Fit

pytestmark = pytest.mark.requires("torch", "onnx")


def measured(**variants: tuple[str, bytes]) -> Any:
    """Variants by id, each of (graph's key, graph); what is known of one says which graph it was found on."""
    from edgevision.compiler.select.candidates import MeasuredCandidates

    made = {id: Variant(id, Candidate(key, graph, "int8", "any"), "any", "") for id, (key, graph) in variants.items()}
    candidates = tuple(dict.fromkeys(variant.candidate for variant in made.values()))
    graphs = {id: variant.candidate.graph for id, variant in made.items()}
    return MeasuredCandidates(
        candidates, made, {f"missing-{key}": "" for key, _ in variants.values()},
        {id: VariantMeasurement(id, "any", "any", graph.decode(), 1) for id, graph in graphs.items()},
        {id: {"graph": graph} for id, graph in graphs.items()},  # type: ignore[dict-item]
        {id: Fit({}, graph.decode()) for id, graph in graphs.items()},
        {id: float(len(graph)) for id, graph in graphs.items()},
    )  # fmt: skip


def test_variants_of_a_graph_that_is_made_anew_are_forgotten_with_all_that_was_known_of_them() -> None:
    from edgevision.compiler.select.candidates import _merged

    known = measured(a=("float", b"f"), b=("int8", b"old"), c=("int8", b"old"), d=("int8-arm", b"arm"))
    merged = _merged(known, measured(b=("int8", b"newer")))  # c does not run any more
    expected = {"a": b"f", "d": b"arm", "b": b"newer"}
    assert [candidate.key for candidate in merged.candidates] == ["float", "int8-arm", "int8"]
    assert {id: merged.candidate_of(id).graph for id in merged.variants} == expected
    assert {id: one.precision.encode() for id, one in merged.measurements.items()} == expected
    assert {id: one["graph"] for id, one in merged.answers.items()} == expected
    assert {id: one.note.encode() for id, one in merged.fits.items()} == expected
    assert merged.agreement == {id: float(len(graph)) for id, graph in expected.items()}
    assert set(merged.missing) == {"missing-float", "missing-int8", "missing-int8-arm"}
    assert list(merged.variants) == ["a", "d", "b"]


@pytest.mark.parametrize(
    ("notes", "expected"),
    [((), ()), (("", ""), ()), (("few photos", "", "few photos", "none unknown"), ("few photos", "none unknown"))],
)
def test_what_fits_say_is_said_once(notes: tuple[str, ...], expected: tuple[str, ...]) -> None:
    from dataclasses import replace

    fits = {str(place): Fit({}, note) for place, note in enumerate(notes)}
    assert replace(measured(), fits=fits).notes == expected
