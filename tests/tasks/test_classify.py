from __future__ import annotations

import json
import math
import re
from dataclasses import asdict
from fractions import Fraction

import numpy as np
import pytest

from edgevision.errors import EngineError, InputError, UnreadableOutputError
from edgevision.preprocess.geometry import Placement, Region
from edgevision.tasks import FrameId, Label, OutputRole, TaskSpec, Timing, View
from edgevision.tasks.classify import SCORES, ClassifyTask, classify_spec, margins
from edgevision.tasks.registry import ModelFacts, make_task, task_type
from edgevision.tensors import TensorInfo

LABELS = [Label(10 * i, name) for i, name in enumerate(["apple", "pear", "milk", "juice"], start=1)]
TIMING = Timing(1.5, 2.5, 0.0, batch=2)


def task_of(labels=LABELS, layout="logits", **parameters):
    return ClassifyTask(classify_spec(labels, layout, **parameters))


FRAME = FrameId()


def view(frame=FRAME):
    return View(frame, 480, 640, Region(0, 0, 640, 480), Placement(224, 224, 0, 0), 224, 224)


def decoded(task, rows, frames=None):
    frames = [FrameId()] * len(rows) if frames is None else frames
    return task.decode({"output": np.asarray(rows, np.float32)}, [view(frame) for frame in frames], TIMING)


def softmax(row, temperature=1.0):
    """Textbook softmax with Python's own numbers."""
    powers = [math.exp((value - max(row)) / temperature) for value in row]
    return [power / math.fsum(powers) for power in powers]


@pytest.mark.parametrize("temperature", [0.25, 1.0, 1.7, 40.0])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 50.0])
def test_logits_become_the_softmax_after_temperature(temperature, scale):
    raw = (scale * np.random.default_rng(1).normal(size=(6, 4))).astype(np.float32)
    got = task_of(temperature=temperature).probabilities(raw)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, [softmax([float(v) for v in row], temperature) for row in raw], rtol=1e-12)


def test_huge_logits_do_not_overflow():
    task = task_of()
    np.testing.assert_array_equal(task.probabilities([[3e38, -3e38, 0, 1]]), [[1, 0, 0, 0]])
    np.testing.assert_allclose(task.probabilities([[-3e38] * 4]), [[0.25] * 4])


@pytest.mark.parametrize("temperature", [1, 2, 3])
def test_probabilities_are_tempered_by_their_logarithm(temperature):
    """p^(1/T), normalised; for 1/16 and its kin the roots are exact."""
    raw = [[9 / 16, 4 / 16, 2 / 16, 1 / 16]]
    powers = [float(Fraction(p)) ** (1 / temperature) for p in raw[0]]
    got = task_of(layout="probabilities", temperature=temperature).probabilities(raw)
    np.testing.assert_allclose(got[0], [p / sum(powers) for p in powers], rtol=1e-12)


def test_probabilities_with_zeros_and_rounding_stay_probabilities():
    got = task_of(layout="probabilities", temperature=2.0).probabilities([[1.001, 0.0, -1e-4, 0.0]])
    assert np.isfinite(got).all()
    assert got[0, 0] == pytest.approx(1)
    assert got.sum() == pytest.approx(1)


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_log_scores_of_logits_are_the_logits(temperature):
    raw = np.random.default_rng(2).normal(size=(3, 4)).astype(np.float32)
    got = task_of(temperature=temperature).log_scores(raw)
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, raw)
    got[:] = 0
    assert raw.any()  # a copy: the engine's own memory stays as it is


def test_log_scores_of_probabilities_are_logarithms_clipped_where_float32_ends():
    got = task_of(layout="probabilities", temperature=3.0).log_scores(
        [[0.75, 0.25, 0.0, -0.001], [1, 2.0**-126, 1e-40, 0]]
    )
    least = -126 * math.log(2)
    expected = [[math.log(0.75), math.log(0.25), least, least], [0, least, least, least]]
    np.testing.assert_allclose(got, expected, rtol=1e-15)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("output", ["logits", "probabilities"])
def test_outputs_that_are_no_numbers_raise(bad, output):
    task = task_of(layout=output)
    for read in (task.probabilities, task.log_scores):
        with pytest.raises(EngineError, match="NaN or infinite"):
            read([[0.5, 0.5, 0, 0], [0, bad, 0, 0]])


def test_negative_probabilities_raise_and_hint_at_logits():
    with pytest.raises(EngineError, match=r"holds -3.*--output logits"):
        task_of(layout="probabilities").probabilities([[0.5, -3, 0, 0]])


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 5), (1, 2, 4)])
def test_another_shape_raises(shape):
    with pytest.raises(EngineError, match=r"expected \(n, 4\)"):
        task_of().probabilities(np.zeros(shape))


def test_decode_ranks_and_keeps_order_and_frames():
    frames = [FrameId("till", 7, 123), FrameId()]
    task = task_of(threshold=0.6, top=3)
    known, unknown = decoded(task, [[0, 5, 1, 2], [1, 0, 1, 1]], frames)
    assert [p.name for p in known.top] == ["pear", "juice", "milk"]
    assert [p.id for p in known.top] == [20, 40, 30]
    assert known.best.score == pytest.approx(softmax([0, 5, 1, 2])[1])
    assert known.known
    assert known.frame == frames[0]
    assert [p.name for p in unknown.top] == ["apple", "milk", "juice"]  # equal scores: in the labels' order
    assert not unknown.known
    assert unknown.timing.preprocess_ms == 1.5
    assert unknown.timing.infer_ms == 2.5
    assert unknown.timing.batch == 2
    assert unknown.timing.decode_ms > 0


@pytest.mark.parametrize(("threshold", "known"), [(0.0, True), (0.5, True), (0.5000001, False), (1.0, False)])
def test_the_threshold_itself_is_known(threshold, known):
    assert decoded(task_of(LABELS[:2], threshold=threshold), [[1, 1]])[0].known is known


def test_top_is_five_or_all_there_are():
    many = [Label(i, str(i)) for i in range(9)]
    assert len(decoded(task_of(many), np.zeros((1, 9)))[0].top) == 5
    assert len(decoded(task_of(), np.zeros((1, 4)))[0].top) == 4


def test_no_rows_no_results():
    assert decoded(task_of(), np.zeros((0, 4))) == []


def test_results_are_plain_json():
    (result,) = decoded(task_of(), [[4, 0, 0, 0]], [FrameId("a", 1, 2)])
    data = result.to_dict()
    assert data["top"][0] == {"id": 10, "name": "apple", "score": result.best.score}
    assert data["frame"] == {"camera": "a", "sequence": 1, "captured_ns": 2}
    assert type(data["known"]) is bool
    assert data == json.loads(json.dumps(asdict(result)))


def test_a_view_is_needed_for_each_row():
    with pytest.raises(InputError, match="each of 2 rows, got 1"):
        decoded(task_of(), np.zeros((2, 4)), [FrameId()])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": LABELS[:1]}, "at least 2 labels"),
        ({"layout": "scores"}, "logits"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": math.nan}, "threshold"),
        ({"top": 0}, "top"),
        ({"temperature": 1e7}, "temperature is within"),
        ({"temperature": "1"}, "temperature is a finite number, got '1'"),
        ({"temperature": True}, "temperature is a finite number, got True"),
        ({"speed": 1.0}, r"temperature, threshold and top, got \['speed'\]"),
    ],
)
def test_refuses_settings_that_make_no_sense(arguments, message):
    with pytest.raises(InputError, match=message):
        task_of(**arguments)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ((), "one output, got 0"),
        ((OutputRole("scores", "a", "logits"), OutputRole("boxes", "b", "xyxy")), "one output, got 2"),
        ((OutputRole("boxes", "a", "logits"),), "an output for the role 'scores'.*boxes"),
    ],
)
def test_refuses_outputs_that_are_not_a_classifiers(outputs, message):
    with pytest.raises(InputError, match=message):
        ClassifyTask(TaskSpec("classify", tuple(LABELS), outputs))


def test_the_registry_makes_the_same_task():
    spec = classify_spec(LABELS, "probabilities", "probs", temperature=2.0, threshold=0.25)
    task = make_task(spec)
    assert isinstance(task, ClassifyTask)
    assert task.spec is spec
    assert (task.labels, task.layout, task.temperature, task.threshold, task.top) == (
        tuple(LABELS), "probabilities", 2.0, 0.25, 4,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["output", "logits:0", "probs"])
@pytest.mark.parametrize("layout", ["logits", "probabilities"])
def test_the_one_output_is_resolved_with_the_layout_that_was_named(name, layout):
    spec = task_type("classify").resolve(ModelFacts((TensorInfo(name, "float32", (None, 4)),), LABELS, layout))
    assert spec == classify_spec(LABELS, layout, name)
    ClassifyTask(spec).check([TensorInfo(name, "float32", (None, 4))])


@pytest.mark.parametrize("layout", [None, "scores", "boxes"])
def test_what_a_column_means_is_not_guessed(layout):
    with pytest.raises(InputError, match=r"--output is one of \['logits', 'probabilities'\]"):
        task_type("classify").resolve(ModelFacts((TensorInfo("output", "float32", (None, 4)),), LABELS, layout))


# ---- check ----


@pytest.mark.parametrize("batch", [None, 1, 8])
def test_a_graph_with_a_column_for_each_label_fits(batch):
    task_of().check([TensorInfo("output", "float32", (batch, 4))])


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ([("output", (None, 3))], r"shape \(3,\) and there are 4 labels; give one label"),
        ([("output", (None, 5))], r"shape \(5,\) and there are 4 labels"),
        ([("output", (None, 4, 1))], r"shape \(4, 1\) and there are 4 labels"),
        ([("output", (None,))], r"shape \(\) and there are 4 labels"),
        ([("output", (None, None))], r"shape \(None,\) and there are 4 labels"),
        ([("scores", (None, 4))], "is called 'scores', its task spec speaks of 'output'; compile the model again"),
        ([], "has one output.*got 0: none; export only that one"),
        ([("output", (None, 4)), ("features", (None, 9))], "got 2: 'output', 'features'; export only that one"),
    ],
)
def test_other_graphs_do_not(outputs, message):
    with pytest.raises(EngineError, match=message):
        task_of().check([TensorInfo(name, "float32", shape) for name, shape in outputs])


# ---- digest ----


def test_a_digest_is_what_the_network_gave_under_its_role():
    scores = np.arange(8, dtype=np.float32).reshape(2, 4)
    task = ClassifyTask(classify_spec(LABELS, name="probs:0", temperature=3.0))
    digest = task.digest({"probs:0": scores, "features": np.zeros((2, 9))})
    assert list(digest) == [SCORES]
    np.testing.assert_array_equal(digest[SCORES], scores)  # before the temperature, which is fitted to it


def test_an_output_may_be_called_as_its_role():
    task = ClassifyTask(classify_spec(LABELS, name=SCORES))
    scores = np.zeros((1, 4))
    assert task.digest({SCORES: scores})[SCORES] is scores


# ---- compare ----

FLOAT = np.array([[0.7, 0.2, 0.1], [0.45, 0.35, 0.2]])  # the first has a clear margin, the second has not
OWN = np.array([[0.69, 0.21, 0.1], [0.41, 0.39, 0.2]])


def compare(reference, now, own, same_device):
    """Of probabilities, as the task for as many labels compares their digests."""
    labels = [Label(i, str(i)) for i in range(np.shape(reference)[1])]
    digests = ({SCORES: np.asarray(values)} for values in (reference, own, now))
    return task_of(labels, "probabilities").compare(*digests, same_device=same_device)


@pytest.mark.parametrize(
    ("difference", "same_device", "passed", "message"),
    [
        ([[0, 0, 0], [0, 0, 0]], True, True, "2 golden frames agree"),
        ([[0, 0, 0], [0, 0, 0]], False, True, "2 golden frames agree"),
        ([[9e-4, -9e-4, 0], [0, 0, 0]], True, True, "worst difference 0.0009, allowed 0.001"),
        ([[0, 0, 0], [0, 2e-3, -2e-3]], True, False, r"golden frame 2 of 2.* 0\.002 .*0\.001 is allowed where it"),
        ([[-0.09, 0.09, 0], [0, 0, 0]], False, True, "agree"),
        ([[-0.11, 0.11, 0], [0, 0, 0]], False, False, r"golden frame 1 of 2.* 0\.11 .*0\.1 is allowed on another"),
        ([[0, 0, 0], [-0.05, 0.05, 0]], False, True, "agree"),  # turned, but float's margin is not clear
    ],
)
def test_compare(difference, same_device, passed, message):
    result = compare(FLOAT, OWN + np.array(difference), OWN, same_device)
    assert result.passed is passed
    assert re.search(message, result.message)
    assert result.worst == pytest.approx(np.max(difference))


@pytest.mark.parametrize("same_device", [True, False])
@pytest.mark.parametrize("bad", [[[np.nan] * 3, [0, 0, 0]], [[0, 0, 0], [0, np.nan, 0]], [[np.inf, 0, 0], [0, 0, 0]]])
def test_outputs_that_are_no_numbers_are_no_answer(bad, same_device):
    """``check_golden`` makes a failed check of the error."""
    with pytest.raises(UnreadableOutputError, match="NaN or infinite"):
        compare(FLOAT, OWN + np.array(bad), OWN, same_device)


def test_another_device_must_not_turn_a_clear_answer():
    """The variant's own answer was near the edge; 0.1 alone would let the new one pass."""
    reference = np.array([[0.61, 0.39]])
    own, now = np.array([[0.54, 0.46]]), np.array([[0.46, 0.54]])
    result = compare(reference, now, own, False)
    assert not result.passed
    assert "best class is not float's" in result.message
    assert compare([[0.59, 0.41]], now, own, False).passed


@pytest.mark.parametrize(
    ("now", "error", "message"),
    [
        (OWN[:1], InputError, "one shape"),
        (np.empty((0, 3)), InputError, "one shape"),
        (OWN[:, :2], UnreadableOutputError, r"shape \(2, 2\), expected \(n, 3\)"),
        (OWN[0], UnreadableOutputError, r"shape \(3,\), expected \(n, 3\)"),
    ],
)
def test_compare_needs_one_shape(now, error, message):
    with pytest.raises(error, match=message):
        compare(FLOAT, now, OWN, True)


def test_no_frames_prove_nothing():
    with pytest.raises(InputError, match="one shape"):
        compare(np.empty((0, 3)), np.empty((0, 3)), np.empty((0, 3)), True)


def test_logits_are_compared_as_probabilities_after_the_temperature():
    """The same logits, at another temperature further apart or nearer together."""
    own, now = ({SCORES: np.array([[2.0, 0.0], [0.0, 2.0]]) + delta} for delta in (0, [[0.004, 0], [0, 0]]))
    labels = LABELS[:2]
    for temperature, difference in ((1.0, 0.004 * 0.105), (0.25, 4 * 0.004 * 0.000335), (4.0, 0.004 / 4 * 0.235)):
        result = task_of(labels, temperature=temperature).compare(own, own, now, same_device=True)
        assert result.passed
        assert result.worst == pytest.approx(difference, rel=0.01)
    assert not task_of(labels).compare(own, own, {SCORES: own[SCORES] + [[0.04, 0], [0, 0]]}, same_device=True).passed


def test_margins_are_best_minus_second_best():
    np.testing.assert_allclose(margins(np.array([[0.2, 0.7, 0.1], [0.4, 0.2, 0.4]])), [0.5, 0.0], atol=1e-12)
    np.testing.assert_array_equal(margins(np.array([[1.0]])), [1.0])
