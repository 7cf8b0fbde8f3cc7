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


def test_the_estimator_with_the_least_divergence_makes_the_graph(calibrated, graph, tensors):
    from edgevision.compiler.agreement import agreement, graph_outputs
    from edgevision.compiler.estimators import ESTIMATORS, estimate
    from edgevision.compiler.int8 import int8_candidate
    from edgevision.compiler.quantize import quantize

    assert set(calibrated.estimators) == set(ESTIMATORS)
    reference = graph_outputs(graph, tensors)
    least = None
    for name in ESTIMATORS:  # each made and judged again, one by one
        made = quantize(graph, estimate(calibrated.table, name), calibrated.dialect).graph
        divergence = agreement(reference, graph_outputs(made, tensors)).kl
        assert calibrated.estimators[name] == pytest.approx(divergence, rel=1e-3, abs=1e-9)
        if least is None or divergence < least[0] - 1e-12:
            least = (divergence, name, made)
    candidate = int8_candidate(calibrated)
    assert (candidate.estimator, candidate.graph) == least[1:]
    assert (candidate.key, candidate.precision, candidate.dialect) == ("int8", "int8", "x86-vnni")


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

    nodes = sensitive_nodes(calibrated)
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


def test_progress_is_told(graph, tensors):
    from edgevision.compiler.int8 import calibrate

    steps = []
    calibrate(graph, tensors, "logits", 1, lambda step, done, total: steps.append((step, done, total)))
    assert {step for step, _, _ in steps} == {"calibrate", "range estimators"}
    assert all(done <= total or not total for _, done, total in steps)
