from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest

from edgevision.decode import read_image
from edgevision.evaluate.data.dataset import Dataset, Photo, read_dataset
from edgevision.tasks.results import Label
from edgevision.train.photos import _round_robin, encode_photo, make_pack

pytestmark = pytest.mark.requires("torch")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Four classes with 16, 8, 4 and 2 photos of 80×100 pixels: a dataset."""
    folder, random = tmp_path_factory.mktemp("pack"), np.random.default_rng(0)
    found = []
    for label, count in enumerate((16, 8, 4, 2)):
        for number in range(count):
            path = folder / f"{label}-{number}.png"
            cv2.imwrite(str(path), random.integers(0, 256, (80, 100, 3), dtype=np.uint8))
            found.append(Photo(path, label))
    return Dataset(tuple(found), tuple(Label(i, f"class {i}") for i in range(4)))


def test_large_photos_shrink_and_small_files_stay(tmp_path):
    gradient = np.tile(np.linspace(0, 255, 400).astype(np.uint8)[None, :, None], (300, 1, 3))
    cv2.imwrite(str(tmp_path / "large.png"), gradient)
    shrunk = encode_photo(tmp_path / "large.png", 64)
    assert shrunk[:2] == b"\xff\xd8"
    image = read_image(shrunk)
    assert image.shape == (60, 80, 3)
    assert abs(image.astype(int) - cv2.resize(gradient, (80, 60), interpolation=cv2.INTER_AREA)).max() <= 6
    cv2.imwrite(str(tmp_path / "small.jpg"), gradient[:80, :80], [cv2.IMWRITE_JPEG_QUALITY, 20])
    assert encode_photo(tmp_path / "small.jpg", 64) == (tmp_path / "small.jpg").read_bytes()


@pytest.mark.parametrize("max_bytes", [8_000_000, 60_000, 20_000, 100])
def test_the_pack_stays_within_its_size(photos, max_bytes):
    pack = make_pack(photos, None, 64, max_bytes)
    assert pack.size_bytes <= max_bytes
    if max_bytes == 8_000_000:
        assert len(pack.calibration) + len(pack.validation) == len(photos)


def test_classes_share_the_room(photos):
    pack = make_pack(photos, None, 64, 2 * 8 * len(encode_photo(photos.paths[0], 64)))
    counts = np.bincount([photo.label for photo in pack.calibration], minlength=4)
    assert len(pack.calibration) in (7, 8, 9)
    assert counts.min() >= 1  # the class with two photos is there
    assert counts.max() <= 4  # the class with sixteen does not fill it


def test_turns():
    classes, hashes = [0, 0, 0, 1, 2, 2], ["f", "a", "c", "e", "b", "d"]
    assert list(_round_robin(classes, hashes)) == [1, 4, 3, 2, 5, 0]


def test_without_validation_photos_all_are_seen_and_none_is_on_both_sides(photos):
    pack = make_pack(photos, None, 64)
    assert all(photo.in_training_set for photo in (*pack.calibration, *pack.validation))
    assert not {photo.data for photo in pack.calibration} & {photo.data for photo in pack.validation}


def test_with_validation_photos_only_unseen_ones_validate(photos):
    train, val = photos.select(range(0, 30, 2)), photos.select(range(30))  # half of val was trained on
    pack = make_pack(train, val, 64)
    trained_on = {encode_photo(path, 64) for path in train.paths}
    assert pack.validation
    assert all(not photo.in_training_set and photo.data not in trained_on for photo in pack.validation)
    unseen = [photo for photo in pack.calibration if not photo.in_training_set]
    assert len(unseen) + len(pack.validation) == 15
    assert abs(len(unseen) - len(pack.validation)) <= 1
    assert {photo.data for photo in pack.calibration if photo.in_training_set} <= trained_on


def test_the_same_photos_give_the_same_pack_in_any_order(photos):
    backwards = photos.select(range(len(photos) - 1, -1, -1))
    assert make_pack(photos, None, 64, 100_000) == make_pack(backwards, None, 64, 100_000)


def test_packed_photos_name_the_file_they_were_made_from(photos):
    """Their own bytes are others where they were encoded anew."""
    pack = make_pack(photos, None, 32)
    originals = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in photos.paths}
    for photo in (*pack.calibration, *pack.validation):
        assert photo.data == encode_photo(originals[photo.source_sha256], 32)
    assert any(hashlib.sha256(photo.data).hexdigest() != photo.source_sha256 for photo in pack.validation)


def test_labels_travel(colour_photos):
    dataset = read_dataset(colour_photos)
    for photo in make_pack(dataset, None, 32).validation:
        assert (
            dataset.labels[photo.label].name == ("blue", "green", "red")[read_image(photo.data).mean((0, 1)).argmax()]
        )
