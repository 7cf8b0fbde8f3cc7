"""The second part of the demo, from the checkpoint to the counts."""

import io
import json
import shutil
from functools import partial

import cv2
import numpy as np
import pytest
from demo_model import demo_model
from rich.console import Console

from edgevision.demo import belt as belt_module
from edgevision.demo.belt import FPS, clear_of_line, named, picture, rendered_photos, run_belt, snapshots
from edgevision.demo.camera import project
from edgevision.demo.raster import solid
from edgevision.demo.world.conveyor import Conveyor
from edgevision.demo.world.truth import Corners, Seen, Snapshot
from edgevision.demo.world.world import LABELS
from edgevision.errors import InputError
from edgevision.evaluate.data.dataset import read_dataset
from edgevision.tasks.detections import Detections
from edgevision.tasks.products import Products
from edgevision.tasks.results import Classification, Label, Prediction, Timing
from edgevision.tracking import Counter, Line, Tracker


class _Line:
    line = ((40.0, 100.0), (40.0, 0.0))  # what goes right has passed

    def __init__(self, *passed: int) -> None:
        self._passed = frozenset(passed)

    def passed(self, time_s: float) -> frozenset[int]:
        return self._passed


@pytest.mark.parametrize(
    ("box", "is_past", "clear"),
    [
        ((60, 20, 70, 60), True, True),  # its middle is 25 px off
        ((0, 20, 30, 60), False, True),
        ((50, 20, 66, 60), True, False),  # 18 px
        ((40, 0, 100, 10), True, True),  # it lies on the line, but its middle is 30 px off
        ((60, 20, 70, 60), False, False),  # its top leans over the line, its foot is still before it
        ((0, 20, 30, 60), True, False),
    ],
)
def test_a_middle_near_the_line_is_told(box, is_past, clear):
    one = Seen(7, 0, Corners(*box), Corners(*box), 10, 1.0)
    belt = _Line(7) if is_past else _Line()
    assert clear_of_line(Snapshot(np.zeros((100, 100, 3), np.uint8), 0.0, (one,)), belt) is clear


def test_a_watch_begins_and_ends_with_an_empty_line():
    belt = Conveyor(3, 240, 320)
    shots = list(snapshots(belt, 2.0))
    assert len(shots) >= 2.5 * FPS
    assert clear_of_line(shots[0], belt)
    last = shots[-1 - FPS // 2]
    assert clear_of_line(last, belt)
    times = [shot.time_s for shot in shots]
    assert np.allclose(np.diff(times), 1 / FPS)
    assert all(shot.seen is last.seen and shot.crossings is last.crossings for shot in shots[-FPS // 2 :])


@pytest.mark.parametrize("seed", [5002, 5006])  # aslant, with a tall product near the edge; and towards the camera
def test_who_sees_perfect_boxes_counts_the_truth(seed, monkeypatch):
    """Boxes of the bodies' corners: no pixel is painted. Counted wrongly when the line was as wide as the belt (5002), and
    when a watch began while the top of a product was past the line and its foot was not (5006)."""
    belt = Conveyor(seed)
    monkeypatch.setattr(belt, "at", lambda time_s: _outlined(belt, time_s))
    tracker, counter = Tracker(), Counter([Line("line", *belt.line)], camera="belt", products=[""] * len(LABELS))
    before: frozenset[int] | None = None
    events, number = [], 0
    for number, shot in enumerate(snapshots(belt, 6.0)):
        before = belt.passed(shot.time_s) if before is None else before
        boxes = np.clip([one.full for one in shot.seen], 0, (640, 480, 640, 480)).reshape(-1, 4)
        tracks = tracker.update_arrays(boxes, [0.9] * len(boxes), [0] * len(boxes), time_s=number / FPS)
        events += counter.update(tracks)
    after = belt.passed(shot.time_s - 0.5)
    assert sum(one.delta for one in events) == len(after - before) > 3


def _outlined(belt: Conveyor, time_s: float) -> Snapshot:
    seen = []
    for item in belt.layers(time_s)[1].items:
        body = solid(item.product).posed(item.pose)
        if not belt._in_view(body):
            continue
        pixels = project(belt.matrix, body.points) + 0.5
        full = Corners(*pixels.min(axis=0).tolist(), *pixels.max(axis=0).tolist())
        if full.x2 > 8 and full.y2 > 8 and full.x1 < 632 and full.y1 < 472:
            seen.append(Seen(item.id, item.label, full, full, 1, 1.0))
    return Snapshot(np.empty((0, 0, 3), np.uint8), time_s, tuple(seen))


def test_the_picture_shows_line_and_boxes_and_leaves_the_frame_alone():
    belt = Conveyor(3, 240, 320)
    frame = np.zeros((240, 320, 3), np.uint8)
    found = Detections(
        np.array([[40, 60, 90, 120]], np.float32),
        np.array([0.9], np.float32),
        np.array([0]),
        (Label(0, "milk"),),
        Timing(0, 0, 0),
    )
    drawn = picture(frame, found, belt)
    assert not frame.any()
    (x1, y1), (x2, y2) = belt.line
    assert drawn[round((y1 + y2) / 2), round((x1 + x2) / 2)].min() > 200
    assert drawn[90, 40].any()  # the box's left side


@pytest.mark.requires("torch")
def test_the_checkpoint_is_small_and_finds_products():
    from edgevision.demo.compiling import DETECTOR
    from edgevision.train.checkpoint import load_checkpoint

    assert DETECTOR.stat().st_size <= 3_000_000
    assert [label.name for label in load_checkpoint(DETECTOR).labels] == ["product"]


def test_boxes_get_the_likeliest_name_even_a_doubted_one():
    labels = (Label(70, "tea"), Label(50, "milk"))
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], np.float32)
    one_class = (Label(0, "product"),)
    found = Detections(boxes, np.array([0.9, 0.8], np.float32), np.array([0, 0]), one_class, Timing(0, 0, 0))
    answers = [
        Classification((Prediction(50, "milk", 0.4), Prediction(70, "tea", 0.3)), False, Timing(0, 0, 0)),
        Classification((Prediction(70, "tea", 0.9), Prediction(50, "milk", 0.1)), True, Timing(0, 0, 0)),
    ]
    result = named(Products(found, tuple(answers)), labels)
    assert [row.name for row in result] == ["milk", "tea"]
    assert np.array_equal(result.boxes, boxes)


def test_photos_are_rendered_once(tmp_path, monkeypatch):
    monkeypatch.setattr(belt_module, "_PHOTOS", {"train": 1, "val": 1})
    told = []
    data = rendered_photos(tmp_path / "photos", lambda step, done, total: told.append((step, done, total)))
    assert told == [("render photos", 1, 2), ("render photos", 2, 2)]
    dataset = read_dataset(data, part="val")
    assert [label.name for label in dataset.labels] == ["product"]
    assert dataset.photos[0].boxes.boxes
    assert rendered_photos(tmp_path / "photos", lambda *told: pytest.fail("rendered again")) == data


def test_what_lies_where_photos_would_go_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(belt_module, "_PHOTOS", {"train": 1, "val": 1})
    mine = tmp_path / "photos" / "holiday.jpg"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    with pytest.raises(InputError, match="something else"):
        rendered_photos(tmp_path / "photos", lambda *told: None)
    assert mine.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [tmp_path / "photos"]  # and nothing is left behind


@pytest.mark.timeout(900)  # it compiles two models, on machines that do other work beside it
@pytest.mark.requires("torch", "onnx")
def test_the_belt_is_counted_without_a_terminal(tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.setattr(belt_module, "_PHOTOS", {"train": 16, "val": 12})  # fewer: the verdict is not what is tested
    monkeypatch.setattr(belt_module, "compile_checkpoint", partial(belt_module.compile_checkpoint, quick=True))
    shutil.copy(demo_model(tmp_path_factory), tmp_path / "model.edge")  # as the till leaves it
    console = Console(file=io.StringIO(), width=120)
    found = run_belt(console, seconds=6, seed=1, threads=1, folder=tmp_path)
    text = console.file.getvalue()
    assert "\x1b" not in text
    for part in ("truly passed", "named rightly", found.verdict[:30]):
        assert part in text

    data = json.loads(json.dumps(found.to_dict(), default=str))
    belt = data["belt"]
    assert belt["frames"] >= 6 * FPS
    assert belt["found_percent"] > 85
    assert belt["named_percent"] > 75  # of single views
    assert belt["crossed"] >= 3
    assert abs(belt["counted"] - belt["crossed"]) <= 2
    assert "int8" in found.latencies.chosen
    assert data["sizes_bytes"]["int8_graph"] <= 3_000_000
    assert found.kept
    for path in found.kept:
        assert cv2.imread(str(path)).shape == (480, 640, 3)
