"""Frames → tensors with OpenCV and NumPy: what a careful user of a peer writes, and no kernel of ours.

It keeps to the preprocess spec as far as OpenCV goes; ``difference_of`` says where it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.errors import ImageError
from edgevision.preprocess.geometry import Placement, Region, place
from edgevision.preprocess.spec import ColorOrder, Filter, Layout, PreprocessSpec, TensorDtype
from edgevision.tasks.base import View
from edgevision.tasks.results import FrameId

Pixels = npt.NDArray[np.uint8]


def decode_jpeg(data: bytes) -> Pixels:
    """A JPEG file → BGR uint8 [H, W, 3]. Raises ImageError for another file."""
    import cv2

    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ImageError(f"a frame of {len(data)} bytes is no picture that OpenCV decodes")
    return np.asarray(picture, np.uint8)


def difference_of(spec: PreprocessSpec) -> str:
    """How its tensors differ from what the spec says; "" where by rounding to uint8 alone."""
    if spec.filter is Filter.TRIANGLE:
        return "it resizes with INTER_AREA where the preprocess spec says antialiased, which OpenCV has not"
    return ""


class OpenCvPreprocess:
    """Resizes in uint8, pads, and makes floats by ``cv2.dnn.blobFromImages``, which swaps, scales and transposes in one pass: of
    four ways that people write it, none was quicker. ``threads``: of OpenCV, in all of the process."""

    def __init__(self, spec: PreprocessSpec, threads: int = 1) -> None:
        import cv2

        cv2.setNumThreads(threads)
        self.spec = spec
        self._cv2: Any = cv2
        self._std = np.array(spec.std, np.float32)
        self._mean = tuple(spec.mean)
        self._equal = len(set(spec.std)) == 1
        self._pad = tuple([round(spec.pad_value)] * 3)
        self._canvases: dict[tuple[int, int, int], Pixels] = {}

    def run(self, frames: Sequence[Pixels]) -> tuple[npt.NDArray[Any], list[View]]:
        """BGR frames → one tensor [n, *spec.tensor_shape] in the spec's dtype, and how each frame lies in it."""
        views = [self._view(frame) for frame in frames]
        pictures = [
            self._fitted(n, frame, view.placement) for n, (frame, view) in enumerate(zip(frames, views, strict=True))
        ]
        return self._tensor(pictures), views

    def _view(self, frame: Pixels) -> View:
        height, width = frame.shape[:2]
        at = place(self.spec, height, width)
        return View(FrameId(), height, width, Region(0, 0, width, height), at, self.spec.height, self.spec.width)

    def _fitted(self, number: int, frame: Pixels, at: Placement) -> Pixels:
        """Resized, and padded or cut to the tensor's size."""
        cv2, spec = self._cv2, self.spec
        shrinks = at.height < frame.shape[0] or at.width < frame.shape[1]
        method = cv2.INTER_AREA if shrinks and spec.filter is Filter.TRIANGLE else cv2.INTER_LINEAR
        if (at.top, at.left, at.height, at.width) == (0, 0, spec.height, spec.width):
            return np.asarray(cv2.resize(frame, (at.width, at.height), interpolation=method))
        if at.top < 0 or at.left < 0 or at.height > spec.height or at.width > spec.width:
            resized = cv2.resize(frame, (at.width, at.height), interpolation=method)
            top, left = max(-at.top, 0), max(-at.left, 0)
            return np.asarray(resized[top : top + spec.height, left : left + spec.width])
        # Resized straight into the middle of a grey picture that is kept from frame to frame.
        key = (number, at.height, at.width)
        canvas = self._canvases.get(key)
        if canvas is None:
            canvas = self._canvases[key] = np.full((spec.height, spec.width, 3), self._pad, np.uint8)
        inside = canvas[at.top : at.top + at.height, at.left : at.left + at.width]
        cv2.resize(frame, (at.width, at.height), dst=inside, interpolation=method)
        return canvas

    def _tensor(self, pictures: list[Pixels]) -> npt.NDArray[Any]:
        cv2, spec = self._cv2, self.spec
        if spec.color is ColorOrder.GRAY:
            pictures = [cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in pictures]
        scale = 1.0 / spec.std[0] if self._equal else 1.0
        tensor = np.asarray(
            cv2.dnn.blobFromImages(pictures, scale, mean=self._mean, swapRB=spec.color is ColorOrder.RGB)
        )
        if not self._equal:
            tensor /= self._std.reshape(1, -1, 1, 1)
        if spec.layout is Layout.NHWC:
            tensor = np.ascontiguousarray(tensor.transpose(0, 2, 3, 1))
        if spec.dtype in (TensorDtype.UINT8, TensorDtype.INT8):
            limits = np.iinfo(spec.dtype.value)
            tensor = np.clip(np.rint(tensor), limits.min, limits.max)
        return tensor if tensor.dtype == spec.dtype.value else tensor.astype(spec.dtype.value)
