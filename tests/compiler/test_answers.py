"""The task's measure, applied to graphs: of one output and of several."""

from __future__ import annotations

import numpy as np
import pytest
from measures import RawEvaluator, classify_measure, raw_spec, register_raw

from edgevision.compiler.answers import AnswerMeasure, run_graph
from edgevision.errors import EngineError, InputError
from edgevision.evaluate.base import NodeInfo
from edgevision.evaluate.statistics.divergence import kl_divergence
from edgevision.tasks.base import TaskSpec
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("onnx")

SCORES = np.log([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.6, 0.2, 0.2]]).astype(np.float32)


def scaled(*factors: float) -> bytes:
    """A graph from x [n, 3] that gives ``y0`` = factor 0 × x, ``y1`` = factor 1 × x, …"""
    import onnx

    parts = [f"k{i} = Constant<value_float = {factor}>() y{i} = Mul(x, k{i})" for i, factor in enumerate(factors)]
    ends = ", ".join(f"float[n,3] y{i}" for i in range(len(factors)))
    text = f'<ir_version: 8, opset_import: ["": 18]> net (float[n,3] x) => ({ends}) {{ {" ".join(parts)} }}'
    return onnx.parser.parse_model(text).SerializeToString()


class TestRunGraph:
    def test_each_batch_by_the_names_of_the_outputs(self):
        made = list(run_graph(scaled(2.0, -1.0), [SCORES[:3], SCORES[3:]]))
        assert [list(outputs) for outputs in made] == [["y0", "y1"]] * 2
        assert [outputs["y0"].shape for outputs in made] == [(3, 3), (1, 3)]
        for outputs, batch in zip(made, (SCORES[:3], SCORES[3:]), strict=True):
            np.testing.assert_array_equal(outputs["y0"], 2 * batch)
            np.testing.assert_array_equal(outputs["y1"], -batch)

    def test_no_photos(self):
        with pytest.raises(InputError, match="no photos"):
            classify_measure(3).run(scaled(1.0), [])

    @pytest.mark.parametrize(("graph", "batch"), [(b"nothing", SCORES), (None, SCORES[:, :2])])
    def test_what_does_not_run(self, graph, batch):
        with pytest.raises(EngineError, match="ONNX Runtime cannot run the graph"):
            list(run_graph(scaled(1.0) if graph is None else graph, [batch]))


class TestClassify:
    measure = classify_measure(3, "y0")

    def test_answers_of_a_graph_over_all_batches(self):
        answers = self.measure.run(scaled(2.0), [SCORES[:3], SCORES[3:]])
        assert list(answers) == ["scores"]
        np.testing.assert_array_equal(answers["scores"], 2 * SCORES)

    def test_outputs_that_the_task_does_not_speak_of_are_left_out(self):
        answers = classify_measure(3, "y1").run(scaled(2.0, -1.0), [SCORES])
        assert list(answers) == ["scores"]
        np.testing.assert_array_equal(answers["scores"], -SCORES)

    def test_the_digest_of_an_array_is_that_of_the_one_output(self):
        np.testing.assert_array_equal(self.measure.digest_of_array(SCORES)["scores"], SCORES)
        np.testing.assert_array_equal(self.measure.digest({"y0": SCORES})["scores"], SCORES)

    def test_divergence_is_the_tasks(self):
        other = SCORES + np.float32(0.5) * SCORES[::-1]
        expected = kl_divergence(SCORES, other)
        assert self.measure.divergence({"scores": SCORES}, {"scores": other}) == expected > 0
        assert self.measure.divergence({"scores": SCORES}, {"scores": SCORES}) == 0
        chances = np.exp(SCORES)
        of_chances = classify_measure(3, layout="probabilities")
        value = of_chances.divergence({"scores": chances}, {"scores": chances[::-1]})
        assert value == kl_divergence(chances, chances[::-1], probabilities=True)

    def test_agreement_and_accuracy_are_in_points(self):
        other = SCORES.copy()
        other[1] = SCORES[0]  # of four answers, one differs
        assert self.measure.agreement({"scores": SCORES}, {"scores": other}) == 75.0
        assert self.measure.agreement({"scores": SCORES}, {"scores": SCORES}) == 100.0
        assert self.measure.accuracy({"scores": SCORES}, [0, 1, 2, 0]) == 100.0
        assert self.measure.accuracy({"scores": other}, [1, 1, 2, 0]) == 50.0

    def test_agreement_takes_the_first_argument_for_the_truth(self, monkeypatch):
        asked = []
        evaluator = type(self.measure.evaluator)
        scores = evaluator.scores
        monkeypatch.setattr(evaluator, "scores", lambda self, d, t: asked.append((d, t)) or scores(self, d, t))
        reference, other = {"scores": SCORES}, {"scores": SCORES[::-1].copy()}
        self.measure.agreement(reference, other)
        assert asked == [(other, [0, 1, 2, 0])]

    def test_nodes_of_a_classifier_may_all_be_int8(self):
        assert self.measure.float_nodes([NodeInfo("conv", "Conv", ("x", "w"), ("y",))]) == frozenset()


class TestSeveralOutputs:
    measure = AnswerMeasure(RawEvaluator(raw_spec("y1", "y0")))

    def test_every_output_is_kept_under_its_role(self):
        answers = self.measure.run(scaled(2.0, -1.0), [SCORES[:3], SCORES[3:]])
        assert list(answers) == ["Y1", "Y0"]
        np.testing.assert_array_equal(answers["Y0"], 2 * SCORES)
        np.testing.assert_array_equal(answers["Y1"], -SCORES)

    def test_what_any_output_lost_counts(self):
        reference = self.measure.run(scaled(2.0, -1.0), [SCORES])
        for factors, expected in (((2.0, -1.0), 0.0), ((3.0, -1.0), 0.25), ((2.0, -3.0), 4.0), ((3.0, -3.0), 4.25)):
            other = self.measure.run(scaled(*factors), [SCORES])
            assert self.measure.divergence(reference, other) == pytest.approx(expected, abs=1e-12)
        turned = self.measure.run(scaled(2.0, 1.0), [SCORES])
        assert self.measure.agreement(reference, turned) == 0.0
        assert self.measure.agreement(reference, reference) == 100.0

    def test_one_array_cannot_stand_for_them(self):
        with pytest.raises(InputError, match="one output, its task has 2"):
            self.measure.digest_of_array(SCORES)


def test_the_evaluator_is_that_of_the_specs_kind(monkeypatch):
    register_raw(monkeypatch)
    assert isinstance(AnswerMeasure.of(raw_spec("y0")).evaluator, RawEvaluator)
    with pytest.raises(InputError, match="nothing here knows how to compare models that juggle"):
        AnswerMeasure.of(TaskSpec("juggle", (Label(0, "a"),), ()))
