"""A detector in a bundle: loaded, asked, tested; and on the command line. Its answers are known by construction (``cells``)."""

from __future__ import annotations

import contextlib
import io
import json
import warnings

import cells
import numpy as np
import pytest

import edgevision as ev
from edgevision.cli.main import main
from edgevision.decode import encode_png, read_image
from edgevision.errors import InputError
from edgevision.frames import Frame
from edgevision.tasks import Detections

pytestmark = pytest.mark.requires("native")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))


def loaded(path, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ev.load(path, threads=1, **more)


TWO = ((0, 1, 2), (2, 3, 0))


def test_predict_gives_boxes_in_the_frame(tmp_path):
    with loaded(cells.write_cells(tmp_path / "cells.edge")) as model:
        found = model.predict(cells.picture(*TWO))
        nothing, several = model.predict([cells.picture(), cells.picture((1, 0, 5))])
        named = model.predict(Frame.from_array(cells.picture(*TWO), camera="till", sequence=3))
    assert isinstance(found, Detections)
    assert sorted((row.name, row.id, row.box) for row in found) == [
        ("blue", 30, cells.box_of(3, 0)), ("red", 10, cells.box_of(1, 2)),
    ]  # fmt: skip
    np.testing.assert_allclose(found.scores, cells.SURE, atol=1e-5)
    assert len(nothing) == 0
    assert [(row.name, row.box) for row in several] == [("green", cells.box_of(0, 5))]
    assert (named.frame.camera, named.frame.sequence) == ("till", 3)


@pytest.mark.parametrize(("height", "width"), [(128, 192), (64, 200), (300, 96)])
def test_frames_of_another_shape_are_mapped_back(height, width, tmp_path):
    """A red picture is boxes that together cover it, and no more: nothing lies in the borders of the letterbox."""
    red = np.zeros((height, width, 3), np.uint8)
    red[..., 2] = 255
    with loaded(cells.write_cells(tmp_path / "cells.edge")) as model:
        boxes = model.predict(red).boxes
    assert boxes.min() >= 0
    assert (boxes[:, 2].max(), boxes[:, 3].max()) == (width, height)
    assert np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).sum() == pytest.approx(height * width, rel=0.15)


def test_golden_frames_pass(tmp_path):
    with loaded(cells.write_cells(tmp_path / "cells.edge")) as model:
        result = model.self_test()
    assert result.passed
    assert "4 golden frames with 8 clear boxes agree" in result.message


@pytest.mark.parametrize(
    ("fitted", "asked", "expected"),
    [
        ({}, {}, {"red", "green"}),  # 0.25
        ({"thresholds": [0.9, 0.1, 0.1]}, {}, {"green"}),
        ({"thresholds": [0.9, 0.1, 0.1]}, {"threshold": 0.3}, {"red", "green"}),  # one for all classes
        ({"thresholds": [0.9, 0.1, 0.1]}, {"parameters": {"thresholds": [0.1, 0.9, 0.1]}}, {"red"}),
        ({}, {"threshold": 0.9}, set()),
    ],
)
def test_a_threshold_that_is_asked_for_counts_for_every_class(fitted, asked, expected, tmp_path):
    path = cells.write_cells(tmp_path / "cells.edge", fitted)
    with loaded(path, **asked) as model:
        found = model.predict(cells.picture((0, 1, 2), (1, 0, 0), level=140))  # scores of 0.64
    assert set(found.names) == expected


@pytest.mark.parametrize("given", [{"max_detections": 1}, {"iou": 0.0}, {"class_agnostic": True}])
def test_golden_frames_are_compared_with_the_parameters_they_were_made_with(given, tmp_path):
    with loaded(cells.write_cells(tmp_path / "cells.edge"), parameters=given) as model:
        assert model.self_test().passed
        assert len(model.predict(cells.picture(*TWO))) == given.get("max_detections", 2)


def test_parameters_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(InputError, match="a score for each of 3 labels, got 2"):
        loaded(cells.write_cells(tmp_path / "cells.edge"), parameters={"thresholds": [0.1, 0.2]})


# ---- the command line ----


def call(*arguments):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        status = main([str(argument) for argument in arguments])
    return status, out.getvalue()


@pytest.fixture
def shelf(tmp_path):
    (tmp_path / "shelf.png").write_bytes(encode_png(cells.picture(*TWO)))
    (tmp_path / "zero.png").write_bytes(encode_png(cells.picture()))
    return cells.write_cells(tmp_path / "cells.edge"), tmp_path / "shelf.png", tmp_path / "zero.png"


def test_predict_prints_a_line_for_each_box(shelf):
    status, out = call("predict", *shelf, "--threads", 1)
    assert status == 0
    first, *rows, last = out.splitlines()
    assert first.endswith("shelf.png: 2 found")
    assert sorted(rows) == ["  blue 99.8% at 0,48 … 16,64", "  red 99.8% at 32,16 … 48,32"]
    assert last.endswith("zero.png: 0 found")


def test_predict_gives_json(shelf):
    status, out = call("predict", *shelf, "--json", "--threads", 1)
    assert status == 0
    data = json.loads(out)
    assert [len(photo["detections"]) for photo in data] == [2, 0]
    red = next(row for row in data[0]["detections"] if row["id"] == 10)
    assert red == {"box": [32, 16, 48, 32], "id": 10, "name": "red", "score": pytest.approx(cells.SURE, abs=1e-5)}


def test_predict_draws(shelf, tmp_path):
    assert call("predict", *shelf, "--threads", 1, "--draw", tmp_path / "drawn")[0] == 0
    two, zero = (read_image(path) for path in sorted((tmp_path / "drawn").iterdir()))
    assert not zero.any()
    assert len(np.unique(two.reshape(-1, 3), axis=0)) > 3


def test_other_commands_know_the_bundle(shelf):
    assert call("verify", shelf[0])[0] == 0
    status, out = call("inspect", shelf[0])
    assert status == 0
    for text in ("detect, 3 labels", "scores_8 in 'cls_s8' as levels"):
        assert text in out
