from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from box_data import put_yolo
from detectors import SIDE, answers, digest, photos, spec

from edgevision.evaluate.base import PhotoPage
from edgevision.evaluate.data.boxes import Box, PhotoBoxes
from edgevision.evaluate.data.dataset import read_dataset
from edgevision.evaluate.evaluation import compare, evaluate
from edgevision.evaluate.tasks.detect import DetectEvaluator
from edgevision.evaluate.tasks.detect_evaluation import DetectEvaluation
from edgevision.evaluate.tasks.detect_losses import BoxLoss
from edgevision.evaluate.tasks.detect_section import box_section
from edgevision.preprocess.spec import Fit, PreprocessSpec
from edgevision.tasks.detect.task import DetectTask

pytestmark = pytest.mark.requires("hotcoco")

A, B, C = (0, 0, 40, 40), (100, 0, 140, 40), (0, 100, 40, 140)


def box(label: int, corners, **more) -> Box:
    return Box(label, *map(float, corners), **more)


def evaluation(found=None, truths=None, **parameters) -> DetectEvaluation:
    own = DetectEvaluator(spec(**parameters))
    truths = photos(0) if truths is None else truths
    return own.evaluate("int8", answers(truths) if found is None else found, truths, None)


def test_counts_at_the_thresholds_by_construction():
    truths = [PhotoBoxes(SIDE, SIDE, (box(0, A), box(0, B), box(1, C))), PhotoBoxes(SIDE, SIDE, ())]
    found = digest(
        [
            [(A, 0.9, 0), (A, 0.8, 0), (B, 0.2, 0), (C, 0.7, 2)],  # found, found twice, below 0.25, called another
            [(A, 0.6, 1)],  # out of nothing
        ]
    )
    one = evaluation(found, truths)
    assert (one.precision, one.recall) == (25.0, pytest.approx(100 / 3))
    assert one.f1 == pytest.approx(100 * 2 / 7)
    first, second, third = one.rows_by_class
    assert (first.n, first.found, first.right, first.precision, first.recall) == (2, 2, 1, 50.0, 50.0)
    assert (second.n, second.found, second.right, second.precision, second.f1) == (1, 1, 0, 0.0, 0.0)
    assert (third.n, third.found, third.ap, third.recall, third.f1) == (0, 1, None, None, None)
    assert [(c.truth.name, c.predicted.name, c.count, c.n) for c in one.confused] == [("product 1", "product 2", 1, 1)]
    assert [answer.errors for answer in one.answers] == [4, 1]


def test_counts_agree_with_the_scores_that_models_are_compared_by():
    from edgevision.evaluate.tasks.detect_scores import counts

    truths = photos(1, n=60)
    one = evaluation(answers(truths, shift=0.2, missing=0.2, wrong_class=0.2, strays=5), truths, threshold=0.1)
    c = counts(one.scores)
    assert sum(int(answer.right.sum()) for answer in one.answers) == c.right.sum()
    assert sum(len(answer.right) for answer in one.answers) == c.found.sum()
    assert sum(int(answer.missed.sum()) for answer in one.answers) == (c.marked - c.right).sum()


def test_a_crowd_is_neither_missed_nor_wrong():
    truths = [PhotoBoxes(SIDE, SIDE, (box(0, (0, 0, 200, 200), crowd=True), box(0, B)))]
    one = evaluation(digest([[((10, 10, 40, 40), 0.9, 0), (B, 0.8, 0), ((50, 50, 90, 90), 0.7, 0)]]), truths)
    assert (one.precision, one.recall, one.answers[0].errors) == (100.0, 100.0, 0)


def test_thresholds_of_classes_decide_what_is_seen():
    strict = evaluation(thresholds=[0.99, 0.25, 0.25])
    assert strict.rows_by_class[0].recall == 0.0
    assert strict.rows_by_class[1].recall == 100.0
    assert strict.rows_by_class[0].threshold == pytest.approx(0.99)
    assert strict.coco == evaluation().coco  # mAP does not know of thresholds


def test_rows_and_json():
    one = evaluation()
    rows = dict(one.rows())
    assert rows["mAP50-95"] == "100.00 %"
    assert rows["mAP50-95, small boxes"] == "–"  # there is none
    assert rows["photos"] == "40"
    plain = json.loads(json.dumps(one.to_dict()))
    assert plain["coco"]["map"] == pytest.approx(100.0)
    assert [row["label"]["name"] for row in plain["classes"]] == ["product 0", "product 1", "product 2"]
    (title, header, lines), *_ = one.tables()
    assert title == "Weakest classes"
    assert all(len(line) == len(header) for line in lines)


def test_unknown_products_are_counted_as_boxes():
    own = DetectEvaluator(spec())
    truths = photos(0)
    ood = digest([[(A, 0.9, 0), (B, 0.1, 0)], [(A, 0.5, 1), (B, 0.6, 2)], []])
    one = own.evaluate("int8", answers(truths), truths, ood)
    assert one.false_per_photo == 1.0
    assert dict(one.rows())["boxes in a photo of unknown products"] == "1.00"


# ---- through eval, with photos on disk ----


class KnownBoxes:
    """A detector that finds what is written in the brightness of a photo: its boxes by grey level."""

    def __init__(self, by_grey: dict[int, list], preprocess: PreprocessSpec) -> None:
        self.task, self.preprocess, self._by_grey = DetectTask(spec()), preprocess, by_grey

    def digest(self, images):
        return digest([self._by_grey[int(image[0, 0, 0])] for image in images])


@pytest.fixture
def shelf(put, tmp_path) -> Path:
    put_yolo(put, {"a": "0 0.25 0.5 0.5 1", "b": "1 0.5 0.5 0.5 0.5", "c": ""})
    put("set/train/labels/classes.txt", "product 0\nproduct 1\nproduct 2\n")
    return tmp_path / "set/train"


def models() -> tuple[KnownBoxes, KnownBoxes]:
    letterbox = PreprocessSpec(SIDE, SIDE, fit=Fit.LETTERBOX)
    left, middle = (0, 80, 160, 240), (80, 120, 240, 200)  # photos of 200 × 100 px lie at 80 … 240
    good = KnownBoxes({0: [(left, 0.9, 0)], 1: [(middle, 0.8, 1)], 2: []}, letterbox)
    bad = KnownBoxes({0: [(left, 0.9, 0)], 1: [(left, 0.8, 1)], 2: [(left, 0.7, 2)]}, letterbox)
    return good, bad


def test_eval_of_photos_on_disk(shelf):
    good, bad = (evaluate(name, model, read_dataset(shelf)) for name, model in zip("ab", models(), strict=True))
    assert (good.rows()[2], bad.rows()[2]) == (("mAP50-95", "100.00 %"), ("mAP50-95", "50.00 %"))
    assert compare(good, bad).drop == pytest.approx(50.0)
    assert isinstance(bad, PhotoPage)
    assert [path.name for path in bad.photos] == ["a.png", "b.png", "c.png"]


@pytest.mark.requires("matplotlib")
def test_the_page_shows_curves_classes_and_the_worst_photos(shelf):
    good, bad = (evaluate(name, model, read_dataset(shelf)) for name, model in zip("ab", models(), strict=True))
    page = bad.evaluator.page([bad, good], compare(good, bad))
    for text in (
        "Precision against recall, IoU 0.5",
        "product 1",
        "b.png",
        "1 wrong, 1 missed",
        "c.png",
        "1 wrong, 0 missed",
    ):
        assert text in page
    assert "a.png" not in page  # nothing is wrong there
    assert page.count("data:image/jpeg;base64,") == 2
    assert not re.search(r'(src|href)="(?!data:image/jpeg|#)', page)  # nothing is fetched from elsewhere
    assert good.evaluator.page([good], None).count("data:image/jpeg") == 0


@pytest.mark.requires("matplotlib")
def test_a_photo_that_is_gone_is_left_out_of_the_page(shelf):
    _, model = models()
    one = evaluate("b", model, read_dataset(shelf))
    (shelf / "images/b.png").unlink()
    assert one.evaluator.page([one], None).count("data:image/jpeg") == 1


# ---- the report of compile ----


def test_the_section_shows_the_chosen_variant_first_and_says_what_is_ruled():
    losing = BoxLoss("class 'tea'", "average precision", 40, 61.0, 50.0, 4.0)
    small = BoxLoss("class 'salt'", "average precision", 4, 61.0, 10.0, 4.0)
    seen = BoxLoss("what is seen at the thresholds", "F1", 44, 80.0, 79.0, 0.1)
    section = box_section({"int8-a": [losing, seen], "int8-b": [small, losing, seen]}, 3, "int8-b", 3.0)
    text, table, other = section.blocks
    assert text.text.startswith("int8-b: 2 classes have boxes in the validation photos, 1 classes have none")
    assert [str(row[-1] if isinstance(row[-1], str) else row[-1].value) for row in table.rows] == [
        "too few boxes", "loses too much", "within",
    ]  # fmt: skip
    assert other.folded


def test_sections_of_an_evaluator():
    own = DetectEvaluator(spec())
    truths = photos(0)
    float_ = own.scores(answers(truths), truths)
    assert own.sections(float_, {}) == ()
    (section,) = own.sections(float_, {"int8": own.scores(answers(truths, missing=0.3), truths)}, "int8", 3.0)
    assert section.title == "Classes"
