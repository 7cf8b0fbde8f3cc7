"""What counts as read, and what as misread."""

from __future__ import annotations

import numpy as np

from benchmarks.barcodes import Count, Photo, count, misread

IMAGE = np.zeros((1, 1, 3), np.uint8)
PHOTOS = [Photo("a/1", IMAGE, "X"), Photo("a/2", IMAGE, "X"), Photo("a/3", IMAGE, "X"), Photo("b/1", IMAGE, None)]
FOUND = {"a/1": ["X"], "a/2": ["X", "Y"], "a/3": [], "b/1": ["Z"]}


def test_a_picture_may_be_read_and_misread():
    assert count(PHOTOS, FOUND) == {"a": Count(3, 2, 1), "b": Count(1, 0, 1), "all": Count(4, 2, 2)}
    assert list(count(PHOTOS, FOUND)) == ["a", "b", "all"]
    assert misread(PHOTOS, FOUND) == {"a/2": ["Y"], "b/1": ["Z"]}
