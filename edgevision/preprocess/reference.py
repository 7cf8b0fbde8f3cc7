"""What a preprocess spec means: the float64 reference that every kernel is compared with. Slow, plain, and without tricks.

It computes in float64 throughout; kernels keep taps in float32 and compute in float32, and are compared within a
tolerance that allows for that and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgevision.frames import Frame, PixelFormat
from edgevision.preprocess.color import LIMITED, LUMA_BGR, yuv_matrix
from edgevision.preprocess.geometry import Taps, check_region, place, taps
from edgevision.preprocess.spec import ColorOrder, Layout, PreprocessSpec, TensorDtype

FloatArray = npt.NDArray[np.float64]


def to_bgr(frame: Frame) -> FloatArray:
    """The pixels of ``frame`` as float64 H×W×3 B, G, R in 0…255, not rounded.

    Alpha is ignored. YUV: nearest chroma sample (pixel x uses sample ``x // 2``), luma below 16 counts as 16 in
    limited range, results clamped to 0…255 as every converter does.
    """
    planes = [np.asarray(plane, np.float64) for plane in frame.planes]
    height, width, format = frame.height, frame.width, frame.format
    if format in (PixelFormat.BGR, PixelFormat.BGRA):
        return planes[0][..., :3]
    if format is PixelFormat.RGB:
        return planes[0][..., ::-1]
    if format is PixelFormat.GRAY:
        return np.repeat(planes[0][..., None], 3, axis=2)
    y, x = np.arange(height)[:, None], np.arange(width)[None, :]
    if format is PixelFormat.NV12:
        luma, cb, cr = planes[0], planes[1][y // 2, x // 2, 0], planes[1][y // 2, x // 2, 1]
    elif format is PixelFormat.I420:
        luma, cb, cr = planes[0], planes[1][y // 2, x // 2], planes[2][y // 2, x // 2]
    else:  # YUYV: Y0 U Y1 V
        luma, cb, cr = planes[0][..., 0], planes[0][y, x // 2 * 2, 1], planes[0][y, x // 2 * 2 + 1, 1]
    if frame.encoding in LIMITED:
        luma = np.maximum(luma, 16.0)
    matrix, bias = yuv_matrix(frame.encoding)
    bgr: FloatArray = np.clip(np.stack([luma, cb, cr], axis=2) @ matrix.T + bias, 0.0, 255.0)
    return bgr


def _resample(image: FloatArray, axis_taps: Taps, axis: int) -> FloatArray:
    result = np.zeros((), np.float64)
    shape = [1, 1, 1]
    shape[axis] = -1
    for j in range(axis_taps.weights.shape[1]):
        weight = axis_taps.weights[:, j].reshape(shape)
        result = result + np.take(image, axis_taps.first + j, axis=axis) * weight
    return result


def _to_channels(bgr: FloatArray, color: ColorOrder) -> FloatArray:
    if color is ColorOrder.BGR:
        return bgr
    if color is ColorOrder.RGB:
        return bgr[..., ::-1]
    blue, green, red = bgr[..., 0], bgr[..., 1], bgr[..., 2]
    # The weights sum to 1; written so that grey pixels keep their value to the last bit.
    return (green + LUMA_BGR[0] * (blue - green) + LUMA_BGR[2] * (red - green))[..., None]


def reference(spec: PreprocessSpec, frame: Frame, region: Sequence[int] | None = None) -> FloatArray:
    """The tensor of ``frame`` (or of its ``region``: x, y, width, height), float64, before rounding to the dtype.

    Shape ``spec.tensor_shape``. Raises InputError for a region outside the frame.
    """
    x, y, width, height = check_region(region, frame.height, frame.width)
    picture = to_bgr(frame)[y : y + height, x : x + width]
    at = place(spec, height, width)
    top, left = max(at.top, 0), max(at.left, 0)
    rows, columns = min(at.height, spec.height), min(at.width, spec.width)
    picture = _resample(picture, taps(height, at.height, spec.filter, top - at.top, rows), 0)
    picture = _resample(picture, taps(width, at.width, spec.filter, left - at.left, columns), 1)

    tensor = np.full((spec.height, spec.width, spec.color.channels), float(spec.pad_value))
    tensor[top : top + rows, left : left + columns] = _to_channels(picture, spec.color)
    tensor = (tensor - np.array(spec.mean)) / np.array(spec.std)
    return np.ascontiguousarray(tensor.transpose(2, 0, 1)) if spec.layout is Layout.NCHW else tensor


def reference_tensor(
    spec: PreprocessSpec, frame: Frame, region: Sequence[int] | None = None
) -> npt.NDArray[np.generic]:
    """``reference`` in the spec's dtype. Integers: rounded half to even, then saturated."""
    tensor = reference(spec, frame, region)
    dtype = np.dtype(spec.dtype.value)
    if spec.dtype in (TensorDtype.UINT8, TensorDtype.INT8):
        limits = np.iinfo(dtype)
        tensor = np.clip(np.rint(tensor), limits.min, limits.max)
    with np.errstate(over="ignore"):  # float16 beyond 65504 is infinite, as IEEE 754 says
        return tensor.astype(dtype)
