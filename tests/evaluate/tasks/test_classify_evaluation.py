"""What `eval` reports of a classifier whose every answer is known."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from edgevision.decode import encode_png
from edgevision.evaluate.data.dataset import read_dataset
from edgevision.evaluate.evaluation import compare, evaluate
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.classify import ClassifyTask, classify_spec
from edgevision.tasks.results import Label

LABELS = (Label(0, "dark"), Label(1, "light"))


class ByLightness:
    """Sure of itself by how light or dark a picture is."""

    preprocess = PreprocessSpec(4, 4)

    def __init__(self, threshold: float | None = None, **parameters: float) -> None:
        if threshold is not None:
            parameters["threshold"] = threshold
        self.task = ClassifyTask(classify_spec(LABELS, "probabilities", **parameters))

    def digest(self, images):
        light = np.array([image.mean() / 255 for image in images])
        return {"scores": np.stack([1 - light, light], axis=1)}


@pytest.fixture
def photos(tmp_path):
    """Two dark ones and two light ones, and among them one that is called the other."""
    for name, grey in (("dark", 10), ("dark", 100), ("light", 140), ("light", 250), ("light", 90)):
        path = tmp_path / "known" / name / f"{grey}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(np.full((4, 4, 3), grey, np.uint8)))
    return read_dataset(tmp_path / "known")


@pytest.fixture
def unknown(tmp_path):
    (tmp_path / "unknown").mkdir()
    for grey in (120, 130, 5, 245):
        (tmp_path / "unknown" / f"{grey}.png").write_bytes(encode_png(np.full((4, 4, 3), grey, np.uint8)))
    return read_dataset(tmp_path / "unknown")


def test_shares_that_can_be_counted(photos, unknown):
    made = evaluate("m", ByLightness(0.9), photos, unknown)
    assert made.metrics.top1 == 80.0
    assert made.unknown.threshold == 0.9
    assert made.unknown.true_accept_rate == 0.5  # 10 and 250; 100 and 140 are right and below the threshold
    assert made.unknown.false_accepts == 0.5  # 5 and 245
    assert made.unknown.n_unknown == 4
    best = [max(grey, 255 - grey) / 255 for grey in (10, 100, 140, 250, 90)]
    strange = [max(grey, 255 - grey) / 255 for grey in (120, 130, 5, 245)]
    higher = [(a > b) + (a == b) / 2 for a in best for b in strange]
    assert made.unknown.auroc == pytest.approx(sum(higher) / 20)
    assert sorted(made.scores.confidence) == pytest.approx(sorted(best))
    assert sorted(made.ood_confidence) == pytest.approx(sorted(strange))


def test_the_temperature_softens_what_the_threshold_sees(photos, unknown):
    made = evaluate("m", ByLightness(0.9, temperature=4.0), photos, unknown)
    assert made.metrics.top1 == 80.0
    assert (made.unknown.true_accept_rate, made.unknown.false_accepts) == (0.0, 0.0)
    assert max(made.scores.confidence) < 0.75


def test_without_a_threshold_nothing_is_said_of_accepting(photos, unknown):
    made = evaluate("m", ByLightness(None), photos, unknown)
    assert (made.unknown.threshold, made.unknown.true_accept_rate, made.unknown.false_accepts) == (None, None, None)
    assert made.unknown.auroc is not None
    assert made.to_dict()["unknown"]["true_accept_rate"] is None


def test_a_threshold_of_0_was_fitted_and_accepts_all(photos, unknown):
    made = evaluate("m", ByLightness(0.0), photos, unknown)
    assert (made.unknown.threshold, made.unknown.true_accept_rate, made.unknown.false_accepts) == (0.0, 1.0, 1.0)


def test_rows_of_known_photos(photos):
    assert dict(evaluate("m", ByLightness(0.9), photos).rows()) == {
        "photos": "5",
        "top-1": "80.00 %",
        "top-5": "100.00 %",
        "precision (macro)": "83.33 %",  # dark: 2 of 3, light: 2 of 2
        "recall (macro)": "83.33 %",  # dark: 2 of 2, light: 2 of 3
        "F1 (macro)": "80.00 %",
        "ROC-AUC (macro)": "0.8333",  # of 6 pairs the one of 100 and 90 is turned
        "calibration error (ECE)": "15.29 %",  # (0.549 from 1, 1.255 from 1 of 2, 1.941 from 2) / 5, in three bins
        "true-accept rate": "50.00 %",
    }


@pytest.mark.parametrize(("threshold", "rate", "accepts"), [(0.9, "50.00 %", "50.00 %"), (None, "–", "–")])
def test_rows_of_unknown_photos_come_last(photos, unknown, threshold, rate, accepts):
    rows = evaluate("m", ByLightness(threshold), photos, unknown).rows()
    assert [name for name, _ in rows[-4:]] == [
        "true-accept rate", "unknown photos", "AUROC known against unknown", "false accepts",
    ]  # fmt: skip
    assert rows[-4][1] == rate
    assert rows[-3][1] == "4"
    assert rows[-1][1] == accepts


def test_tables(photos):
    weakest, confused = evaluate("m", ByLightness(), photos).tables()
    assert weakest == (
        "Weakest classes",
        ("class", "photos", "precision %", "recall %", "F1 %"),
        [("light", "3", "100.0", "66.7", "80.0"), ("dark", "2", "66.7", "100.0", "80.0")],
    )
    assert confused == ("Most confused", ("shown", "taken for", "photos", "of"), [("light", "dark", "1", "3")])


def test_without_errors_there_is_nothing_confused(photos):
    right = photos.select([i for i, photo in enumerate(photos) if photo.path.stem != "90"])
    assert [title for title, _, _ in evaluate("m", ByLightness(), right).tables()] == ["Weakest classes"]


@pytest.mark.filterwarnings("ignore::edgevision.errors.DoubtWarning")  # one answer to everything
def test_tables_are_short(tmp_path):
    labels = [Label(i, str(i)) for i in range(30)]

    class Zero:
        task = ClassifyTask(classify_spec(labels))
        preprocess = PreprocessSpec(2, 2)

        def digest(self, images):
            return {"scores": np.eye(30)[[0] * len(images)]}

    with (tmp_path / "list.csv").open("w") as file:
        for i in range(30):
            (tmp_path / f"{i}.png").write_bytes(encode_png(np.full((2, 2, 3), i, np.uint8)))
            csv.writer(file).writerow([f"{i}.png", i])
    weakest, confused = evaluate("m", Zero(), read_dataset(tmp_path / "list.csv")).tables()
    assert (len(weakest[2]), len(confused[2])) == (10, 10)


def test_json_has_the_metrics_and_no_arrays(photos, unknown):
    made = evaluate("m", ByLightness(0.9), photos, unknown).to_dict()
    assert list(made) == ["model", "metrics", "unknown"]
    assert (made["model"], made["metrics"]["top1"]) == ("m", 80.0)
    assert made["metrics"]["confused"][0]["truth"] == {"id": 1, "name": "light"}
    assert list(made["unknown"]) == ["n_unknown", "auroc", "false_accepts", "threshold", "true_accept_rate", "ece"]


def test_comparing_is_by_photo(photos):
    made = evaluate("m", ByLightness(None), photos)
    paired = compare(made, made)
    assert (paired.n, paired.drop, paired.lost) == (5, 0.0, 0)


@pytest.mark.requires("matplotlib")
@pytest.mark.parametrize("threshold", [None, 0.9])
def test_the_page(photos, unknown, threshold):
    made = evaluate("m", ByLightness(threshold), photos, unknown)
    page = made.evaluator.page([made, made], compare(made, made))
    assert ("threshold 0.90" in page) == (threshold is not None)
    assert ('true-accept rate %</td><td class="number">50.000' in page) == (threshold is not None)
    assert ("too few labelled photos to fit a threshold" in page) == (threshold is None)
    assert "m against m on the same 5 photos" in page
    assert "Unknown products" in page


@pytest.mark.requires("matplotlib")
def test_the_page_of_one_model_on_known_photos(photos):
    made = evaluate("m", ByLightness(0.9), photos)
    page = made.evaluator.page([made], None)
    assert "5 photos, 2 classes" in page
    assert "Unknown products" not in page
    assert "on the same" not in page
    assert page.index(">light</td>") < page.index(">dark</td>")  # the weakest first
