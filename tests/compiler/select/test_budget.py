"""Which graphs the validation photos see, in which order, and which variants are packed: worked out by hand.

What the photos say of a variant is given; the quicker one is the better one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from latencies import steady

from edgevision.compiler.variants import Candidate, PrecisionCheck, Variant, VariantMeasurement

pytestmark = pytest.mark.requires("torch", "onnx")

FLOAT, INT8, OTHER = "onnxruntime-float", "onnxruntime-int8", "openvino-vnni-int8"
GRAPHS = {
    FLOAT: "float",
    "openvino-float": "float",
    INT8: "int8",
    "openvino-int8": "int8",
    OTHER: "int8-openvino-vnni",
    "openvino-x86-int8": "int8-openvino",
    "onnxruntime-original": "original",
}


def measured(quickest_first: list[str], not_int8: tuple[str, ...] = ()) -> Any:
    """Variants, each a millisecond slower than the one before. ``not_int8``: written in int8, and not run in it."""
    from edgevision.compiler.select.candidates import MeasuredCandidates

    candidates = {
        key: Candidate(key, key.encode(), "int8" if key.startswith("int8") else "float32", "any")
        for key in dict.fromkeys(GRAPHS[id] for id in quickest_first)
    }
    variants, measurements = {}, {}
    for place, id in enumerate(quickest_first):
        candidate, engine = candidates[GRAPHS[id]], id.split("-")[0]
        variants[id] = Variant(id, candidate, engine, "float32")
        checked = None
        if candidate.precision == "int8":
            checked = (
                PrecisionCheck((), (("conv", "float32"),), ()) if id in not_int8 else PrecisionCheck(("conv",), (), ())
            )
        measurements[id] = VariantMeasurement(
            id, candidate.key, engine, "float32", 1, {(1, 1): steady(1.0 + place)}, precision_check=checked
        )
    return MeasuredCandidates(tuple(candidates.values()), variants, {}, measurements, {}, {}, {})


@dataclass
class Photos:
    """The validation photos: ``refuse`` these variants. ``shown``: what they saw, one list for each time; ``weights``: the
    number of comparisons that each verdict allowed for."""

    refuse: tuple[str, ...] = ()
    shown: list[list[str]] = field(default_factory=list)
    weights: dict[str, int] = field(default_factory=dict)


@pytest.fixture
def photos(monkeypatch: pytest.MonkeyPatch) -> Photos:
    from edgevision.compiler.select import budget

    seen = Photos()

    def answers_of(wanted: Any, *_more: Any) -> dict[str, Any]:
        seen.shown.append([variant.id for variant in wanted])
        return {variant.id: variant.id for variant in wanted}

    def verdict(_measure: Any, _reference: Any, own: str, _truth: Any, _options: Any, comparisons: int) -> Any:
        seen.weights[own] = comparisons
        return SimpleNamespace(passed=own not in seen.refuse)

    monkeypatch.setattr(budget, "answers_of", answers_of)
    monkeypatch.setattr(budget, "validation_truth", lambda *_: "truth")
    monkeypatch.setattr(budget, "score", lambda _evaluator, own, _truth: own)
    monkeypatch.setattr(budget, "verdict", verdict)
    return seen


def job_of(validation: tuple[str, ...] = ("photo",), reference: str = FLOAT) -> Any:
    from edgevision.compiler.options import CompileOptions

    return SimpleNamespace(
        options=CompileOptions(), threads=1, batch=1, splits=SimpleNamespace(validation=validation), measure=SimpleNamespace(evaluator=None),
        model=SimpleNamespace(spec=None), progress=None, reference=reference, evaluator_of=lambda fit: None,
        calibration=(), counts=SimpleNamespace(ranking_s=0.0),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("order", "refuse", "packed", "shown"),
    [
        # int8 of the base runtime passes: nothing else is looked at
        ([INT8, FLOAT, OTHER], (), (INT8,), [FLOAT, INT8]),
        # the best one's graph in both engines
        (["openvino-int8", INT8, FLOAT], (), ("openvino-int8", INT8), [FLOAT, "openvino-int8", INT8]),
        # the best one runs in OpenVINO alone: the best of the base runtime is looked at too, and packed
        ([OTHER, INT8, FLOAT], (), (OTHER, INT8), [FLOAT, OTHER, INT8]),
        # of that, in between, what the base runtime does not run is not looked at
        ([OTHER, "openvino-int8", FLOAT], (), (OTHER, FLOAT), [FLOAT, OTHER]),
        # nor where what the base runtime runs is refused: there is float
        ([OTHER, INT8, "openvino-x86-int8", FLOAT], (INT8,), (OTHER, FLOAT), [FLOAT, OTHER, INT8]),
        # one is refused: the next one's turn
        ([OTHER, INT8, FLOAT], (OTHER,), (INT8,), [FLOAT, OTHER, INT8]),
        # of one graph the variant that passes is packed, the other is not
        (["openvino-int8", INT8, FLOAT], (INT8,), ("openvino-int8", FLOAT), [FLOAT, "openvino-int8", INT8]),
        # all int8 is refused
        ([INT8, OTHER, FLOAT], (INT8, OTHER), (FLOAT,), [FLOAT, INT8, OTHER]),
        # float is quicker
        ([FLOAT, INT8], (), (FLOAT,), [FLOAT]),
    ],
)
def test_graphs_are_shown_best_first_until_one_passes_that_runs_everywhere(
    photos: Photos, order: list[str], refuse: tuple[str, ...], packed: tuple[str, ...], shown: list[str]
) -> None:
    from edgevision.compiler.select.budget import validate_variants

    photos.refuse = refuse
    found = validate_variants(job_of(), measured(order))
    assert found.packed == packed
    assert [id for ids in photos.shown for id in ids] == shown  # each once


def test_every_int8_graph_after_the_first_is_one_more_chance_to_pass_by_luck(photos: Photos) -> None:
    from edgevision.compiler.select.budget import validate_variants

    photos.refuse = ("openvino-int8", INT8, OTHER)
    found = validate_variants(job_of(), measured(["openvino-int8", INT8, OTHER, FLOAT]))
    # The first graph's two variants are one comparison, and float is none.
    assert photos.weights == {"openvino-int8": 1, INT8: 1, OTHER: 2, FLOAT: 1}
    assert found.shown.comparisons == 2
    assert found.int8_failed


def test_float_is_not_judged_by_itself_where_it_is_not_offered(photos: Photos) -> None:
    from edgevision.compiler.select.budget import validate_variants

    assert set(validate_variants(job_of(), measured([INT8, FLOAT])).shown.verdicts) == {INT8}


def test_without_validation_photos_the_best_is_packed_unseen(photos: Photos) -> None:
    from edgevision.compiler.select.budget import validate_variants

    found = validate_variants(job_of(validation=()), measured([OTHER, INT8, FLOAT]))
    assert found.packed == (OTHER, INT8)
    assert photos.shown == []
    assert not found.int8_failed


def test_neither_the_network_before_pruning_nor_int8_that_is_none_is_offered(photos: Photos) -> None:
    from edgevision.compiler.select.budget import validate_variants

    order = ["onnxruntime-original", INT8, FLOAT]
    found = validate_variants(job_of(reference="onnxruntime-original"), measured(order, not_int8=(INT8,)))
    assert found.packed == (FLOAT,)
    assert INT8 not in photos.weights


@pytest.mark.parametrize(("refuse", "packed"), [((), (OTHER, FLOAT)), ((FLOAT,), ())])
def test_the_float_of_a_pruned_network_has_to_pass_to_be_packed_beside_the_best(
    photos: Photos, refuse: tuple[str, ...], packed: tuple[str, ...]
) -> None:
    from edgevision.compiler.select.budget import validate_variants

    photos.refuse = refuse
    found = validate_variants(
        job_of(reference="onnxruntime-original"), measured([OTHER, FLOAT, "onnxruntime-original"])
    )
    assert found.packed == packed
    assert photos.weights == {OTHER: 1, FLOAT: 1}


def test_what_was_said_of_a_graph_holds_while_the_graph_is_there(photos: Photos) -> None:
    """int8 is made anew and shown again; float is not."""
    from edgevision.compiler.select.budget import validate_variants
    from edgevision.compiler.select.candidates import _merged

    photos.refuse = (INT8,)
    order = [INT8, FLOAT]
    first = measured(order)
    before = validate_variants(job_of(), first)
    assert before.packed == (FLOAT,)
    photos.refuse = ()
    photos.shown.clear()
    again = validate_variants(job_of(), _merged(first, measured([INT8])), before)
    assert again.packed == (INT8,)
    assert photos.shown == [[INT8]]
    assert photos.weights[INT8] == 2  # the second comparison
    assert not again.int8_failed


@pytest.mark.parametrize("graphs", [1, 2, 3])
def test_layers_go_back_to_float_while_comparisons_are_left(monkeypatch: pytest.MonkeyPatch, graphs: int) -> None:
    """Four graphs may be shown in all; each round shows as many as there are dialects."""
    from edgevision.compiler.select import budget

    rounds: list[int] = []
    start = budget.Validated(measured([INT8, FLOAT]), (FLOAT,), budget.Shown(comparisons=graphs))

    def fall_back(_first: Any, _ranking: Any, refused: Candidate, *_more: Any) -> Candidate:
        rounds.append(len(refused.float_fallback))
        return Candidate("int8", b"", "int8", "any", float_fallback=("worst",) * (len(rounds)))

    def validate(_job: Any, _measured: Any, known: Any) -> Any:
        shown = budget.Shown(
            comparisons=known.shown.comparisons + graphs, verdicts={INT8: SimpleNamespace(passed=False)}
        )
        return budget.Validated(start.measured, (FLOAT,), shown)

    monkeypatch.setattr(budget, "sensitive_nodes", lambda *_: [("worst", 1.0)])
    monkeypatch.setattr(budget, "fall_back", fall_back)
    monkeypatch.setattr(budget, "int8_candidates", lambda calibrated, nodes: [])
    monkeypatch.setattr(budget, "measure_candidates", lambda *_: start.measured)
    monkeypatch.setattr(budget, "validate_variants", validate)
    ended = budget.fallback_to_float(job_of(), [None] * graphs, start)  # type: ignore[list-item]
    assert len(rounds) == {1: 3, 2: 1, 3: 0}[graphs]
    assert ended.ranking == (("worst", 1.0),)
    expected = f"int8 stays outside the budget even with its {len(rounds)} most sensitive layers in float"
    assert ended.notes == ((expected,) if rounds else ())
