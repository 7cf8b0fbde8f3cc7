"""What a user writes around a graph to serve it: decode with OpenCV, prepare with NumPy, run in ONNX Runtime, answer in plain values.

For the peers of ``serve_load``; runs in an environment with numpy, opencv-python-headless and onnxruntime, without edgevision. The folder
has ``model.onnx`` and ``model.json``, which ``serve_load`` takes from a bundle: the same graph, the same preprocessing, the same
parameters.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime

Tensor = npt.NDArray[np.float32]


class PeerModel:
    """A graph with its preprocessing. ``threads``: of ONNX Runtime."""

    def __init__(self, folder: str, threads: int) -> None:
        self.told: dict[str, Any] = json.loads((Path(folder) / "model.json").read_text("utf-8"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(Path(folder) / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self.input = self._session.get_inputs()[0].name
        self.output = self._session.get_outputs()[0].name
        self._scale = np.asarray(1 / np.asarray(self.told["std"]), np.float32)
        self._shift = np.asarray(-np.asarray(self.told["mean"]) / np.asarray(self.told["std"]), np.float32)
        cv2.setNumThreads(1)

    def prepare(self, picture: bytes) -> tuple[Tensor, tuple[float, float, float]]:
        """The tensor [3, H, W] of an encoded picture, and its placement: scale, left, top."""
        image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        high, wide = image.shape[:2]
        scale = min(self.told["height"] / high, self.told["width"] / wide)
        new_high, new_wide = round(high * scale), round(wide * scale)
        if (new_high, new_wide) != (high, wide):
            way = cv2.INTER_AREA if self.told["filter"] == "triangle" and scale < 1 else cv2.INTER_LINEAR
            image = cv2.resize(image, (new_wide, new_high), interpolation=way)
        top, left = (self.told["height"] - new_high) // 2, (self.told["width"] - new_wide) // 2
        if (new_high, new_wide) != (self.told["height"], self.told["width"]):
            bottom, right = self.told["height"] - new_high - top, self.told["width"] - new_wide - left
            pad = (self.told["pad_value"],) * 3
            image = cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_CONSTANT, value=pad)
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.float32)
        rgb = rgb * self._scale + self._shift
        return np.ascontiguousarray(rgb.transpose(2, 0, 1)), (scale, left, top)

    def run(self, tensor: Tensor) -> Tensor:
        """[n, 3, H, W] → [n, …]."""
        (found,) = self._session.run([self.output], {self.input: tensor})
        return np.asarray(found, np.float32)

    def answer(self, output: Tensor, placement: tuple[float, float, float]) -> list[dict[str, Any]]:
        """The five best classes, or the boxes, of one picture."""
        if self.told["kind"] == "classify":
            return self._classes(output)
        return self._boxes(output, *placement)

    def recognise(self, picture: bytes) -> list[dict[str, Any]]:
        """All of it."""
        tensor, placement = self.prepare(picture)
        return self.answer(self.run(tensor[None])[0], placement)

    def _classes(self, logits: Tensor) -> list[dict[str, Any]]:
        scaled = logits / self.told["temperature"]
        powers = np.exp(scaled - scaled.max())
        scores = powers / powers.sum()
        best = np.argsort(-scores)[:5]
        return [{"name": self.told["labels"][i], "score": float(scores[i])} for i in best]

    def _boxes(self, output: Tensor, scale: float, left: float, top: float) -> list[dict[str, Any]]:
        """Of YOLO's raw grid [4 + classes, candidates]."""
        scores = output[4:].max(0)
        (chosen,) = np.nonzero(scores > self.told["threshold"])
        labels = output[4:, chosen].argmax(0)
        x, y, wide, high = output[:4, chosen]
        boxes = np.stack([(x - wide / 2 - left) / scale, (y - high / 2 - top) / scale, wide / scale, high / scale], 1)
        kept = cv2.dnn.NMSBoxesBatched(
            boxes.tolist(), scores[chosen].tolist(), labels.tolist(), self.told["threshold"], self.told["iou"]
        )
        order = np.asarray(kept, np.int64)[: self.told["most"]]
        return [
            {"name": self.told["labels"][labels[i]], "score": float(scores[chosen[i]]), "box": boxes[i].tolist()}
            for i in order
        ]
