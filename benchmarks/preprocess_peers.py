"""The chains that `benchmarks.preprocess` compares: ours, and of each peer the quickest one found that is correct.

All write float32 NCHW R, G, B, into an output that they keep, as an engine's slot would be. What need not be done for
every frame is done before: handles of the frames, buffers, compiled models. Left out, because they compute something
else or are far behind: OpenCV INTER_AREA (another filter), NV12 with its planes resized before the conversion (chroma
off by up to 19 grey levels), OpenVINO with floats before the resize or with its Pillow filter (7…40 ms).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.preprocess_cases import (
    BLOB,
    BLOB_REUSED,
    MEAN,
    ONE_THREAD,
    OPENCV_NUMPY,
    OPENVINO,
    OURS,
    PAD,
    PILLOW,
    PLANES,
    PREPARED,
    READ,
    STD,
    TORCH,
    TORCHVISION,
    Case,
)
from edgevision.frames import Frame, PixelFormat
from edgevision.preprocess import Filter, make_plan

Floats = npt.NDArray[np.float32]
Run = Callable[[int], object]


@dataclass(frozen=True, eq=False)
class Ready:
    """A chain made for one case. ``run(index)`` prepares a frame; ``output()`` is the tensor of the last, [3, H, W]."""

    run: Run
    output: Callable[[], Floats]


@dataclass(frozen=True)
class Chain:
    """``make(case, frames, threads)`` gives None where the chain cannot do the case. ``package``: the module it needs.

    ``tolerance``: how far it may be from the float64 reference, in grey levels (0…255), and ``why``.
    """

    name: str
    does: str
    package: str
    tolerance: float
    why: str
    make: Callable[[Case, Sequence[Frame], int], Ready | None]

    def tolerance_for(self, case: Case) -> float:
        """The same for ``case``: peers round NV12 to u8 B, G, R before they resize, which costs as much as 0.65."""
        rounded_twice = case.format is PixelFormat.NV12 and self.package != "edgevision"
        return self.tolerance + (0.65 if rounded_twice else 0.0)


def set_threads(threads: int) -> None:
    """How many threads OpenCV and torch may use. The others are told when they are made."""
    import cv2

    cv2.setNumThreads(threads)
    if installed("torch"):
        import torch

        torch.set_num_threads(threads)


def installed(package: str) -> bool:
    """Whether ``package`` can be imported."""
    return importlib.util.find_spec(package) is not None


# --- ours -------------------------------------------------------------------------------------------------------------


def _plan(case: Case, frames: Sequence[Frame], threads: int, prepared: bool) -> Ready:
    plan = make_plan(case.spec, case.height, case.width, case.format)
    out = np.empty(case.spec.tensor_shape, np.float32)
    if not prepared:
        return Ready(lambda i: plan.run(frames[i], out, threads=threads), lambda: out)
    token = plan.prepare(out)
    return Ready(lambda i: plan.run(frames[i], out, prepared=token, threads=threads), lambda: out)


def _ours(case: Case, frames: Sequence[Frame], threads: int) -> Ready:
    return _plan(case, frames, threads, prepared=False)


def _prepared(case: Case, frames: Sequence[Frame], threads: int) -> Ready | None:
    return _plan(case, frames, threads, prepared=True) if case.letterbox else None


def _one_thread(case: Case, frames: Sequence[Frame], threads: int) -> Ready | None:
    return _plan(case, frames, 1, prepared=case.letterbox) if threads > 1 else None


def _plain_read(case: Case, frames: Sequence[Frame], threads: int) -> Ready:
    """Copies the rows needed, and nothing else, over and over into 256 KiB that stay in the core's own cache.

    So all that is waited for is the reading, done by memcpy; a NumPy sum would take longer to add than to read.
    """
    copies = []
    for plane, rows in enumerate(case.rows):
        row_bytes = frames[0].planes[plane].reshape(len(frames[0].planes[plane]), -1).shape[1]
        step = max(1, (256 << 10) // row_bytes)
        buffer = np.empty((step, row_bytes), np.uint8)
        parts = [rows[start : start + step] for start in range(0, len(rows), step)]
        copies.append((plane, [(part, buffer[: len(part)]) for part in parts]))
    flat = [[plane.reshape(len(plane), -1) for plane in frame.planes] for frame in frames]

    def run(index: int) -> None:
        for plane, parts in copies:
            for rows, buffer in parts:
                flat[index][plane].take(rows, axis=0, out=buffer, mode="clip")  # "raise" would copy twice

    return Ready(run, lambda: np.empty(0, np.float32))


# --- OpenCV -----------------------------------------------------------------------------------------------------------


def _small(case: Case, frames: Sequence[Frame], canvas: npt.NDArray[np.uint8]) -> Run:
    """Frame → u8 B, G, R pixels of the resized picture, written into ``canvas``; NV12 is converted whole first."""
    import cv2

    at = case.placement
    size, planes = (at.width, at.height), [frame.planes for frame in frames]
    if case.format is PixelFormat.BGR:
        return lambda i: cv2.resize(planes[i][0], size, dst=canvas, interpolation=cv2.INTER_LINEAR)
    whole = np.empty((case.height, case.width, 3), np.uint8)

    def run(index: int) -> None:
        cv2.cvtColorTwoPlane(planes[index][0], planes[index][1], cv2.COLOR_YUV2BGR_NV12, dst=whole)
        cv2.resize(whole, size, dst=canvas, interpolation=cv2.INTER_LINEAR)

    return run


def _blob(case: Case, frames: Sequence[Frame], threads: int, *, reused: bool = False) -> Ready | None:
    import cv2

    if case.filter is not Filter.BILINEAR:
        return None
    at, side = case.placement, case.target
    small = np.empty((at.height, at.width, 3), np.uint8)
    canvas = np.empty((side, side, 3), np.uint8) if case.letterbox else small
    borders = (at.top, side - at.height - at.top, at.left, side - at.width - at.left)
    resize, kept = _small(case, frames, small), np.empty((1, 3, side, side), np.float32)
    options = cv2.dnn.Image2BlobParams()
    options.scalefactor, options.mean, options.swapRB = (1 / STD,) * 4, (MEAN,) * 4, True
    options.size, options.ddepth = (side, side), cv2.CV_32F
    last = [kept]

    def run(index: int) -> None:
        resize(index)
        if case.letterbox:
            cv2.copyMakeBorder(small, *borders, cv2.BORDER_CONSTANT, dst=canvas, value=(PAD,) * 3)
        if reused:
            cv2.dnn.blobFromImageWithParams(canvas, kept, options)
        else:
            last[0] = kept  # lets the blob before go, so that its memory is used again
            last[0] = cv2.dnn.blobFromImage(canvas, 1 / STD, (side, side), (MEAN,) * 3, swapRB=True)

    return Ready(run, lambda: last[0][0])


def _blob_reused(case: Case, frames: Sequence[Frame], threads: int) -> Ready | None:
    return _blob(case, frames, threads, reused=True)


def _planes(case: Case, frames: Sequence[Frame], threads: int) -> Ready | None:
    import cv2

    if case.filter is not Filter.BILINEAR:
        return None
    at, out = case.placement, _padded(case)
    small = np.empty((at.height, at.width, 3), np.uint8)
    resize = _small(case, frames, small)
    channels = [np.empty((at.height, at.width), np.uint8) for _ in range(3)]
    targets = list(_picture(case, out)[::-1])  # of blue, green, red

    def run(index: int) -> None:
        resize(index)
        cv2.split(small, channels)
        for channel, target in zip(channels, targets, strict=True):
            cv2.addWeighted(channel, 1 / STD, channel, 0, -MEAN / STD, dst=target, dtype=cv2.CV_32F)

    return Ready(run, lambda: out)


def _opencv_numpy(case: Case, frames: Sequence[Frame], threads: int) -> Ready | None:
    import cv2

    if case.filter is not Filter.BILINEAR:
        return None
    at, out = case.placement, _padded(case)
    small, rgb = (np.empty((at.height, at.width, 3), np.uint8) for _ in range(2))
    normalised = np.empty(rgb.shape, np.float32)
    resize, picture = _small(case, frames, small), _picture(case, out)

    def run(index: int) -> None:
        resize(index)
        cv2.cvtColor(small, cv2.COLOR_BGR2RGB, dst=rgb)
        np.multiply(rgb, np.float32(1 / STD), out=normalised, dtype=np.float32)
        np.subtract(normalised, np.float32(MEAN / STD), out=normalised)
        picture[...] = normalised.transpose(2, 0, 1)

    return Ready(run, lambda: out)


# --- others -----------------------------------------------------------------------------------------------------------


def _torchvision(case: Case, frames: Sequence[Frame], threads: int) -> Ready | None:
    """The functions of torchvision.transforms.v2 in the order its documentation gives."""
    import torch
    from torchvision.transforms.v2 import functional

    if case.format is not PixelFormat.BGR:
        return None
    at, side = case.placement, case.target
    tensors = [torch.from_numpy(frame.planes[0]).permute(2, 0, 1) for frame in frames]
    padding = [at.left, at.top, side - at.width - at.left, side - at.height - at.top]
    size, antialias = [at.height, at.width], case.filter is Filter.TRIANGLE
    last = [torch.empty(0)]

    @torch.inference_mode()  # type: ignore[untyped-decorator, unused-ignore]
    def run(index: int) -> None:
        picture = functional.resize(tensors[index], size, antialias=antialias)[[2, 1, 0]]
        if case.letterbox:
            picture = functional.pad(picture, padding, fill=PAD)
        floats = functional.to_dtype(picture, torch.float32, scale=True)
        last[0] = functional.normalize(floats, [MEAN / 255] * 3, [STD / 255] * 3, inplace=True)

    return Ready(run, lambda: np.asarray(last[0].numpy(), np.float32))


def _torch(case: Case, frames: Sequence[Frame], threads: int) -> Ready | None:
    """The resize that torchvision calls; the rest in one operation for each channel, straight into the output."""
    import torch
    from torch.nn.functional import interpolate

    if case.format is not PixelFormat.BGR:
        return None
    at, out = case.placement, _padded(case)
    tensors = [torch.from_numpy(frame.planes[0])[None].permute(0, 3, 1, 2) for frame in frames]
    targets = [torch.from_numpy(channel) for channel in _picture(case, out)[::-1]]
    size, antialias = [at.height, at.width], case.filter is Filter.TRIANGLE
    shift = torch.full((1, 1), -MEAN / STD)

    @torch.inference_mode()  # type: ignore[untyped-decorator, unused-ignore]
    def run(index: int) -> None:
        picture = interpolate(tensors[index], size, mode="bilinear", antialias=antialias)
        for channel, target in zip(picture[0], targets, strict=True):
            torch.add(shift, channel, alpha=1 / STD, out=target)

    return Ready(run, lambda: out)


def _openvino(case: Case, frames: Sequence[Frame], threads: int) -> Ready | None:
    """PrePostProcessor compiled into a model that does nothing else; u8 is resized before it becomes float."""
    import openvino as ov
    from openvino import opset13 as op
    from openvino.preprocess import ColorFormat, PrePostProcessor, ResizeAlgorithm

    if case.filter is not Filter.BILINEAR:
        return None
    at, side = case.placement, case.target
    picture = op.parameter([1, 3, at.height, at.width], np.float32)
    begin, end = [0, 0, at.top, at.left], [0, 0, side - at.height - at.top, side - at.width - at.left]
    padding = np.float32((PAD - MEAN) / STD)  # here, because PrePostProcessor pads floats only
    result = op.pad(picture, begin, end, "constant", padding) if case.letterbox else picture
    graph = PrePostProcessor(ov.Model([op.result(result)], [picture]))
    given = graph.input()
    tensor = given.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    tensor.set_spatial_static_shape(case.height, case.width)
    steps = given.preprocess()
    if case.format is PixelFormat.NV12:
        tensor.set_color_format(ColorFormat.NV12_TWO_PLANES, ["y", "uv"])
        steps.convert_color(ColorFormat.BGR)
    else:
        tensor.set_color_format(ColorFormat.BGR)
    steps.resize(ResizeAlgorithm.RESIZE_LINEAR, at.height, at.width).convert_layout(ov.Layout("NCHW"))
    steps.convert_color(ColorFormat.RGB).convert_element_type(ov.Type.f32).mean(MEAN).scale(STD)
    given.model().set_layout(ov.Layout("NCHW"))
    options = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads,
               "INFERENCE_PRECISION_HINT": "f32"}  # fmt: skip
    request = ov.Core().compile_model(graph.build(), "CPU", options).create_infer_request()
    out = np.empty((1, 3, side, side), np.float32)
    request.set_output_tensor(ov.Tensor(out, shared_memory=True))

    def wrap(plane: npt.NDArray[np.uint8]) -> Any:
        return ov.Tensor(plane.reshape(1, *plane.shape[:2], -1), shared_memory=True)

    inputs = [[wrap(plane) for plane in frame.planes] for frame in frames]

    def run(index: int) -> None:
        for place, plane in enumerate(inputs[index]):
            request.set_input_tensor(place, plane)
        request.infer()

    return Ready(run, lambda: out[0])


def _pillow(case: Case, frames: Sequence[Frame], threads: int) -> Ready | None:
    from PIL import Image

    if case.filter is not Filter.TRIANGLE or case.format is not PixelFormat.BGR:
        return None  # Pillow has no bilinear filter that does not antialias
    at, out = case.placement, _padded(case)
    picture = _picture(case, out)

    def run(index: int) -> None:
        image = Image.fromarray(frames[index].planes[0])  # Pillow takes it for RGB; channels are swapped when small
        small = np.asarray(image.resize((at.width, at.height), Image.Resampling.BILINEAR))
        np.multiply(small.transpose(2, 0, 1)[::-1], np.float32(1 / STD), out=picture, dtype=np.float32)
        np.subtract(picture, np.float32(MEAN / STD), out=picture)

    return Ready(run, lambda: out)


def _padded(case: Case) -> Floats:
    """An output that holds the padding already, for chains that write the picture alone: the prepared slot of peers."""
    return np.full(case.spec.tensor_shape, (PAD - MEAN) / STD, np.float32)


def _picture(case: Case, out: Floats) -> Floats:
    """The part of ``out`` that the picture fills."""
    at = case.placement
    return out[:, at.top : at.top + at.height, at.left : at.left + at.width]


_EXACT = "float32 taps and arithmetic, nothing rounded between"
_OPENCV = "weights of 11 bits, rounded to u8 after the resize"
_TORCH = "weights of 15 bits, rounded to u8 after each axis"

CHAINS = (
    Chain(OURS, "plan.run, padding written each time", "edgevision", 5e-4, _EXACT, _ours),
    Chain(PREPARED, "plan.run into a prepared slot", "edgevision", 5e-4, _EXACT, _prepared),
    Chain(ONE_THREAD, "the main chain of ours on one thread", "edgevision", 5e-4, _EXACT, _one_thread),
    Chain(BLOB, "resize → copyMakeBorder → blobFromImage", "cv2", 0.8, _OPENCV, _blob),
    Chain(BLOB_REUSED, "the same with blobFromImageWithParams, output reused", "cv2", 0.8, _OPENCV, _blob_reused),
    Chain(PLANES, "resize → split → addWeighted into a prepared output", "cv2", 0.8, _OPENCV, _planes),
    Chain(OPENCV_NUMPY, "resize → cvtColor → NumPy normalise, transpose", "cv2", 0.8, _OPENCV, _opencv_numpy),
    Chain(TORCHVISION, "resize → flip → pad → to_dtype → normalize", "torchvision", 1.1, _TORCH, _torchvision),
    Chain(TORCH, "interpolate → add into a prepared output", "torch", 1.1, _TORCH, _torch),
    Chain(OPENVINO, "PrePostProcessor, u8 resized first", "openvino", 0.6, "rounded to u8 after the resize", _openvino),
    Chain(PILLOW, "resize → NumPy normalise into a prepared output", "PIL", 1.1, _TORCH, _pillow),
    Chain(READ, "memcpy of the source rows needed, on one thread", "numpy", 0.0, "writes no tensor", _plain_read),
)
