"""The choice of the range estimator, and the return of layers to float, on a network whose flaw is built in."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

pytestmark = pytest.mark.requires("torch", "onnx")


@pytest.fixture(scope="module")
def graph(files, spec, labels):
    return files["onnx"].read_bytes()


@pytest.fixture(scope="module")
def tensors(spec):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(8, *spec.tensor_shape)).astype(np.float32) for _ in range(3)]


@pytest.fixture(scope="module")
def calibrated(graph, tensors):
    from edgevision.compiler.int8 import calibrate

    return calibrate(graph, tensors, "logits", 1)


def test_the_recipe_with_the_least_divergence_makes_the_graph(calibrated, graph, tensors):
    from edgevision.compiler.agreement import agreement, graph_outputs
    from edgevision.compiler.bias_correction import correct_biases
    from edgevision.compiler.estimators import ESTIMATORS, estimate
    from edgevision.compiler.int8 import int8_candidate
    from edgevision.compiler.quantize import quantize

    assert set(calibrated.estimators) == set(ESTIMATORS)
    reference = graph_outputs(graph, tensors)
    dialect, table = calibrated.dialect, calibrated.plain.table

    def divergence(made: bytes) -> float:
        return agreement(reference, graph_outputs(made, tensors)).kl

    made = {}  # each made and judged again, one by one
    for name in ESTIMATORS:
        made[name] = quantize(graph, estimate(table, name), dialect).graph
        assert calibrated.estimators[name] == pytest.approx(divergence(made[name]), rel=1e-3, abs=1e-9)
    best = min(calibrated.estimators, key=lambda name: calibrated.estimators[name])
    ranges = estimate(table, best)
    made[f"{best} + bias correction"] = quantize(correct_biases(graph, ranges, dialect, tensors), ranges, dialect).graph
    least = min(made, key=lambda name: divergence(made[name]))
    assert not calibrated.recipe.equalization  # nothing depthwise in it
    candidate = int8_candidate(calibrated)
    assert (candidate.estimator, candidate.graph) == (least, made[least])
    assert (candidate.key, candidate.precision, candidate.dialect) == ("int8", "int8", "x86-vnni")


def test_other_dialects_from_the_same_calibration(calibrated, graph, tensors):
    from edgevision.compiler.agreement import agreement, graph_outputs
    from edgevision.compiler.dialects import TENSORRT
    from edgevision.compiler.int8 import for_dialect, int8_candidate

    other = for_dialect(calibrated, TENSORRT)
    assert other.plain is calibrated.plain  # no photo went through the float model again
    best = sorted(calibrated.estimators, key=lambda name: calibrated.estimators[name])[:2]
    assert set(other.estimators) == set(best)  # what was best once is tried again
    candidate = int8_candidate(other, key="int8-tensorrt")
    assert (candidate.key, candidate.dialect) == ("int8-tensorrt", "tensorrt")
    outputs = graph_outputs(candidate.graph, tensors)
    assert agreement(calibrated.reference, outputs).kl == pytest.approx(min(other.recipes.values()), rel=1e-3, abs=1e-9)


def test_an_outlier_turns_the_choice_away_from_minmax(graph, tensors):
    from edgevision.compiler.int8 import calibrate

    spoiled = [tensors[0].copy(), *tensors[1:]]
    spoiled[0][0, 0, 0, 0] = 3000.0  # one pixel far out makes the range 1000 times too wide
    made = calibrate(graph, spoiled, "logits", 1)
    assert made.estimator != "minmax"
    assert made.estimators[made.estimator] < made.estimators["minmax"]


def test_the_same_photos_give_the_same_graph(calibrated, graph, tensors):
    from edgevision.compiler.int8 import calibrate, int8_candidate

    again = calibrate(graph, [t.copy() for t in tensors], "logits", 1)
    assert again.estimators == calibrated.estimators
    assert int8_candidate(again).graph == int8_candidate(calibrated).graph


def test_sensitive_nodes_go_back_to_float(calibrated, graph, tensors):
    from edgevision.compiler.agreement import agreement, graph_outputs
    from edgevision.compiler.int8 import int8_candidate, sensitive_nodes

    ranking = sensitive_nodes(calibrated)
    assert [loss for _, loss in ranking] == sorted((loss for _, loss in ranking), reverse=True)
    nodes = [name for name, _ in ranking]
    assert len(nodes) == len(set(nodes)) > 2
    names = {node.name for node in onnx.load_from_string(graph).graph.node}
    assert set(nodes) <= names
    reference = graph_outputs(graph, tensors)
    divergence = []
    for count in (0, len(nodes)):
        candidate = int8_candidate(calibrated, nodes[:count])
        assert candidate.float_parts == tuple(sorted(nodes[:count]))
        divergence.append(agreement(reference, graph_outputs(candidate.graph, tensors)).kl)
    assert divergence[1] < divergence[0]
    assert divergence[1] == pytest.approx(0, abs=1e-6)  # everything is back


def test_each_restoring_halves_the_divergence_with_as_few_nodes_as_it_takes(calibrated, graph, tensors):
    from edgevision.compiler.agreement import agreement, graph_outputs
    from edgevision.compiler.int8 import int8_candidate, restore, sensitive_nodes

    reference = graph_outputs(graph, tensors)

    def divergence(candidate) -> float:
        return agreement(reference, graph_outputs(candidate.graph, tensors)).kl

    ranking = sensitive_nodes(calibrated)
    plain = int8_candidate(calibrated)
    made = restore(calibrated, ranking, plain, 100.0)
    assert divergence(made) <= divergence(plain) / 2
    nodes = [name for name, _ in ranking]
    back = len(made.float_parts)
    assert set(made.float_parts) == set(nodes[:back])
    assert divergence(int8_candidate(calibrated, nodes[: back - 1])) > divergence(plain) / 2
    stricter = restore(calibrated, ranking, made, 100.0)
    assert stricter is None or len(stricter.float_parts) > back


def test_restoring_counts_accuracy_where_there_are_labels_and_agreement_where_not(calibrated, monkeypatch):
    """One answer differs from float's, and neither is right: a loss of agreement, and none of accuracy."""
    from edgevision.compiler import int8

    n = len(calibrated.reference)
    best = calibrated.reference.argmax(1)
    truth = (best + 1) % calibrated.reference.shape[1]  # float is never right
    other = calibrated.reference.copy()
    other[0] = np.roll(other[0], 2)
    monkeypatch.setattr(int8, "graph_outputs", lambda *a, **k: other)
    monkeypatch.setattr(int8, "agreement", lambda *a, **k: type("A", (), {"kl": 0.0}))
    ranking = [(name, 0.0) for name in ("a", "b", "c")]
    asked = []

    def restore_until(graph, ranges, dialect, given, accept, most, make, progress):
        asked.append(accept(b""))

    monkeypatch.setattr(int8, "restore_until", restore_until)
    monkeypatch.setattr(int8, "int8_candidate", lambda c, keep=(): keep)
    refused = type("C", (), {"float_parts": (), "graph": b""})
    for max_drop, labels in ((0.5 * 100 / n, None), (100 / n, None), (0.0, truth)):
        assert int8.restore(calibrated, ranking, refused, max_drop, labels) == ["a", "b"]  # as many as may go back
    assert asked == [False, True, True]


def test_progress_is_told(graph, tensors):
    from edgevision.compiler.int8 import calibrate

    steps = []
    calibrate(graph, tensors, "logits", 1, lambda step, done, total: steps.append((step, done, total)))
    assert {step for step, _, _ in steps} == {"calibrate", "range estimators"}
    assert all(done <= total or not total for _, done, total in steps)


def test_dialects_that_come_out_the_same_are_run_once(calibrated, monkeypatch):
    from edgevision.compiler import int8
    from edgevision.compiler.dialects import OPENVINO_VNNI

    ran = []
    outputs = int8.graph_outputs
    monkeypatch.setattr(int8, "graph_outputs", lambda graph, *a, **k: ran.append(graph) or outputs(graph, *a, **k))
    again = int8.for_dialect(calibrated, calibrated.dialect)
    assert (ran, again.recipe) == ([], calibrated.recipe)
    assert {r: v for r, v in calibrated.recipes.items() if r in again.recipes} == again.recipes
    other = int8.for_dialect(calibrated, OPENVINO_VNNI)
    same = [int8.int8_graph(one).graph for one in (calibrated, other)]
    assert (same[0] in ran) is False
    assert len(ran) == len(set(ran))


@pytest.mark.parametrize(("photos", "batch", "count"), [(24, 8, 24), (24, 8, 100), (24, 8, 10), (23, 5, 12), (7, 7, 1)])
def test_some_photos_are_drawn_from_all(photos, batch, count):
    from edgevision.compiler.int8 import some_photos

    tensors = [np.arange(start, min(start + batch, photos)).reshape(-1, 1) for start in range(0, photos, batch)]
    drawn = np.concatenate(some_photos(tensors, count)).ravel().tolist()
    assert len(set(drawn)) == len(drawn) == min(photos, count)
    assert drawn == sorted(drawn)
    assert all(0 < len(part) <= batch for part in some_photos(tensors, count))
    if 1 < count < photos:
        assert min(drawn) < photos / 4 < 3 * photos / 4 < max(drawn)  # neither the first nor the last alone


def test_sensitivities_for_the_report_name_what_was_measured_alone(calibrated):
    from edgevision.compiler.int8 import sensitive_nodes, sensitivities

    measured = sensitivities(calibrated)
    assert measured == sensitive_nodes(calibrated)  # 24 photos: all of them for both
    assert sensitivities(calibrated, time_limit_s=0.0) == []
