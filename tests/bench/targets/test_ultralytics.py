"""Ultralytics as a target, played by a small package of the same shape; with EDGEVISION_ULTRALYTICS_PYTHON set, the real one too."""

from __future__ import annotations

import os
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from bench_frames import plain

from edgevision.bench.workload.rendered import encode_jpeg
from edgevision.errors import InputError, MissingExtraError


class Boxes:
    def __init__(self, rows):
        rows = np.array(rows, np.float32).reshape(-1, 6)
        self.xyxy, self.conf, self.cls = rows[:, :4], rows[:, 4], rows[:, 5]


class Predictor:
    """Letterboxes to a rectangle where it may, as the real one does."""

    def __init__(self, rect_anyway):
        self.model = SimpleNamespace(backend=SimpleNamespace(model=None, session=None))
        self.rect_anyway = rect_anyway

    def preprocess(self, pictures):
        size = self.options["imgsz"]
        if self.options["rect"] or self.rect_anyway:
            height, width = pictures[0].shape[:2]
            return np.zeros((len(pictures), 3, size * height // width, size), np.float32)
        return np.zeros((len(pictures), 3, size, size), np.float32)


def fake(asked, task="detect", rect_anyway=False):
    class YOLO:
        def __init__(self, path, task=None, verbose=True):
            asked.append(("opened", os.path.basename(path), task, os.environ.get("YOLO_OFFLINE")))  # noqa: PTH119
            self.overrides = {"imgsz": 96}
            self.predictor = None

        @property
        def task(self):
            return task

        def __call__(self, source, **options):
            pictures = source if isinstance(source, list) else [source]
            asked.append(("asked", len(pictures), options))
            if self.predictor is None:
                self.predictor = Predictor(rect_anyway)
            self.predictor.options = options
            self.predictor.preprocess(pictures)
            speed = {"preprocess": 1.0, "inference": 2.0, "postprocess": None}
            probs = SimpleNamespace(data=np.array([0.1, 0.7, 0.2], np.float32)) if task == "classify" else None
            rows = [(0, 0, 5, 5, 0.3, 2), (1, 2, 3, 4, 0.9, 1)]
            return [SimpleNamespace(boxes=Boxes(rows), probs=probs, speed=speed) for _ in pictures]

    module = ModuleType("ultralytics")
    module.YOLO = YOLO
    torch = ModuleType("torch")
    torch.set_num_threads = lambda count: asked.append(("threads", count))
    return {"ultralytics": module, "torch": torch}


@pytest.fixture
def package(monkeypatch):
    """Puts the fake in place; gives what it was asked. Engines keep their classes."""
    monkeypatch.setattr("edgevision.bench.targets.ultralytics._limit_engines", lambda threads: None)

    def install(**how):
        asked: list[tuple[object, ...]] = []
        for name, module in fake(asked, **how).items():
            monkeypatch.setitem(sys.modules, name, module)
        return asked

    return install


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "yolo.pt"
    path.write_bytes(b"weights")
    return path


def test_a_detector_is_asked_for_a_square(opened, package, weights):
    asked = package()
    target = opened(f"ultralytics:{weights}@conf=0.4", threads=2)
    stages: dict[str, int] = {}
    results = target.answer([plain((0, 0, 0)), plain((1, 1, 1))], stages)
    assert stages == {"preprocess": 2_000_000, "infer": 4_000_000, "post": 0}
    answer = target.read(results[0])
    assert answer.classes.tolist() == [1, 2]  # best first
    np.testing.assert_allclose(answer.scores, [0.9, 0.3], rtol=1e-6)
    assert answer.boxes.tolist() == [[1, 2, 3, 4], [0, 0, 5, 5]]
    options = {"imgsz": 96, "rect": False, "conf": 0.4, "iou": 0.7, "verbose": False, "device": "cpu"}
    assert asked[-1] == ("asked", 2, options)
    assert asked[:2] == [("threads", 2), ("opened", "yolo.pt", None, "true")]
    assert target.identity.input_shape == (1, 3, 96, 96)
    assert target.identity.notes == ("asked as model(frame, imgsz=96, rect=False, conf=0.4, iou=0.7)",)


def test_a_tensor_that_is_no_square_is_seen_and_said(opened, package, weights):
    package(rect_anyway=True)
    identity = opened(f"ultralytics:{weights}@size=320").identity
    assert identity.input_shape == (1, 3, 240, 320)
    assert "asked for 320×320 pixels and its engine gets 240×320" in identity.notes[1]


def test_looking_leaves_the_predictor_as_it_was(opened, package, weights):
    package()
    target = opened(f"ultralytics:{weights}")
    assert "preprocess" not in vars(target._model.predictor)


def test_a_classifier_and_jpegs(opened, package, weights):
    package(task="classify")
    target = opened(f"ultralytics:{weights}")
    stages: dict[str, int] = {}
    (result,) = target.answer([encode_jpeg(plain((0, 0, 255)))], stages)
    assert target.read(result).classes.tolist() == [1, 2, 0]
    assert stages["decode"] > 0


def test_the_size_and_task_of_exported_files(opened, package, tmp_path):
    asked = package()
    folder = tmp_path / "y_openvino_model"
    folder.mkdir()
    (folder / "metadata.yaml").write_text("description: x\ntask: detect\nimgsz:\n- 64\n- 128\nnames:\n  0: a\n")
    assert opened(f"ultralytics:{folder}").identity.input_shape == (1, 3, 128, 128)
    assert asked[1][2] == "detect"


@pytest.mark.parametrize(
    ("options", "said"),
    [("@size=20", "size is a number from 32"), ("@conf=1.5", "conf is a number"), ("@as=x", "has no option 'as'")],
)
def test_options_that_are_none(opened, package, weights, options, said):
    package()
    with pytest.raises(InputError, match=said):
        opened(f"ultralytics:{weights}{options}")


def test_other_tasks_and_missing_packages(opened, package, weights, monkeypatch):
    package(task="pose")
    with pytest.raises(InputError, match="can pose; expected"):
        opened(f"ultralytics:{weights}")
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    with pytest.raises(MissingExtraError, match="name its Python with @python="):
        opened(f"ultralytics:{weights}")


def test_sessions_get_the_threads_that_are_allowed(color_bundle):
    """In a process of its own: what it changes stays changed."""
    import subprocess

    program = """
import sys
from edgevision.bench.targets.ultralytics import _limit_engines
_limit_engines(3)
import onnxruntime
own = onnxruntime.SessionOptions()
own.intra_op_num_threads = 2
for options in (None, own):
    session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
    print(session.get_session_options().intra_op_num_threads)
try:
    import openvino
except ImportError:
    print(3)
else:
    print(openvino.Core().get_property("CPU", "INFERENCE_NUM_THREADS"))
"""
    from bench_frames import DATA

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", program, str(DATA / "color.onnx")],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.stdout.split() == ["3", "2", "3"], done.stderr
