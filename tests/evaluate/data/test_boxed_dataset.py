"""What holds for every data set holds for one with boxes too."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from box_data import png, put_yolo

from edgevision.errors import BadPhotosError, DataError
from edgevision.evaluate.data.boxes import Box, PhotoBoxes
from edgevision.evaluate.data.dataset import Dataset, Photo, read_dataset
from edgevision.evaluate.data.photo_check import OnBadPhoto, read_checked
from edgevision.evaluate.data.splits import split_by_content, stratified_folds
from edgevision.tasks.results import Label

LABELS = (Label(0, "tea"), Label(1, "salt"), Label(2, "rice"))


def photo(path: Path | str, *classes: int) -> Photo:
    return Photo(Path(path), None, PhotoBoxes(10, 10, tuple(Box(c, 0.0, 0.0, 1.0 + c, 1.0) for c in classes)))


def classes_of(dataset: Dataset) -> list[list[int]]:
    return [[box.label for box in one.boxes.boxes] for one in dataset if one.boxes]


@pytest.mark.parametrize(
    ("photos", "labels", "message"),
    [
        ((photo("a", 3),), LABELS, "classes 0…2, got 3 in a"),
        ((photo("a", -1),), LABELS, "classes 0…2, got -1 in a"),
        ((photo("a", 0), Photo(Path("b"), 1)), LABELS, "some photos have boxes, and b has a class of its own"),
        ((photo("a", 0),), None, "has no labels"),
    ],
)
def test_what_is_no_data_set(photos, labels, message):
    with pytest.raises(DataError, match=message):
        Dataset(photos, labels)


def test_counts_and_selections():
    dataset = Dataset((photo("a", 0, 0, 2), photo("b"), photo("c", 2)), LABELS, remarks=("said",))
    assert dataset.class_counts.tolist() == [1, 0, 2]  # photos that show the class
    assert (dataset.boxed, dataset.labelled) == (True, False)
    assert classes_of(dataset.select([2, 0])) == [[2], [0, 0, 2]]
    assert dataset.select([0]).notes == ("said",)


def test_a_class_for_each_photo_is_refused_not_made_up():
    dataset = Dataset((photo("a", 0),), LABELS)
    with pytest.raises(DataError, match="training needs a class for each photo, but data set has boxes"):
        dataset.require_labels(purpose="training")
    with pytest.raises(DataError, match="has boxes"):
        _ = dataset.truth


def test_labels_are_mapped_in_every_box():
    dataset = Dataset((photo("a", 0, 2), photo("b")), LABELS)
    mapped = dataset.with_labels((Label(5, "rice"), Label(6, "tea")))  # no box shows salt
    assert classes_of(mapped) == [[1, 0], []]
    assert mapped.photos[0].boxes.boxes[1] == Box(0, 0.0, 0.0, 3.0, 1.0)
    with pytest.raises(DataError, match=r"1 of the 2 classes .* 'rice'"):
        dataset.with_labels((Label(0, "tea"), Label(1, "salt")))


@pytest.fixture
def many(put) -> Dataset:
    """40 photos: 20 show tea, of which 4 show salt too; 20 show nothing. Two of each kind are copies."""
    photos = []
    for place in range(40):
        shown = (0, 1) if place < 4 else (0,) if place < 20 else ()
        path = put(f"p/{place}.png", png(200 + place // 20 if place % 10 == 5 else place))
        photos.append(photo(path, *shown))
    return Dataset(tuple(photos), LABELS)


def test_a_split_shares_rare_classes_and_photos_without_products_evenly(many):
    a, b = split_by_content(many, 0.5)
    for half in (a, b):
        assert half.class_counts[1] == 2
        assert half.class_counts[0] == pytest.approx(10, abs=1)
        assert len([one for one in classes_of(half) if not one]) == pytest.approx(10, abs=1)
    assert not set(a.content_hashes) & set(b.content_hashes)


def test_splits_and_folds_do_not_depend_on_order(many):
    order = list(range(len(many)))
    random.Random(1).shuffle(order)
    for divide in (lambda d: split_by_content(d, 0.3), lambda d: stratified_folds(d, 4)):
        first, second = divide(many), divide(many.select(order))
        assert [sorted(part.content_hashes) for part in first] == [sorted(part.content_hashes) for part in second]
        assert [part.digest for part in first] == [part.digest for part in second]
    folds = stratified_folds(many, 4)
    assert [fold.class_counts[1] for fold in folds] == [1, 1, 1, 1]


def test_a_bad_photo_is_named_or_left_out_with_its_boxes(put, tmp_path):
    put_yolo(put, {"a": "0 0.5 0.5 0.1 0.1", "b": "1 0.5 0.5 0.1 0.1"})
    put("set/train/images/b.png", png(3)[:40])
    with pytest.raises(BadPhotosError, match=r"b\.png"):
        read_checked(tmp_path / "set/train")
    kept = read_checked(tmp_path / "set/train", on_bad_photo=OnBadPhoto.SKIP).dataset
    assert (classes_of(kept), kept.boxed) == ([[0]], True)


def test_broken_links_are_refused_as_in_other_folders(put, tmp_path):
    put_yolo(put, {"a": "0 0.5 0.5 0.1 0.1"})
    (tmp_path / "set/train/images/b.png").symlink_to(tmp_path / "nothing.png")
    with pytest.raises(DataError, match=r"1 links in .* lead to photos that are not there"):
        read_dataset(tmp_path / "set/train")


def test_boxes_are_the_size_of_the_decoded_photo(put, tmp_path):
    from edgevision.decode import read_image

    put_yolo(put, {"a": "0 0.5 0.5 1 1"})
    one = read_dataset(tmp_path / "set/train").photos[0]
    assert one.boxes is not None
    assert np.shape(read_image(one.path))[:2] == (one.boxes.height, one.boxes.width) == (100, 200)
