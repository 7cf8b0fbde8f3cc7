from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from edgevision.errors import EngineError, InputError
from edgevision.tasks import ClassifyTask, FrameId, Label, Timing

LABELS = [Label(10 * i, name) for i, name in enumerate(["apple", "pear", "milk", "juice"], start=1)]
TIMING = Timing(1.5, 2.5, 0.0, batch=2)


def softmax(row, temperature=1.0):
    """Textbook softmax with Python's own numbers."""
    powers = [math.exp((value - max(row)) / temperature) for value in row]
    return [power / math.fsum(powers) for power in powers]


@pytest.mark.parametrize("temperature", [0.25, 1.0, 1.7, 40.0])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 50.0])
def test_logits_become_the_softmax_after_temperature(temperature, scale):
    raw = (scale * np.random.default_rng(1).normal(size=(6, 4))).astype(np.float32)
    got = ClassifyTask(LABELS, "logits", temperature).probabilities(raw)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, [softmax([float(v) for v in row], temperature) for row in raw], rtol=1e-12)


def test_huge_logits_do_not_overflow():
    task = ClassifyTask(LABELS)
    np.testing.assert_array_equal(task.probabilities([[3e38, -3e38, 0, 1]]), [[1, 0, 0, 0]])
    np.testing.assert_allclose(task.probabilities([[-3e38] * 4]), [[0.25] * 4])


@pytest.mark.parametrize("temperature", [1, 2, 3])
def test_probabilities_are_tempered_by_their_logarithm(temperature):
    """p^(1/T), normalised; for 1/16 and its kin the roots are exact."""
    raw = [[9 / 16, 4 / 16, 2 / 16, 1 / 16]]
    powers = [float(Fraction(p)) ** (1 / temperature) for p in raw[0]]
    got = ClassifyTask(LABELS, "probabilities", temperature).probabilities(raw)
    np.testing.assert_allclose(got[0], [p / sum(powers) for p in powers], rtol=1e-12)


def test_probabilities_with_zeros_and_rounding_stay_probabilities():
    got = ClassifyTask(LABELS, "probabilities", 2.0).probabilities([[1.001, 0.0, -1e-4, 0.0]])
    assert np.isfinite(got).all()
    assert got[0, 0] == pytest.approx(1)
    assert got.sum() == pytest.approx(1)


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_log_scores_of_logits_are_the_logits(temperature):
    raw = np.random.default_rng(2).normal(size=(3, 4)).astype(np.float32)
    got = ClassifyTask(LABELS, "logits", temperature).log_scores(raw)
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, raw)
    got[:] = 0
    assert raw.any()  # a copy: the engine's own memory stays as it is


def test_log_scores_of_probabilities_are_logarithms_clipped_where_float32_ends():
    got = ClassifyTask(LABELS, "probabilities", 3.0).log_scores([[0.75, 0.25, 0.0, -0.001], [1, 2.0**-126, 1e-40, 0]])
    least = -126 * math.log(2)
    expected = [[math.log(0.75), math.log(0.25), least, least], [0, least, least, least]]
    np.testing.assert_allclose(got, expected, rtol=1e-15)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("output", ["logits", "probabilities"])
def test_outputs_that_are_no_numbers_raise(bad, output):
    task = ClassifyTask(LABELS, output)
    for read in (task.probabilities, task.log_scores):
        with pytest.raises(EngineError, match="NaN or infinite"):
            read([[0.5, 0.5, 0, 0], [0, bad, 0, 0]])


def test_negative_probabilities_raise_and_hint_at_logits():
    with pytest.raises(EngineError, match=r"holds -3.*--output logits"):
        ClassifyTask(LABELS, "probabilities").probabilities([[0.5, -3, 0, 0]])


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 5), (1, 2, 4)])
def test_another_shape_raises(shape):
    with pytest.raises(EngineError, match=r"expected \(n, 4\)"):
        ClassifyTask(LABELS).probabilities(np.zeros(shape))


def test_decode_ranks_and_keeps_order_and_frames():
    frames = [FrameId("till", 7, 123), FrameId()]
    task = ClassifyTask(LABELS, threshold=0.6, top=3)
    known, unknown = task.decode(np.array([[0, 5, 1, 2], [1, 0, 1, 1]], np.float32), frames, TIMING)
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
    task = ClassifyTask(LABELS[:2], threshold=threshold)
    assert task.decode([[1, 1]], [FrameId()], TIMING)[0].known is known


def test_top_is_five_or_all_there_are():
    many = [Label(i, str(i)) for i in range(9)]
    assert len(ClassifyTask(many).decode(np.zeros((1, 9)), [FrameId()], TIMING)[0].top) == 5
    assert len(ClassifyTask(LABELS).decode(np.zeros((1, 4)), [FrameId()], TIMING)[0].top) == 4


def test_no_rows_no_results():
    assert ClassifyTask(LABELS).decode(np.zeros((0, 4)), [], TIMING) == []


def test_results_are_plain_json():
    (result,) = ClassifyTask(LABELS).decode([[4, 0, 0, 0]], [FrameId("a", 1, 2)], TIMING)
    data = result.to_dict()
    assert data["top"][0] == {"id": 10, "name": "apple", "score": result.best.score}
    assert data["frame"] == {"camera": "a", "sequence": 1, "captured_ns": 2}
    assert type(data["known"]) is bool


def test_a_frame_id_is_needed_for_each_row():
    with pytest.raises(InputError, match="each of 2 rows, got 1"):
        ClassifyTask(LABELS).decode(np.zeros((2, 4)), [FrameId()], TIMING)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": LABELS[:1]}, "at least 2 labels"),
        ({"output": "scores"}, "logits"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": math.nan}, "threshold"),
        ({"top": 0}, "top"),
    ],
)
def test_refuses_settings_that_make_no_sense(arguments, message):
    with pytest.raises(InputError, match=message):
        ClassifyTask(**{"labels": LABELS, **arguments})
