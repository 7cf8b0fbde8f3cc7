"""``ultralytics:model``: the package's own ``YOLO(model)(frame)``, with all that it does around its engine.

It needs ultralytics, usually in an environment of its own (``@python=``), and of EdgeVision only what needs NumPy alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.bench.targets.address import TargetAddress, existing_file, number_option
from edgevision.bench.targets.base import Allowance, Answer, Identity
from edgevision.bench.targets.facts import hash_of, precision_text, versions_of
from edgevision.bench.targets.onnx_facts import read_facts
from edgevision.bench.targets.openvino_facts import kernels_text, layers_and_kernels
from edgevision.engines.importing import import_onnxruntime, import_openvino
from edgevision.errors import EdgeVisionError, InputError, MissingExtraError

CONF = 0.25  # Ultralytics' own defaults
IOU = 0.7
_STAGES = {"preprocess": "preprocess", "inference": "infer", "postprocess": "post"}  # its words → ours


def open(address: TargetAddress, allowance: Allowance) -> UltralyticsTarget:
    """Load a ``.pt``, ``.onnx`` or a folder ``…_openvino_model``. ``@size=`` is the side of its square input, by default what the file says,
    else 640; ``@conf=`` and ``@iou=`` its thresholds.

    Raises MissingExtraError where the package is missing, InputError for a file that it cannot take.
    """
    path = existing_file(address.what, address)
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")  # else it installs what it misses, in the middle of a run
    os.environ.setdefault("YOLO_VERBOSE", "false")
    try:
        import torch
        from ultralytics import YOLO
    except ImportError as error:
        missing = error.name if error.name in ("torch", "ultralytics") else "ultralytics"
        raise MissingExtraError(missing, "", f"'{address.text}' (name its Python with @python=…)") from None
    torch.set_num_threads(allowance.threads)
    _limit_engines(allowance.threads)
    said = _said_by(path)
    model = YOLO(str(path), task=said.get("task"), verbose=False)
    if model.task not in ("detect", "classify"):
        raise InputError(f"'{address.text}' can {model.task}; expected a model that detects or classifies")
    size = round(number_option(address, "size", _own_size(said, model), 32, 8192))
    return UltralyticsTarget(
        address, path, model, size, number_option(address, "conf", CONF), number_option(address, "iou", IOU), allowance
    )


class UltralyticsTarget:
    """A model of Ultralytics, asked as its documentation does: ``model(frames)``."""

    parallel = False

    def __init__(
        self, address: TargetAddress, path: Path, model: Any, size: int, conf: float, iou: float, allowance: Allowance
    ) -> None:
        self._model = model
        # rect=False: a graph of free size would else run on the rectangle that the frame's shape leaves, which is less work.
        self._options = {"imgsz": size, "rect": False, "conf": conf, "iou": iou, "verbose": False, "device": "cpu"}
        seen = self._look(np.full((size * 3 // 4, size, 3), 114, np.uint8))
        sha256, bytes_ = hash_of(path)
        predictor = model.predictor
        versions = versions_of(
            ("ultralytics", "torch", "onnxruntime", "openvino", "numpy", "opencv-python", "opencv-python-headless")
        )
        notes = [f"asked as model(frame, imgsz={size}, rect=False, conf={conf:g}, iou={iou:g})"]
        if seen[-2:] != (size, size):
            notes.append(f"it was asked for {size}×{size} pixels and its engine gets {seen[-2]}×{seen[-1]}")
        engine, provider, precision = _engine_of(predictor.model, path, versions)
        self.identity = Identity(
            kind="ultralytics", file=str(path), sha256=sha256, bytes=bytes_, task=model.task, precision=precision, engine=engine,
            provider=provider, threads=allowance.threads, input_shape=seen, versions=versions, notes=tuple(notes),
        )  # fmt: skip

    def answer(self, frames: Sequence[Any], stages: dict[str, int] | None) -> Sequence[Any]:  # noqa: D102 - as in Target, and so are those below
        if isinstance(frames[0], bytes):
            frames = _decoded(frames, stages)
        results: Sequence[Any] = self._model(frames if len(frames) > 1 else frames[0], **self._options)
        if stages is not None:
            for result in results:  # its speed is milliseconds for each picture
                for theirs, ours in _STAGES.items():
                    stages[ours] = stages.get(ours, 0) + round((result.speed.get(theirs) or 0.0) * 1e6)
        return results

    def read(self, result: Any) -> Answer:  # noqa: D102
        if result.probs is not None:
            scores = _array(result.probs.data)
            best = np.argsort(-scores, kind="stable")[:5]
            return Answer(best.astype(np.int64), scores[best])
        boxes = result.boxes
        scores = _array(boxes.conf)
        order = np.argsort(-scores, kind="stable")
        return Answer(
            _array(boxes.cls).astype(np.int64)[order], scores[order], _array(boxes.xyxy).reshape(-1, 4)[order]
        )

    def close(self) -> None:  # noqa: D102
        self._model = None

    def _look(self, frame: Any) -> tuple[int, ...]:
        """Ask once, and see the tensor that its engine gets."""
        self._model(frame, **self._options)  # makes the predictor
        predictor = self._model.predictor
        seen: list[tuple[int, ...]] = []
        original = predictor.preprocess

        def preprocess(pictures: Any) -> Any:
            tensor = original(pictures)
            seen.append(tuple(int(side) for side in tensor.shape))
            return tensor

        predictor.preprocess = preprocess
        try:
            self._model(frame, **self._options)
        finally:
            del predictor.preprocess  # the instance's own, so that its class's is found again
        return seen[0] if seen else ()


def _limit_engines(threads: int) -> None:
    """Ultralytics has no option for an engine's threads, and ONNX Runtime takes all cores, those that its process is not bound to too:
    sessions and cores that are made from here on get what this target is allowed."""
    with contextlib.suppress(EdgeVisionError):
        onnxruntime = import_onnxruntime()

        class Session(onnxruntime.InferenceSession):  # type: ignore[misc, name-defined]
            def __init__(self, model: Any, sess_options: Any = None, *arguments: Any, **named: Any) -> None:
                options = onnxruntime.SessionOptions() if sess_options is None else sess_options
                if options.intra_op_num_threads == 0:
                    options.intra_op_num_threads = threads
                super().__init__(model, options, *arguments, **named)

        onnxruntime.InferenceSession = Session
    with contextlib.suppress(EdgeVisionError):
        openvino = import_openvino()

        class Core(openvino.Core):  # type: ignore[misc, name-defined]
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments)
                self.set_property("CPU", {"INFERENCE_NUM_THREADS": threads})

        openvino.Core = Core


def _said_by(path: Path) -> dict[str, str]:
    """Task and size that its exporter wrote into an ONNX file, or into the metadata.yaml of a folder; nothing of a .pt, which knows."""
    if path.suffix == ".onnx":
        return dict(read_facts(path).metadata)
    file = path / "metadata.yaml"
    if not file.is_file():
        return {}
    text = file.read_text(encoding="utf-8")
    found = {key: re.search(rf"^{key}:\s*(.*(?:\n\s*-.*)*)", text, re.MULTILINE) for key in ("task", "imgsz")}
    return {key: match[1].strip() for key, match in found.items() if match is not None}


def _own_size(said: Mapping[str, str], model: Any) -> float:
    """The longer side that the file was made for; 640 where it does not say."""
    sides = [int(one) for one in re.findall(r"\d+", said.get("imgsz", ""))[:2]]
    if not sides:
        own = model.overrides.get("imgsz")
        sides = list(own) if isinstance(own, (list, tuple)) else [own or 640]
    return float(max(sides))


def _engine_of(backend: Any, path: Path, versions: dict[str, str]) -> tuple[str, str, str]:
    """Engine, provider and precision of its ``AutoBackend``, as far as they can be seen."""
    inner = getattr(backend, "backend", backend)  # older versions have no object inside
    session = getattr(inner, "session", None)
    if session is not None and hasattr(session, "get_providers"):
        threads = session.get_session_options().intra_op_num_threads
        layers = precision_text(read_facts(path).layers)
        provider = f"{', '.join(session.get_providers())}, session of {threads} threads"
        return f"onnxruntime {versions.get('onnxruntime', '')}", provider, f"{layers}, as the graph is written"
    compiled = getattr(inner, "ov_compiled_model", None)
    if compiled is not None:
        told, kernels = layers_and_kernels(compiled)
        return (
            f"openvino {versions.get('openvino', '')}",
            f"OpenVINO CPU: {kernels_text(kernels)}",
            precision_text(told),
        )
    network: Any = getattr(inner, "model", None)
    parameters = network.parameters() if hasattr(network, "parameters") else ()
    kinds = Counter(str(one.dtype).removeprefix("torch.") for one in parameters if one.ndim >= 2)
    return f"torch {versions.get('torch', '')}", "CPU, eager", precision_text(kinds)


def _decoded(frames: Sequence[bytes], stages: dict[str, int] | None) -> list[Any]:
    import cv2

    began = time.perf_counter_ns()
    pictures = [cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR) for frame in frames]
    if stages is not None:
        stages["decode"] = stages.get("decode", 0) + time.perf_counter_ns() - began
    return pictures


def _array(tensor: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(tensor.cpu() if hasattr(tensor, "cpu") else tensor, np.float64)
