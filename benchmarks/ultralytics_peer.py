"""Ultralytics as a peer, in an environment of its own: it has what we depend on in other versions, and another licence.

Run by ``benchmarks/detect_train.py`` and ``detect_int8.py`` with the other environment's Python. Requests come
as lines of JSON, and so do the answers: ``{"do": "export", …}``; see the functions.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

_models: dict[str, Any] = {}


def train(definition: str, data: str, size: int, minutes: float, folder: str) -> dict[str, Any]:
    """Train from random weights, all else by its defaults: its file with the best weights, and the epochs that fitted in."""
    from ultralytics import YOLO
    from ultralytics.utils import torch_utils

    torch_utils.NUM_THREADS = os.cpu_count()  # else it leaves one core idle, and of two that is half
    model = YOLO(definition)
    started = time.monotonic()
    model.train(
        data=_with_paths(data, Path(folder)), imgsz=size, time=minutes / 60, batch=16, device="cpu", workers=1, plots=False, pretrained=False,
        project=folder, name="peer", exist_ok=True, seed=0,
    )  # fmt: skip
    return {
        "weights": str(model.trainer.best),
        "epochs": model.trainer.epoch + 1,
        "seconds": time.monotonic() - started,
    }


def export(weights: str, definition: str, classes: int, size: int, data: str, folder: str) -> dict[str, str]:
    """Every export that a user would take on a CPU, by name. ``weights``: a checkpoint of Ultralytics; empty = of
    ``definition``, with random weights."""
    import torch
    from ultralytics import YOLO
    from ultralytics.nn.tasks import DetectionModel

    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    source = target / "model.pt"
    if weights:
        source.write_bytes(Path(weights).read_bytes())
    else:
        torch.manual_seed(0)
        model = YOLO(definition)
        model.model = DetectionModel(definition, nc=classes, verbose=False)
        model.model.args = {"task": "detect", "imgsz": size}
        model.ckpt = {"model": model.model}
        model.save(str(source))
    made = {"pt": str(source)}
    data = _with_paths(data, target)
    settings = {"imgsz": size, "batch": 1, "verbose": False}
    kinds: dict[str, dict[str, Any]] = {
        "onnx": {"format": "onnx"},
        "onnx-int8": {"format": "onnx", "int8": True, "data": data},
        "openvino": {"format": "openvino"},
        "openvino-int8": {"format": "openvino", "int8": True, "data": data},
    }
    for name, options in kinds.items():
        copy = target / name / "model.pt"
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(source.read_bytes())
        made[name] = str(YOLO(str(copy)).export(**settings, **options))
    return made


def open_model(id: str, model: str, size: int) -> dict[str, Any]:
    """Load an export."""
    from ultralytics import YOLO

    _models[id] = (YOLO(model, task="detect"), size)
    return {}


def boxes(id: str, photos: list[str], confidence: float) -> dict[str, Any]:
    """For each photo: rows of x1, y1, x2, y2, score, class in its pixels."""
    model, size = _models[id]
    found = []
    for photo in photos:
        result = model.predict(photo, imgsz=size, conf=confidence, iou=0.7, max_det=300, verbose=False)[0]
        found.append(result.boxes.data.cpu().numpy().tolist())
    return {"boxes": found}


def _with_paths(data: str, folder: Path) -> str:
    """A copy of ``data.yaml`` whose ``path`` is absolute: Ultralytics takes a relative one as below the working directory."""
    import yaml

    described = yaml.safe_load(Path(data).read_text())
    described["path"] = str((Path(data).parent / described.get("path", ".")).resolve())
    copy = folder / "data.yaml"
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(yaml.safe_dump(described))
    return str(copy)


def versions() -> dict[str, str]:
    """Of the packages that matter."""
    from importlib.metadata import version

    return {name: version(name) for name in ("ultralytics", "torch", "onnxruntime", "openvino", "nncf")}


def main() -> None:
    answers = sys.stdout
    work: dict[str, Any] = {
        "train": train,
        "export": export,
        "open": open_model,
        "boxes": boxes,
        "versions": versions,
    }
    for line in sys.stdin:
        request = json.loads(line)
        with contextlib.redirect_stdout(sys.stderr):  # its progress must not stand among the answers
            answer = work[request.pop("do")](**request)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
