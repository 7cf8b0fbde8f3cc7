from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from detectors import SIDE, answers, digest, photos, spec
from scenes import scene

from edgevision.errors import DataError, InputError, UnreadableOutputError
from edgevision.evaluate.base import AnswerCheck, TaskEvaluator
from edgevision.evaluate.data.boxes import Box, PhotoBoxes
from edgevision.evaluate.data.dataset import Dataset, Photo
from edgevision.evaluate.registry import make_evaluator
from edgevision.evaluate.tasks import detect as detect_module
from edgevision.evaluate.tasks.detect import DetectEvaluator
from edgevision.evaluate.tasks.detect_boxes import TensorBoxes, view_of
from edgevision.preprocess.spec import Fit, PreprocessSpec
from edgevision.tasks.results import Label

LETTERBOX = PreprocessSpec(SIDE, SIDE, fit=Fit.LETTERBOX)


def evaluator(**parameters) -> DetectEvaluator:
    return DetectEvaluator(spec(**parameters))


# ---- truth ----


def test_truths_are_boxes_in_the_models_classes(tmp_path):
    boxes = PhotoBoxes(10, 20, (Box(1, 0.0, 0.0, 1.0, 1.0), Box(0, 1.0, 1.0, 2.0, 2.0)))
    labels = (Label(0, "product 2"), Label(1, "product 0"))
    dataset = Dataset((Photo(tmp_path / "a", None, boxes),), labels)
    (truth,) = evaluator().truth(dataset)
    assert [box.label for box in truth.boxes] == [0, 2]
    assert evaluator().classes(truth) == (0, 2)
    assert hash(truth)
    assert evaluator().truth(Dataset((Photo(tmp_path / "a"),))) == [None]


def test_a_class_for_each_photo_is_no_truth_of_a_detector_nor_boxes_of_a_classifier(tmp_path):
    from edgevision.evaluate.tasks.classify import ClassifyEvaluator
    from edgevision.tasks.classify import classify_spec

    labels = (Label(0, "product 0"), Label(1, "product 1"))
    with pytest.raises(DataError, match=r"a detector needs boxes, .*data\.yaml"):
        evaluator().truth(Dataset((Photo(tmp_path / "a", 0),), labels))
    boxed = Dataset((Photo(tmp_path / "a", None, PhotoBoxes(1, 1, ())),), labels)
    with pytest.raises(DataError, match=r"a classifier needs a class for each photo, .* has boxes"):
        ClassifyEvaluator(classify_spec(labels)).truth(boxed)


# ---- the metric ----


def test_boxes_are_held_against_the_truth_in_the_photos_pixels():
    """A photo four times as wide as high: in the tensor small boxes, in the photo medium ones."""
    truths = photos(0, size=(320, 1280))
    found = []
    for truth in truths:
        view = view_of(LETTERBOX, truth.height, truth.width)
        corners = [view.to_tensor(np.array(box[1:5]).reshape(2, 2)).ravel() for box in truth.boxes]
        found.append([(c, 0.9, box.label) for c, box in zip(corners, truth.boxes, strict=True)])
    own = make_evaluator(spec(), LETTERBOX)
    assert own.value(own.scores(digest(found), truths)) == pytest.approx(100.0, abs=1e-3)
    # Whoever held boxes in the tensor's pixels against the photo's would find next to nothing.
    assert evaluator().value(evaluator().scores(digest(found), truths)) < 5


def test_boxes_in_the_padding_end_at_the_photos_edge():
    truth = [PhotoBoxes(160, 320, (Box(0, 0.0, 0.0, 100.0, 50.0),))]  # 80 px of padding above and below
    found = digest([[((0, 40, 100, 130), 0.9, 0), ((0, 0, 100, 60), 0.95, 0)]])
    own = DetectEvaluator(spec(), LETTERBOX)
    assert own.value(own.scores(found, truth)) == pytest.approx(100.0)  # cut to the photo; the other lies outside it


@pytest.mark.requires("hotcoco")
def test_the_value_is_what_hotcoco_says():
    from edgevision.evaluate.statistics.coco_summary import coco_summary

    found, marked = scene(3, classes=3, unseen=0)
    truths = [
        PhotoBoxes(1000, 1000, tuple(Box(c, *b, crowd=k, area=a) for b, c, k, a in zip(
            one.boxes.tolist(), one.classes.tolist(), one.crowd.tolist(), one.areas.tolist(), strict=True
        )))
        for one in marked
    ]  # fmt: skip
    order = [np.argsort(-one.scores, kind="stable") for one in found]
    rows = [
        list(
            zip(one.boxes[o].astype(np.float32).tolist(), one.scores[o].tolist(), one.classes[o].tolist(), strict=True)
        )
        for one, o in zip(found, order, strict=True)
    ]
    own = evaluator()
    scores = own.scores(digest(rows, most=40), truths)
    found32 = [type(one)(one.boxes.astype(np.float32), one.scores, one.classes) for one in found]
    assert own.value(scores) == pytest.approx(coco_summary(found32, marked, 3).map, abs=1e-9)


def test_nothing_marked_is_said_not_counted():
    own = evaluator()
    with pytest.raises(InputError, match="no box is marked in any of 2 photos"):
        own.value(own.scores(digest([[], []]), [PhotoBoxes(9, 9, ())] * 2))


def test_agreement_is_f1_of_what_a_user_sees():
    truths = photos(1)
    float_ = answers(truths)
    own = evaluator()
    pseudo = own.pseudo_truth(float_)
    assert all(isinstance(one, TensorBoxes) for one in pseudo)
    assert sum(len(one.boxes) for one in pseudo) == sum(len(one.boxes) for one in truths)  # strays are below 0.25
    assert own.value(own.scores(float_, pseudo)) == 100.0
    faded = answers(truths, fade=0.4)  # the same boxes in the same order, but most below 0.25
    assert own.value(own.scores(faded, pseudo)) < 80
    refitted = evaluator(thresholds=[0.1] * 3)
    assert refitted.value(refitted.scores(faded, pseudo)) == pytest.approx(100.0)


@pytest.mark.parametrize("damage", ["shift", "missing", "wrong_class"])
def test_metric_agreement_and_divergence_get_worse_with_damage(damage):
    truths = photos(2)
    own = evaluator()
    float_ = answers(truths)
    pseudo = own.pseudo_truth(float_)
    seen = []
    for amount in (0.0, 0.1, 0.2, 0.4):
        other = answers(truths, **{damage: amount})
        seen.append(
            (
                own.divergence(float_, other),
                -own.value(own.scores(other, truths)),
                -own.value(own.scores(other, pseudo)),
            )
        )
    assert seen[0] == (0.0, -100.0, -100.0)
    for less, more in pairwise(seen):
        assert all(a < b for a, b in zip(less, more, strict=True))


def test_divergence_sees_scores_that_fall_where_map_does_not():
    truths = photos(2)
    own = evaluator()
    float_, faded, gone = (answers(truths, fade=fade) for fade in (1.0, 0.8, 0.5))
    assert own.value(own.scores(faded, truths)) == 100.0
    assert 0 < own.divergence(float_, faded) < own.divergence(float_, gone)
    assert own.divergence(faded, float_) == pytest.approx(own.divergence(float_, faded))


def test_photos_of_nothing_are_equal_and_boxes_out_of_nothing_are_not():
    own = evaluator()
    empty = digest([[], []])
    assert own.divergence(empty, empty) == 0.0
    assert own.divergence(empty, digest([[((0, 0, 9, 9), 0.9, 0)], []])) == 1.0


# ---- paired ----


def test_the_interval_holds_the_drop_and_is_the_same_for_the_same_seed():
    truths = photos(3)
    own = evaluator()
    before, after = (own.scores(answers(truths, missing=missing), truths) for missing in (0.0, 0.3))
    paired = own.paired(before, after, 0.95, seed=1)
    assert paired.drop == pytest.approx(own.value(before) - own.value(after))
    assert paired.interval[0] < paired.drop < paired.interval[1]
    assert (paired.n, paired.lost, paired.gained) == (40, None, None)
    assert own.paired(before, after, 0.95, seed=1) == paired
    assert own.paired(before, after, 0.99, seed=1).interval[1] > paired.interval[1]
    back = own.paired(after, before, 0.95, seed=1)
    assert back.interval == pytest.approx((-paired.interval[1], -paired.interval[0]))


def test_the_interval_covers_what_other_photos_would_show(monkeypatch):
    """80 % intervals from 30 photos each, of a loss that is known from 1,500: four in five hold it."""
    monkeypatch.setattr(detect_module, "DRAWS", 100)
    own = evaluator()
    many = photos(4, n=1500)
    found = [answers(many, missing=missing) for missing in (0.05, 0.2)]
    before, after = (own.scores(one, many) for one in found)
    true_drop = own.value(before) - own.value(after)
    held = 0
    for start in range(0, 1500, 30):
        part = slice(start, start + 30)
        before, after = (own.scores({role: a[part] for role, a in one.items()}, many[part]) for one in found)
        low, high = own.paired(before, after, 0.8).interval
        held += low <= true_drop <= high
    assert 32 <= held <= 48  # of 50; the 99.7 % range of 80 %


def test_equal_models_lose_no_more_than_so_many_photos_may_miss():
    truths = photos(5)
    own = evaluator()
    scores = own.scores(answers(truths, missing=0.2), truths)
    compared = own.paired(scores, scores)
    assert compared.drop == 0
    shown_in = [sum(any(box.label == c for box in truth.boxes) for truth in truths) for c in range(3)]
    missed = 100 * np.mean(
        [1 - 0.025 ** (1 / photos) for photos in shown_in]
    )  # of each class, and the metric is their mean
    assert compared.interval == pytest.approx((-missed, missed))


def test_one_photo_proves_nothing():
    truths = photos(5, n=1)
    own = evaluator()
    scores = own.scores(answers(truths), truths)
    assert own.paired(scores, scores).interval == (-100.0, 100.0)


def test_agreement_is_compared_too():
    truths = photos(6)
    own = evaluator()
    float_ = answers(truths)
    pseudo = own.pseudo_truth(float_)
    paired = own.paired(own.scores(float_, pseudo), own.scores(answers(truths, missing=0.2), pseudo))
    assert paired.reference == 100.0
    assert 5 < paired.drop < 20
    assert paired.interval[0] < paired.drop < paired.interval[1]


# ---- groups ----


def only(truths, label: int, found, other):
    """``found``, with the boxes of one class as ``other`` has them."""
    mixed = {role: array.copy() for role, array in found.items()}
    for i in range(len(truths)):
        rows = [
            (d["boxes"][i, k], d["scores"][i, k], int(d["classes"][i, k]))
            for d, wanted in ((found, False), (other, True))
            for k in range(d["scores"].shape[1])
            if d["scores"][i, k] > 0 and (d["classes"][i, k] == label) == wanted
        ]
        one = digest([rows])
        for role, array in one.items():
            mixed[role][i] = array[0]
    return mixed


def test_the_class_that_loses_is_named_and_f1_is_a_group_of_its_own():
    truths = photos(7, n=60)
    own = evaluator()
    float_ = answers(truths)
    before = own.scores(float_, truths)
    after = own.scores(only(truths, 1, float_, answers(truths, missing=0.4)), truths)
    losses = own.group_losses(before, after)
    assert losses[0].name == "class 'product 1'"
    assert losses[0].exceeds(3.0)
    assert losses[0].share == pytest.approx(losses[0].drop / 100)
    assert "class 'product 1' loses" in losses[0].sentence()
    assert {loss.name for loss in losses if not loss.drop} == {"class 'product 0'", "class 'product 2'"}
    (seen,) = [loss for loss in losses if loss.metric == "F1"]
    assert 0 < seen.drop < losses[0].drop


def test_confidence_that_collapses_breaks_the_f1_rule_while_map_holds():
    truths = photos(8)
    own = evaluator()
    before, after = (own.scores(answers(truths, fade=fade), truths) for fade in (1.0, 0.4))
    assert own.value(before) - own.value(after) == 0.0
    over = [loss for loss in own.group_losses(before, after) if loss.exceeds(3.0)]
    assert [loss.metric for loss in over] == ["F1"]
    refitted = evaluator(thresholds=[0.1] * 3)
    after = refitted.scores(answers(truths, fade=0.4), truths)
    assert not [loss for loss in own.group_losses(before, after) if loss.exceeds(3.0)]


def test_a_class_of_few_boxes_or_a_loss_by_chance_is_not_ruled():
    truths = photos(9, n=5)
    own = evaluator()
    before, after = (own.scores(answers(truths, missing=missing), truths) for missing in (0.0, 0.9))
    classes = [loss for loss in own.group_losses(before, after) if loss.metric != "F1"]
    assert classes
    assert not any(loss.exceeds(3.0) for loss in classes)
    assert all(loss.drop > 3 for loss in classes if loss.n)


def test_what_one_photo_lost_is_no_more_than_chance():
    """All 30 boxes of class 2 are on one shelf, of which 3 are missed: there is no telling whether another shelf would be."""
    shelf = PhotoBoxes(SIDE, SIDE, tuple(Box(2, 10.0 * k, 10.0, 10.0 * k + 8, 40.0) for k in range(30)))
    truths = [*photos(11, n=60, classes=2), shelf]
    own = evaluator()
    found = [[((box.x1, box.y1, box.x2, box.y2), 0.9, box.label) for box in truth.boxes] for truth in truths]
    before = own.scores(digest(found, most=30), truths)
    found[-1] = found[-1][:27]
    after = own.scores(digest(found, most=30), truths)
    (loss,) = [one for one in own.group_losses(before, after) if one.name == "class 'product 2'"]
    assert (loss.n, loss.ruled) == (30, True)
    assert loss.drop > 3
    assert not loss.exceeds(3.0)


def test_scores_of_other_photos_are_not_compared():
    own = evaluator()
    scores = [own.scores(answers(truths), truths) for truths in (photos(1), photos(2))]
    for compare in (own.paired, own.group_losses):
        with pytest.raises(InputError, match="different boxes"):
            compare(*scores)


# ---- golden frames ----


def test_golden_frames_are_clear_and_not_saturated():
    box = (0, 0, 50, 50)
    found = digest(
        [
            [(box, 0.6, 1), (box, 0.05, 2)],  # clear, sensitive
            [(box, 0.28, 1)],  # near its threshold
            [(box, 0.999, 2)],  # clear, saturated
            [(box, 0.01, 0)],  # nothing is seen
            [],
        ]
    )
    worth = evaluator().golden_worth(found)
    assert worth.clear.tolist() == [True, False, True, False, False]
    assert worth.sensitivity.tolist() == pytest.approx([0.96, 4 * 0.28 * 0.72, 4 * 0.999 * 0.001, 0, 0], abs=1e-5)
    assert worth.group.tolist() == [1, 1, 2, -1, -1]
    strict = evaluator(thresholds=[0.25, 0.62, 0.25]).golden_worth(found)
    assert strict.clear.tolist() == [False, False, True, False, False]


# ---- bad input ----


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda e: e.scores(answers(photos(0)), photos(0)[:5]), InputError, "truth for each of 40 photos, got 5"),
        (lambda e: e.scores(answers(photos(0)), [3] * 40), InputError, "expected the boxes of each photo, got int"),
        (lambda e: e.scores(digest([[]]), [PhotoBoxes(9, 9, (Box(3, 0.0, 0.0, 1.0, 1.0),))]), InputError, r"0…2, got 3…3"),
        (lambda e: e.scores({"scores": np.zeros((1, 2))}, photos(0, 1)), InputError, "digest of a detector"),
        (lambda e: e.divergence(digest([[]]), digest([[], []])), InputError, "same photos, got 1 and 2"),
        (lambda e: e.pseudo_truth(digest([[((0, 0, np.nan, 1), 0.5, 0)]])), UnreadableOutputError, "NaN .* 1 of 1 photos"),
        (lambda e: e.value(object()), InputError, "scores of a detector, got object"),
        (lambda e: e.page([object()], None), InputError, "evaluations of detectors"),
    ],
)  # fmt: skip
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call(evaluator())


def test_it_is_an_evaluator_that_doubts():
    own: TaskEvaluator = make_evaluator(spec(), LETTERBOX)
    assert isinstance(own, AnswerCheck)
    assert (own.metric, own.unit) == ("mAP50-95", "points of mAP50-95")
    assert own.calibration_error(own.scores(answers(photos(0)), photos(0))) is None
