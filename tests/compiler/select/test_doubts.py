"""Which photos float's answers are looked at with, and which other preparations are tried."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgevision.compiler.data.photos import CompilePhoto, DataSplits
from edgevision.preprocess.spec import ColorOrder, PreprocessSpec, preset

pytestmark = pytest.mark.requires("torch", "onnx")

PLAIN = PreprocessSpec(8, 8)  # RGB, pixels of 0…1
MEAN, STD = preset("imagenet").mean, preset("imagenet").std


@pytest.mark.parametrize(
    ("spec", "name", "expected"),
    [
        (PLAIN, "channels in BGR order", {"color": ColorOrder.BGR}),
        (PLAIN, "pixels of 0…255", {"std": (1.0,) * 3}),
        (PLAIN, "pixels of −1…1", {"mean": (127.5,) * 3, "std": (127.5,) * 3}),
        (PLAIN, "ImageNet's mean and std", {"mean": MEAN, "std": STD}),
        (PLAIN, "pixels of 0…255 in BGR order", {"std": (1.0,) * 3, "color": ColorOrder.BGR}),
        # Each channel keeps its own mean and std.
        (
            PLAIN,
            "ImageNet's mean and std in BGR order",
            {"mean": MEAN[::-1], "std": STD[::-1], "color": ColorOrder.BGR},
        ),
        (replace(PLAIN, color=ColorOrder.BGR), "channels in RGB order", {"color": ColorOrder.RGB}),
        (
            PreprocessSpec(8, 8, color=ColorOrder.GRAY, mean=(0.0,), std=(255.0,)),
            "pixels of 0…255",
            {"std": (1.0,)},
        ),
    ],
)
def test_other_preparations(spec, name, expected):
    from edgevision.compiler.select.doubts import other_preparations

    ways = other_preparations(spec)
    assert ways[name] == replace(spec, **expected)
    assert spec not in ways.values()
    if spec.color is ColorOrder.GRAY:
        assert {one.color for one in ways.values()} == {ColorOrder.GRAY}


def photos(n, truth, name):
    return tuple(CompilePhoto(b"", truth, f"{name}{i}", classes=() if truth is None else (truth,)) for i in range(n))


@pytest.mark.parametrize(
    ("calibration", "validation", "n", "labelled"),
    [
        (photos(20, 0, "a"), photos(20, 1, "b"), 40, 40),
        (photos(20, None, "a"), photos(20, 1, "b"), 20, 20),
        (photos(20, 0, "a"), photos(20, None, "b"), 20, 20),
        (photos(20, None, "a"), photos(20, None, "b"), 32, 0),
        (photos(2000, 0, "a"), photos(400, 1, "b"), 256, 256),
        ((), (), 0, 0),
    ],
)
def test_labelled_photos_are_looked_at_where_there_are_any(calibration, validation, n, labelled):
    from types import SimpleNamespace

    from edgevision.compiler.select.doubts import _photos

    taken = _photos(SimpleNamespace(splits=DataSplits(calibration, validation, "")))
    assert len(taken) == n
    assert sum(photo.truth is not None for photo in taken) == labelled
    by_class = [sum(photo.truth == place for photo in taken) for place in (0, 1)]
    if n == 256:
        assert by_class == [128, 128]  # the same share of each class
