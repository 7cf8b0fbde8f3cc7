"""The choice of the recipe, and the return of layers to float, on a network whose flaw is built in."""

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
def measure(graph):
    from measures import measure_of

    return measure_of(graph)


@pytest.fixture(scope="module")
def calibrated(graph, tensors, measure):
    from edgevision.compiler.quantize.recipes import calibrate

    return calibrate(graph, tensors, measure, 1)


def test_the_recipe_with_the_least_divergence_makes_the_graph(calibrated, graph, tensors, measure):
    from edgevision.compiler.quantize.bias_correction import correct_biases
    from edgevision.compiler.quantize.emitter import quantize
    from edgevision.compiler.quantize.estimators import ESTIMATORS, estimate
    from edgevision.compiler.quantize.recipes import int8_candidate

    assert set(calibrated.estimators) == set(ESTIMATORS)
    reference = measure.run(graph, tensors)
    dialect, table = calibrated.dialect, calibrated.plain.table

    def divergence(made: bytes) -> float:
        return measure.divergence(reference, measure.run(made, tensors))

    made = {}  # each made and compared again, one by one
    for name in ESTIMATORS:
        made[name] = quantize(graph, estimate(table, name), dialect).graph
        assert calibrated.estimators[name] == pytest.approx(divergence(made[name]), rel=1e-3, abs=1e-9)
    best = min(calibrated.estimators, key=lambda name: calibrated.estimators[name])
    ranges = estimate(table, best)
    made[f"{best} + bias correction"] = quantize(correct_biases(graph, ranges, dialect, tensors), ranges, dialect).graph
    least = min(made, key=lambda name: divergence(made[name]))
    assert not calibrated.recipe.equalization  # nothing depthwise in it
    candidate = int8_candidate(calibrated)
    assert (candidate.recipe, candidate.graph) == (least, made[least])
    assert (candidate.key, candidate.precision, candidate.dialect) == ("int8", "int8", "x86-vnni")


def test_other_dialects_from_the_same_calibration(calibrated, tensors, measure):
    from edgevision.compiler.quantize.dialects import TENSORRT
    from edgevision.compiler.quantize.recipes import for_dialect, int8_candidate

    other = for_dialect(calibrated, TENSORRT)
    assert other.plain is calibrated.plain  # no photo went through the float model again
    best = sorted(calibrated.estimators, key=lambda name: calibrated.estimators[name])[:2]
    assert set(other.estimators) == set(best)  # what was best once is tried again
    candidate = int8_candidate(other, key="int8-tensorrt")
    assert (candidate.key, candidate.dialect) == ("int8-tensorrt", "tensorrt")
    divergence = measure.divergence(calibrated.reference, measure.run(candidate.graph, tensors))
    assert divergence == pytest.approx(min(other.recipes.values()), rel=1e-3, abs=1e-9)


def test_an_outlier_turns_the_choice_away_from_minmax(graph, tensors, measure):
    from edgevision.compiler.quantize.recipes import calibrate

    spoiled = [tensors[0].copy(), *tensors[1:]]
    spoiled[0][0, 0, 0, 0] = 3000.0  # one pixel far out makes the range 1000 times too wide
    made = calibrate(graph, spoiled, measure, 1)
    assert made.estimator != "minmax"
    assert made.estimators[made.estimator] < made.estimators["minmax"]


def test_the_same_photos_give_the_same_graph(calibrated, graph, tensors, measure):
    from edgevision.compiler.quantize.recipes import calibrate, int8_candidate

    again = calibrate(graph, [t.copy() for t in tensors], measure, 1)
    assert again.estimators == calibrated.estimators
    assert int8_candidate(again).graph == int8_candidate(calibrated).graph


def test_sensitive_nodes_go_back_to_float(calibrated, graph, tensors, measure):
    from edgevision.compiler.quantize.recipes import int8_candidate, sensitive_nodes

    ranking = sensitive_nodes(calibrated)
    assert [loss for _, loss in ranking] == sorted((loss for _, loss in ranking), reverse=True)
    nodes = [name for name, _ in ranking]
    assert len(nodes) == len(set(nodes)) > 2
    names = {node.name for node in onnx.load_from_string(graph).graph.node}
    assert set(nodes) <= names
    reference = measure.run(graph, tensors)
    divergence = []
    for count in (0, len(nodes)):
        candidate = int8_candidate(calibrated, nodes[:count])
        assert candidate.float_fallback == tuple(sorted(nodes[:count]))
        divergence.append(measure.divergence(reference, measure.run(candidate.graph, tensors)))
    assert divergence[1] < divergence[0]
    assert divergence[1] == pytest.approx(0, abs=1e-6)  # everything is back


def test_each_fallback_halves_the_divergence_with_as_few_nodes_as_it_takes(calibrated, graph, tensors, measure):
    from edgevision.compiler.quantize.recipes import fall_back, int8_candidate, sensitive_nodes

    reference = measure.run(graph, tensors)

    def divergence(candidate) -> float:
        return measure.divergence(reference, measure.run(candidate.graph, tensors))

    ranking = sensitive_nodes(calibrated)
    plain = int8_candidate(calibrated)
    made = fall_back(calibrated, ranking, plain, 100.0)
    assert divergence(made) <= divergence(plain) / 2
    nodes = [name for name, _ in ranking]
    back = len(made.float_fallback)
    assert set(made.float_fallback) == set(nodes[:back])
    assert divergence(int8_candidate(calibrated, nodes[: back - 1])) > divergence(plain) / 2
    stricter = fall_back(calibrated, ranking, made, 100.0)
    assert stricter is None or len(stricter.float_fallback) > back


def test_fallback_counts_accuracy_where_there_is_a_truth_and_agreement_where_not(calibrated, monkeypatch):
    """One answer differs from float's, and neither is right: a loss of agreement, and none of accuracy."""
    from dataclasses import replace

    from edgevision.compiler.answers import AnswerMeasure
    from edgevision.compiler.quantize import recipes

    scores = calibrated.reference["scores"]
    n = len(scores)
    truth = ((scores.argmax(1) + 1) % scores.shape[1]).tolist()  # float is never right
    other = scores.copy()
    other[0] = np.roll(other[0], 2)
    monkeypatch.setattr(AnswerMeasure, "run", lambda *a, **k: {"scores": other})
    monkeypatch.setattr(AnswerMeasure, "divergence", lambda *a: 0.0)
    ranking = [(name, 0.0) for name in ("a", "b", "c")]
    asked = []

    def fallback_until(graph, ranges, dialect, given, accept, most, make, progress):
        asked.append(accept(b""))

    monkeypatch.setattr(recipes, "fallback_until", fallback_until)
    monkeypatch.setattr(recipes, "int8_candidate", lambda c, keep=(): keep)
    refused = type("C", (), {"float_fallback": (), "graph": b""})
    fresh = replace(calibrated)
    fresh.__dict__["reference"] = calibrated.reference  # of the network, not of what stands in for ``run``
    for max_drop, known in ((0.5 * 100 / n, None), (100 / n, None), (0.0, truth)):
        assert recipes.fall_back(fresh, ranking, refused, max_drop, known) == ["a", "b"]  # as many as may go back
    assert asked == [False, True, True]


@pytest.mark.parametrize("dialect", ["x86-vnni", "tensorrt"])
def test_what_the_task_wants_in_float_stays_float_whatever_goes_back(graph, tensors, measure, dialect, monkeypatch):
    from edgevision.compiler.quantize.dialects import DIALECTS
    from edgevision.compiler.quantize.recipes import calibrate, fall_back, for_dialect, int8_graph, sensitive_nodes
    from edgevision.evaluate.tasks.classify import ClassifyEvaluator

    nodes = {node.name: node for node in onnx.load_from_string(graph).graph.node}
    head = next(name for name, node in nodes.items() if node.op_type == "Gemm")
    seen = []

    def float_nodes(self, infos):
        seen.extend(infos)
        return frozenset({head})

    monkeypatch.setattr(ClassifyEvaluator, "float_nodes", float_nodes)
    calibrated = for_dialect(calibrate(graph, tensors, measure, 1), DIALECTS[dialect])
    assert {(info.name, info.operator) for info in seen} == {(name, node.op_type) for name, node in nodes.items()}
    assert all(
        (info.inputs, info.outputs) == (tuple(nodes[info.name].input), tuple(nodes[info.name].output)) for info in seen
    )
    made = int8_graph(calibrated)
    assert head in made.float_nodes
    assert made.int8_nodes
    refused = type("C", (), {"float_fallback": (), "graph": made.graph})
    more = fall_back(calibrated, [(head, 9.0), *sensitive_nodes(calibrated)], refused, 100.0)
    assert head not in more.float_fallback  # it was float already: another node's turn
    assert more.float_fallback


def test_progress_is_told(graph, tensors, measure):
    from edgevision.compiler.quantize.recipes import calibrate

    steps = []
    calibrate(graph, tensors, measure, 1, lambda step, done, total: steps.append((step, done, total)))
    assert {step for step, _, _ in steps} == {"calibrate", "range estimators"}
    assert all(done <= total or not total for _, done, total in steps)


def test_dialects_that_come_out_the_same_are_run_once(calibrated, monkeypatch):
    from edgevision.compiler.answers import AnswerMeasure
    from edgevision.compiler.quantize import recipes
    from edgevision.compiler.quantize.dialects import OPENVINO_VNNI

    ran = []
    run = AnswerMeasure.run
    monkeypatch.setattr(
        AnswerMeasure, "run", lambda self, graph, *a, **k: ran.append(graph) or run(self, graph, *a, **k)
    )
    again = recipes.for_dialect(calibrated, calibrated.dialect)
    assert (ran, again.recipe) == ([], calibrated.recipe)
    assert {r: v for r, v in calibrated.recipes.items() if r in again.recipes} == again.recipes
    other = recipes.for_dialect(calibrated, OPENVINO_VNNI)
    same = [recipes.int8_graph(one).graph for one in (calibrated, other)]
    assert (same[0] in ran) is False
    assert len(ran) == len(set(ran))


@pytest.mark.parametrize(("photos", "batch", "count"), [(24, 8, 24), (24, 8, 100), (24, 8, 10), (23, 5, 12), (7, 7, 1)])
def test_some_photos_are_drawn_from_all(photos, batch, count):
    from edgevision.compiler.quantize.recipes import some_photos

    tensors = [np.arange(start, min(start + batch, photos)).reshape(-1, 1) for start in range(0, photos, batch)]
    drawn = np.concatenate(some_photos(tensors, count)).ravel().tolist()
    assert len(set(drawn)) == len(drawn) == min(photos, count)
    assert drawn == sorted(drawn)
    assert all(0 < len(part) <= batch for part in some_photos(tensors, count))
    if 1 < count < photos:
        assert min(drawn) < photos / 4 < 3 * photos / 4 < max(drawn)  # neither the first nor the last alone


def test_sensitivities_for_the_report_name_what_was_measured_alone(calibrated):
    from edgevision.compiler.quantize.recipes import sensitive_nodes, sensitivities

    measured = sensitivities(calibrated)
    assert measured == sensitive_nodes(calibrated)  # 24 photos: all of them for both
    assert sensitivities(calibrated, time_limit_s=0.0) == []


# ---- choices, on figures that are given ----


@pytest.mark.parametrize(
    ("recipe", "name"),
    [
        (("mse",), "mse"),
        (("mse", True), "mse + bias correction"),
        (("minmax", False, True), "minmax + equalization"),
        (("entropy", True, True), "entropy + equalization + bias correction"),
    ],
)
def test_a_recipe_is_named_by_its_steps_in_their_order(recipe, name):
    from edgevision.compiler.quantize.recipes import Recipe

    assert Recipe(*recipe).name == name


@pytest.mark.parametrize(
    ("channels", "group", "expected"),
    [
        (4, 4, True),
        (4, 2, False),  # two input channels for each output channel
        (4, 1, False),
        (1, 1, True),  # one input channel is one, whatever it is called
    ],
)
def test_depthwise_is_one_input_channel_for_each_output_channel(builder, channels, group, expected):
    from edgevision.compiler.quantize.recipes import has_depthwise

    b = builder(channels, 4)
    assert has_depthwise(b.build(b.random_conv("x", channels, 4, 3, group=group))) == expected


@pytest.fixture
def fitted(monkeypatch):
    """``_fit`` with figures that are given: (estimator, bias correction, equalization) → divergence; any other is 1."""
    from edgevision.compiler.quantize import recipes

    def fit(figures, equalized, estimators=("minmax", "mse")):
        statistics = type("S", (), {"graph": b"float", "ranges": lambda self, name: {"x": name}})
        plain, other = statistics(), statistics() if equalized else None
        trials = type("T", (), {"divergence": lambda self, graph: figures.get(graph, 1.0)})()
        monkeypatch.setattr(
            recipes,
            "_int8_graph",
            lambda observed, ranges, recipe, *more: type(
                "Q", (), {"graph": (ranges["x"], recipe.bias_correction, observed is other)}
            ),
        )
        told = []
        made = recipes._fit(plain, other, [], trials, None, estimators, frozenset(), lambda *step: told.append(step))
        assert [done for _, done, _ in told] == list(range(told[0][2] + 1))  # as many attempts as were announced
        return made

    return fit


@pytest.mark.parametrize(
    ("figures", "equalized", "chosen"),
    [
        ({("mse", False, False): 0.5}, False, ("mse", False, False)),
        ({}, False, ("minmax", False, False)),  # of equals the first
        ({("mse", False, False): 0.5, ("mse", True, False): 0.4}, False, ("mse", True, False)),
        # Bias correction is tried with the best estimator alone.
        ({("mse", False, False): 0.5, ("minmax", True, False): 0.1}, False, ("mse", False, False)),
        ({("mse", False, False): 0.5, ("mse", False, True): 0.3}, True, ("mse", False, True)),
        ({("mse", False, False): 0.5, ("mse", True, True): 0.3}, True, ("mse", True, True)),
        (
            {("mse", False, False): 0.5, ("mse", True, False): 0.3, ("mse", True, True): 0.31},
            True,
            ("mse", True, False),
        ),
    ],
)
def test_the_least_divergence_is_chosen_of_what_is_tried_with_the_best_estimator(fitted, figures, equalized, chosen):
    made = fitted(figures, equalized)
    recipe = made.recipe
    assert (recipe.estimator, recipe.bias_correction, recipe.equalization) == chosen
    assert made.ranges == {"x": chosen[0]}
    assert made.observed is (made.equalized if chosen[2] else made.plain)
    assert set(made.estimators) == {"minmax", "mse"}
    assert len(made.recipes) == (5 if equalized else 3)


@pytest.mark.parametrize(
    ("ranked", "in_float", "most"),
    [
        (20, 0, 8),  # more than eight leave little of the gain
        (20, 7, 8),
        (20, 8, None),
        (9, 0, 8),
        (5, 0, 4),  # one stays in int8
        (5, 3, 4),
        (5, 4, None),
        (1, 0, None),
        (0, 0, None),
    ],
)
def test_at_most_eight_nodes_and_never_all_go_back_to_float(calibrated, monkeypatch, ranked, in_float, most):
    """Where no number of nodes is accepted, as many as may go back do; where as many are already, none is left to try."""
    from edgevision.compiler.answers import AnswerMeasure
    from edgevision.compiler.quantize import recipes

    asked, reference = [], calibrated.reference
    monkeypatch.setattr(AnswerMeasure, "run", lambda *a, **k: reference)
    monkeypatch.setattr(recipes, "fallback_until", lambda *given, **more: asked.append(given[5]))
    monkeypatch.setattr(recipes, "int8_candidate", lambda c, nodes=(): list(nodes))
    names = [f"n{place}" for place in range(ranked)]
    refused = type("C", (), {"float_fallback": tuple(names[:in_float]), "graph": b""})
    made = recipes.fall_back(calibrated, [(name, 1.0) for name in names], refused, 100.0)
    assert asked == ([] if most is None else [most])
    assert made == (None if most is None else names[:most])


@pytest.mark.parametrize(
    ("divergence", "lost", "accepted"),
    [
        (0.5, 1, True),  # half of what it was, and as much lost as may be
        (0.51, 1, False),
        (0.5, 2, False),
        (0.0, 0, True),
    ],
)
def test_a_fallback_halves_the_divergence_and_loses_no_more_than_allowed(
    calibrated, monkeypatch, divergence, lost, accepted
):
    from edgevision.compiler.answers import AnswerMeasure
    from edgevision.compiler.quantize import recipes

    scores = calibrated.reference["scores"]
    truth = scores.argmax(1).tolist()  # float is always right
    other = scores.copy()
    other[:lost] = np.roll(other[:lost], 1, axis=1)
    answers = {b"refused": (scores, 1.0), b"tried": (other, divergence)}
    asked = []
    monkeypatch.setattr(AnswerMeasure, "run", lambda self, graph, *a, **k: {"scores": answers[graph][0], "of": graph})
    monkeypatch.setattr(AnswerMeasure, "divergence", lambda self, reference, own: answers[own["of"]][1])
    monkeypatch.setattr(recipes, "fallback_until", lambda *given, **more: asked.append(given[4](b"tried")))
    monkeypatch.setattr(recipes, "int8_candidate", lambda c, nodes=(): nodes)
    refused = type("C", (), {"float_fallback": (), "graph": b"refused"})
    recipes.fall_back(calibrated, [(name, 1.0) for name in "abc"], refused, 100 / len(truth), truth)
    assert asked == [accepted]


def test_dialects_that_write_the_same_graph_are_one_candidate(monkeypatch):
    from types import SimpleNamespace

    from edgevision.compiler.quantize import recipes

    graphs = {"x86": b"one", "openvino": b"one", "arm": b"two", "tensorrt": b"two"}
    recipe = recipes.Recipe("mse")
    monkeypatch.setattr(
        recipes,
        "int8_graph",
        lambda one, kept: SimpleNamespace(graph=graphs[one.dialect.name] + b"".join(sorted(k.encode() for k in kept))),
    )
    ones = [SimpleNamespace(dialect=SimpleNamespace(name=name), recipe=recipe) for name in graphs]
    made = recipes.int8_candidates(ones, ["b", "a"])
    assert [(one.key, one.dialect, one.graph) for one in made] == [
        ("int8", "x86", b"oneab"),
        ("int8-arm", "arm", b"twoab"),
    ]
    assert {one.float_fallback for one in made} == {("a", "b")}
    assert {one.recipe for one in made} == {"mse"}
