"""Written data sets, read back by hand and by COCO's own reader."""

import json
import sys

import cv2
import numpy as np
import pytest

from edgevision.demo import dataset
from edgevision.demo.dataset import jobs, write_dataset
from edgevision.demo.world.world import LABELS
from edgevision.demo.world.worlds import Place
from edgevision.errors import InputError
from edgevision.evaluate.data.dataset import read_dataset

COUNTS = {"train": 4, "val": 3}
SIZE = {"height": 120, "width": 160}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rendered") / "data"
    assert write_dataset(folder, COUNTS, seed=3, **SIZE) == folder / "data.yaml"
    return folder


@pytest.mark.parametrize("part", COUNTS)
def test_labels_are_the_truth_of_the_photos(written, part):
    """The photo is the frame of the job, and its lines are the boxes of what need be found."""
    for job in jobs(part, COUNTS[part], seed=3, **SIZE):
        snapshot = job.render()
        photo = cv2.imread(str(written / "images" / part / f"{job.name}.jpg"))
        assert photo.shape == snapshot.frame.shape
        assert np.abs(photo.astype(int) - snapshot.frame).mean() < 4
        lines = (written / "labels" / part / f"{job.name}.txt").read_text().splitlines()
        boxes = [box for box in snapshot.truth.boxes if not box.crowd]
        assert len(lines) == len(boxes) > 0
        for line, box in zip(lines, boxes, strict=True):
            label, x, y, w, h = (float(v) for v in line.split())
            assert label == box.label
            corners = (160 * (x - w / 2), 120 * (y - h / 2), 160 * (x + w / 2), 120 * (y + h / 2))
            assert corners == pytest.approx((box.x1, box.y1, box.x2, box.y2), abs=1e-3)


def test_the_yaml_names_parts_and_classes(written):
    lines = (written / "data.yaml").read_text().splitlines()
    assert lines[:4] == ["train: images/train", "val: images/val", "names:", f"  0: {LABELS[0].name}"]
    assert lines[-1] == f"  19: {LABELS[19].name}"
    for part, count in COUNTS.items():
        assert len(list((written / "images" / part).iterdir())) == count


@pytest.mark.parametrize("part", COUNTS)
def test_coco_and_yolo_say_the_same(written, part):
    coco = json.loads((written / "annotations" / f"{part}.json").read_text())
    assert [c["name"] for c in coco["categories"]] == [label.name for label in LABELS]
    assert len({one["id"] for one in coco["annotations"]}) == len(coco["annotations"])
    for image in coco["images"]:
        mine = [one for one in coco["annotations"] if one["image_id"] == image["id"]]
        assert any(one["iscrowd"] for one in mine) == any(one["visible"] < 0.25 for one in mine)
        found = [(one["category_id"] - 1, one["bbox"]) for one in mine if not one["iscrowd"]]
        stem = image["file_name"].removesuffix(".jpg")
        lines = (written / "labels" / part / f"{stem}.txt").read_text().splitlines()
        assert len(found) == len(lines)
        for (label, (x, _, w, _)), line in zip(found, lines, strict=True):
            assert int(line.split()[0]) == label
            assert float(line.split()[1]) * 160 == pytest.approx(x + w / 2, abs=1e-3)
    assert any(one["iscrowd"] for one in coco["annotations"])


@pytest.mark.requires("pycocotools")
def test_cocos_own_evaluation_takes_it(written, capsys):
    """The truth as detections has an mAP of 1; shifted by a third of each box, far less."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO(str(written / "annotations" / "val.json"))
    found = []
    for shift in (0.0, 0.34):
        given = [
            {"image_id": a["image_id"], "category_id": a["category_id"], "score": 0.9,
             "bbox": [a["bbox"][0] + shift * a["bbox"][2], *a["bbox"][1:]]}
            for a in truth.dataset["annotations"] if not a["iscrowd"]
        ]  # fmt: skip
        evaluation = COCOeval(truth, truth.loadRes(given), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        found.append(evaluation.stats[0])
    assert found[0] == pytest.approx(1.0)
    assert found[1] < 0.5


def test_all_products_may_be_of_one_class(tmp_path, written):
    write_dataset(tmp_path / "one", COUNTS, seed=3, **SIZE, one_class="product")
    for part in COUNTS:
        of_each, of_one = (read_dataset(folder / "data.yaml", part=part) for folder in (written, tmp_path / "one"))
        assert [label.name for label in of_one.labels] == ["product"]
        for each, one in zip(of_each, of_one, strict=True):
            assert {box.label for box in one.boxes.boxes} <= {0}
            assert [box[1:5] for box in one.boxes.boxes] == [box[1:5] for box in each.boxes.boxes]
        coco = json.loads((tmp_path / "one" / "annotations" / f"{part}.json").read_text())
        assert [category["name"] for category in coco["categories"]] == ["product"]
        assert {annotation["category_id"] for annotation in coco["annotations"]} <= {1}


def test_parts_and_seeds_share_no_world():
    worlds = [
        job.world for part in ("train", "val", "test") for seed in (0, 1) for job in jobs(part, 200, seed=seed)
    ]  # fmt: skip
    assert len(set(worlds)) == len(worlds)
    assert [job.place for job in jobs("train", 6)] == [*Place, *Place]
    assert {job.place for job in jobs("train", 6, places=(Place.TRAY,))} == {Place.TRAY}
    assert list(jobs("train", 3)) == list(jobs("train", 9))[:3]


@pytest.mark.parametrize(
    ("counts", "places", "message"),
    [
        ({}, ["tray"], "at least 1 photo"),
        ({"train": 3, "val": 0}, ["tray"], "at least 1 photo"),
        ({"train": 3}, [], "at least 1 place"),
        ({"train": 3}, ["tray", "till"], "shelf, conveyor, tray, got 'till'"),
    ],
)
def test_what_makes_no_data_set_is_refused(tmp_path, counts, places, message):
    with pytest.raises(InputError, match=message):
        write_dataset(tmp_path / "new", counts, places=places)
    assert not (tmp_path / "new").exists()


def test_folders_with_something_in_them_are_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    for folder in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(InputError, match="not an empty folder"):
            write_dataset(folder, COUNTS)


def test_the_command_line(tmp_path, monkeypatch, capsys):
    command = ["dataset", str(tmp_path / "d"), "--train", "1", "--val", "1", "--place", "tray", "--size", "48", "64"]
    threads = cv2.getNumThreads()
    monkeypatch.setattr(sys, "argv", command)
    try:
        dataset.main()
        assert "Wrote 2 photos" in capsys.readouterr().out
        with pytest.raises(SystemExit) as stopped:
            dataset.main()
    finally:
        cv2.setNumThreads(threads)
    assert stopped.value.code == 2
    assert "not an empty folder" in capsys.readouterr().err
