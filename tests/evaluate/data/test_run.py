from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgevision.errors import DataError, ImageError
from edgevision.evaluate.data.dataset import Dataset, read_dataset
from edgevision.evaluate.data.run import predict_dataset


@pytest.fixture
def shelf(tmp_path: Path) -> Dataset:
    """Eleven photos of different sizes; photo i is grey level 10·i."""
    for i in range(11):
        cv2.imwrite(str(tmp_path / f"{i:02}.png"), np.full((4 + i, 5, 3), 10 * i, np.uint8))
    return read_dataset(tmp_path)


def grey(pictures: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Two arrays for each picture, of different types."""
    return {
        "grey": np.array([[picture.mean() / 10] for picture in pictures], dtype=np.float32),
        "height": np.array([len(picture) for picture in pictures]),
    }


@pytest.mark.parametrize("batch", [1, 4, 11, 50])
def test_items_follow_the_photos_whatever_the_batch(shelf, batch):
    sizes: list[int] = []
    steps: list[tuple[int, int]] = []

    def model(pictures: list[np.ndarray]) -> dict[str, np.ndarray]:
        sizes.append(len(pictures))
        assert all(picture.dtype == np.uint8 and picture.shape[1:] == (5, 3) for picture in pictures)
        return grey(pictures)

    result = predict_dataset(model, shelf, batch, lambda done, n: steps.append((done, n)))
    assert {name: array.dtype for name, array in result.items()} == {"grey": np.float32, "height": np.int64}
    assert result["grey"].tolist() == [[i] for i in range(11)]
    assert result["height"].tolist() == [4 + i for i in range(11)]
    assert sum(sizes) == 11
    assert max(sizes) == min(batch, 11)
    assert [done for done, _ in steps] == np.cumsum(sizes).tolist()
    assert {n for _, n in steps} == {11}


def test_photos_are_decoded_in_another_thread(shelf, monkeypatch):
    threads: set[str] = set()
    monkeypatch.setattr(
        "edgevision.evaluate.data.run.read_image",
        lambda path: threads.add(threading.current_thread().name) or np.zeros((2, 2, 3), np.uint8),
    )
    predict_dataset(grey, shelf, 3)
    assert len(threads) == 1
    assert threading.current_thread().name not in threads


@pytest.mark.parametrize("content", [b"", b"not a photo"])
def test_an_unreadable_photo_is_named(shelf, content):
    shelf.paths[7].write_bytes(content)
    with pytest.raises(ImageError, match=r"07\.png"):
        predict_dataset(grey, shelf, 2)


def test_a_photo_that_went_away_is_named(shelf):
    shelf.paths[7].unlink()
    with pytest.raises(ImageError, match=r"07\.png"):
        predict_dataset(grey, shelf, 2)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda pictures: {"a": np.zeros((1, 3))}, r"for 4 photos, .*\(4, 3\)}, got .*\(1, 3\)"),
        (lambda pictures: {"a": np.zeros((len(pictures), len(pictures)))}, r"for 3 photos.*\(3, 4\)}, got .*\(3, 3\)"),
        (lambda pictures: {str(len(pictures)): np.zeros(len(pictures))}, r"'4': \(3,\)}, got {'3': \(3,\)}"),
        (lambda pictures: {"a": np.zeros(())}, r"for 4 photos"),
        (lambda pictures: {}, "got {}"),
    ],
)
def test_a_model_that_answers_in_the_wrong_shape_is_refused(shelf, model, message):
    with pytest.raises(DataError, match=message):
        predict_dataset(model, shelf, 4)


def test_no_photos_and_no_batch_are_refused(shelf):
    with pytest.raises(DataError, match="got none"):
        predict_dataset(grey, shelf.select([]))
    with pytest.raises(DataError, match="at least 1"):
        predict_dataset(grey, shelf, 0)


def test_what_the_model_raises_comes_through_and_leaves_no_thread(shelf):
    def fail(pictures: list[np.ndarray]) -> np.ndarray:
        raise RuntimeError("engine")

    with pytest.raises(RuntimeError, match="engine"):
        predict_dataset(fail, shelf, 1)
    assert not [t for t in threading.enumerate() if t.name.startswith("edgevision-decode")]
