"""The reference against other people's libraries, and by cases whose answer can be worked out by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgevision.frames import ColorEncoding, Frame, PixelFormat
from edgevision.preprocess import ColorOrder, Filter, Fit, Layout, PreprocessSpec, TensorDtype, preset
from edgevision.preprocess.reference import reference, reference_tensor, to_bgr

PIXELS = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "color": ColorOrder.BGR, "layout": Layout.NHWC}
RESIZES = [
    ((37, 53), (24, 24)), ((108, 192), (22, 22)), ((77, 137), (36, 64)), ((10, 10), (33, 21)), ((1, 1), (4, 4)),
    ((1, 40), (8, 8)), ((40, 1), (8, 8)), ((64, 64), (64, 64)), ((192, 192), (64, 64)), ((50, 20), (10, 50)),
]  # fmt: skip


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


# Against libraries


@pytest.mark.requires("torch")
@pytest.mark.parametrize(("source", "target"), RESIZES)
@pytest.mark.parametrize("filter", list(Filter))
def test_resizing_agrees_with_torchvision(filter: Filter, source: tuple[int, int], target: tuple[int, int]) -> None:
    import torch
    from torchvision.transforms.v2.functional import resize

    image = noise(*source)
    spec = PreprocessSpec(*target, filter=filter, **PIXELS)
    tensor = torch.from_numpy(image).permute(2, 0, 1).double()
    theirs = resize(tensor, list(target), antialias=filter is Filter.TRIANGLE).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(reference(spec, Frame.from_array(image)), theirs, atol=1e-3)


@pytest.mark.requires("torch")
@pytest.mark.parametrize("size", [(348, 348), (300, 300), (256, 256), (667, 1000), (323, 211)])
def test_the_imagenet_preset_is_torchvisions(size: tuple[int, int]) -> None:
    import torch
    from torchvision.transforms.v2 import functional as tv

    image = noise(*size)
    tensor = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1).double()
    tensor = tv.center_crop(tv.resize(tensor, [256], antialias=True), [224])
    theirs = tv.normalize(tensor / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]).numpy()
    np.testing.assert_allclose(reference(preset("imagenet"), Frame.from_array(image)), theirs, atol=1e-4)


@pytest.mark.requires("pillow")
@pytest.mark.parametrize(("source", "target"), RESIZES)
def test_triangle_agrees_with_pillow(source: tuple[int, int], target: tuple[int, int]) -> None:
    from PIL import Image

    grey = noise(*source)[..., 0]
    spec = PreprocessSpec(*target, filter=Filter.TRIANGLE, **PIXELS)
    theirs = np.asarray(
        Image.fromarray(grey.astype(np.float32)).resize((target[1], target[0]), Image.Resampling.BILINEAR)
    )
    ours = reference(spec, Frame.from_array(grey, format=PixelFormat.GRAY))
    np.testing.assert_allclose(ours[..., 0], theirs, atol=2e-3)


@pytest.mark.parametrize(("source", "target"), RESIZES)
def test_bilinear_agrees_with_opencv(source: tuple[int, int], target: tuple[int, int]) -> None:
    image = noise(*source)
    spec = PreprocessSpec(*target, **PIXELS)
    theirs = cv2.resize(image.astype(np.float32), (target[1], target[0]), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(reference(spec, Frame.from_array(image)), theirs, atol=0.02)


def yuv_frames(seed: int, **known: object) -> dict[str, Frame]:
    """The same samples as NV12, I420 and YUYV (4:2:0 samples repeated over rows)."""
    rng = np.random.default_rng(seed)
    luma = rng.integers(0, 256, (32, 48), dtype=np.uint8)
    chroma = rng.integers(0, 256, (16, 24, 2), dtype=np.uint8)
    packed = np.empty((32, 48, 2), np.uint8)
    packed[..., 0] = luma
    packed[..., 1] = np.repeat(chroma, 2, axis=0).reshape(32, 48)
    planes = {
        "NV12": (luma, chroma),
        "I420": (luma, chroma[..., 0], chroma[..., 1]),
        "YUYV": (packed,),
    }
    return {name: Frame(value, 32, 48, PixelFormat[name], **known) for name, value in planes.items()}


@pytest.mark.parametrize("encoding", list(ColorEncoding))
def test_the_same_samples_give_the_same_colours_in_every_layout(encoding: ColorEncoding) -> None:
    frames = yuv_frames(4, encoding=encoding)
    np.testing.assert_array_equal(to_bgr(frames["NV12"]), to_bgr(frames["I420"]))
    np.testing.assert_array_equal(to_bgr(frames["NV12"]), to_bgr(frames["YUYV"]))


def test_bt601_limited_agrees_with_opencv() -> None:
    """OpenCV rounds to whole levels, with constants of three digits: 1.164, 1.596, …"""
    frames = yuv_frames(5)
    nv12, i420, yuyv = (frames[name].planes for name in ("NV12", "I420", "YUYV"))
    theirs = {
        "NV12": cv2.cvtColorTwoPlane(nv12[0], nv12[1], cv2.COLOR_YUV2BGR_NV12),
        "I420": cv2.cvtColor(
            np.concatenate([plane.reshape(-1) for plane in i420]).reshape(48, 48), cv2.COLOR_YUV2BGR_I420
        ),
        "YUYV": cv2.cvtColor(yuyv[0], cv2.COLOR_YUV2BGR_YUY2),
    }
    for name, image in theirs.items():
        assert np.abs(to_bgr(frames[name]) - image).max() <= 1.0, name


@pytest.mark.requires("pillow")
def test_bt601_full_agrees_with_pillow() -> None:
    from PIL import Image

    frame = yuv_frames(6, encoding=ColorEncoding.BT601_FULL)["YUYV"]
    packed = frame.planes[0]
    chroma = np.repeat(packed[..., 1].reshape(32, 24, 2), 2, axis=1)
    ycbcr = np.dstack([packed[..., 0], chroma]).astype(np.uint8)
    planes = [Image.fromarray(np.ascontiguousarray(ycbcr[..., i])) for i in range(3)]
    theirs = np.asarray(Image.merge("YCbCr", planes).convert("RGB"))[..., ::-1]
    assert np.abs(to_bgr(frame) - theirs).max() <= 1.0


@pytest.mark.parametrize(
    ("encoding", "yuv", "bgr"),
    [  # 100 % colour bars: ITU-R BT.601-7 and BT.709-6, 8 bits
        (ColorEncoding.BT601_LIMITED, (235, 128, 128), (255, 255, 255)),
        (ColorEncoding.BT601_LIMITED, (16, 128, 128), (0, 0, 0)),
        (ColorEncoding.BT601_LIMITED, (81, 90, 240), (0, 0, 255)),
        (ColorEncoding.BT601_LIMITED, (145, 54, 34), (0, 255, 0)),
        (ColorEncoding.BT601_LIMITED, (41, 240, 110), (255, 0, 0)),
        (ColorEncoding.BT709_LIMITED, (235, 128, 128), (255, 255, 255)),
        (ColorEncoding.BT709_LIMITED, (63, 102, 240), (0, 0, 255)),
        (ColorEncoding.BT709_LIMITED, (173, 42, 26), (0, 255, 0)),
        (ColorEncoding.BT709_LIMITED, (32, 240, 118), (255, 0, 0)),
        (ColorEncoding.BT601_FULL, (76, 85, 255), (0, 0, 255)),
        (ColorEncoding.BT601_FULL, (150, 44, 21), (0, 255, 0)),
        (ColorEncoding.BT601_FULL, (29, 255, 107), (255, 0, 0)),
        (ColorEncoding.BT709_FULL, (54, 99, 255), (0, 0, 255)),
        (ColorEncoding.BT709_FULL, (182, 30, 12), (0, 255, 0)),
        (ColorEncoding.BT709_FULL, (18, 255, 116), (255, 0, 0)),
        (ColorEncoding.BT601_LIMITED, (0, 128, 128), (0, 0, 0)),  # below black is black
        (ColorEncoding.BT601_LIMITED, (255, 128, 128), (255, 255, 255)),  # above white is white
        (ColorEncoding.BT601_LIMITED, (3, 240, 128), (226, 0, 0)),  # foot-room before the matrix, not after
    ],
)
def test_colour_bars(encoding: ColorEncoding, yuv: tuple[int, int, int], bgr: tuple[int, int, int]) -> None:
    y, cb, cr = yuv
    frame = Frame((np.array([[[y, cb], [y, cr]]], np.uint8),), 1, 2, PixelFormat.YUYV, encoding)
    np.testing.assert_allclose(to_bgr(frame)[0], [bgr, bgr], atol=2.0)  # the bars themselves are rounded


# Worked out by hand


@pytest.mark.parametrize("filter", list(Filter))
@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (30, 17), (224, 224)])
def test_one_colour_stays_that_colour(fit: Fit, filter: Filter, size: tuple[int, int]) -> None:
    image = np.full((*size, 3), (10, 20, 30), np.uint8)
    spec = PreprocessSpec(12, 10, fit, filter, mean=(30, 20, 10), std=(1, 2, 3), pad_value=10)
    tensor = reference(spec, Frame.from_array(image))
    assert tensor.shape == (3, 12, 10)
    if fit is Fit.LETTERBOX:  # pads too: red is 30 in the picture and 10 around it
        assert {round(v, 9) for v in tensor[0].ravel()} <= {0.0, -20.0}
    else:
        np.testing.assert_allclose(tensor, 0, atol=1e-12)


@pytest.mark.parametrize("filter", list(Filter))
def test_a_ramp_is_read_at_pixel_centres(filter: Filter) -> None:
    image = np.broadcast_to(np.arange(0, 240, 4, dtype=np.uint8)[None, :, None], (5, 60, 3))
    spec = PreprocessSpec(5, 25, filter=filter, **PIXELS)
    expected = 4 * ((np.arange(25) + 0.5) * 60 / 25 - 0.5)
    inner = slice(2, -2)  # the antialiased taps at the edges are cut off
    row = reference(spec, Frame.from_array(np.ascontiguousarray(image)))[2, :, 1]
    np.testing.assert_allclose(row[inner], expected[inner], atol=1e-9 if filter is Filter.BILINEAR else 0.5)


def test_letterbox_borders_are_exactly_the_pad() -> None:
    image = np.full((20, 40, 3), 255, np.uint8)
    spec = PreprocessSpec(40, 40, Fit.LETTERBOX, color=ColorOrder.BGR, mean=(100, 0, 0), std=(2, 1, 1), pad_value=114.5)
    tensor = reference(spec, Frame.from_array(image))
    for border in (tensor[:, :10], tensor[:, 30:]):
        np.testing.assert_array_equal(
            border, np.broadcast_to(np.array([7.25, 114.5, 114.5])[:, None, None], (3, 10, 40))
        )
    np.testing.assert_array_equal(tensor[1:, 10:30], 255)


@pytest.mark.parametrize(
    ("color", "expected"),
    [(ColorOrder.RGB, [3, 2, 1]), (ColorOrder.BGR, [1, 2, 3]), (ColorOrder.GRAY, [0.114 * 1 + 0.587 * 2 + 0.299 * 3])],
)
@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("format", [PixelFormat.BGR, PixelFormat.RGB, PixelFormat.BGRA])
def test_channels_of_the_tensor(format: PixelFormat, layout: Layout, color: ColorOrder, expected: list[float]) -> None:
    stored = {PixelFormat.BGR: (1, 2, 3), PixelFormat.RGB: (3, 2, 1), PixelFormat.BGRA: (1, 2, 3, 99)}[format]
    image = np.full((2, 2, len(stored)), stored, np.uint8)
    n = color.channels
    spec = PreprocessSpec(2, 2, color=color, mean=(0.0,) * n, std=(1.0,) * n, layout=layout)
    tensor = reference(spec, Frame.from_array(image, format=format))
    assert tensor.shape == spec.tensor_shape
    first = tensor[:, 0, 0] if layout is Layout.NCHW else tensor[0, 0]
    np.testing.assert_allclose(first, expected)


@pytest.mark.parametrize("filter", list(Filter))
@pytest.mark.parametrize("fit", list(Fit))
def test_a_region_is_as_good_as_its_own_picture(fit: Fit, filter: Filter) -> None:
    image = noise(40, 60)
    spec = PreprocessSpec(16, 16, fit, filter)
    part = np.ascontiguousarray(image[7:30, 11:48])
    np.testing.assert_array_equal(
        reference(spec, Frame.from_array(image), (11, 7, 37, 23)), reference(spec, Frame.from_array(part))
    )


@pytest.mark.parametrize("name", ["NV12", "I420", "YUYV"])
@pytest.mark.parametrize("corner", [(0, 0), (1, 0), (0, 1), (3, 5)])
def test_a_region_of_a_yuv_frame_may_start_anywhere(name: str, corner: tuple[int, int]) -> None:
    frame = yuv_frames(9)[name]
    x, y = corner
    spec = PreprocessSpec(8, 9, **PIXELS)
    picture = np.rint(to_bgr(frame)).astype(np.uint8)
    ours = reference(spec, frame, (x, y, 9, 8))  # the size of the target: nothing is resampled
    np.testing.assert_allclose(ours, picture[y : y + 8, x : x + 9], atol=0.5)


@pytest.mark.parametrize(
    ("dtype", "mean", "values", "expected"),
    [
        (TensorDtype.UINT8, 0.5, [0, 1, 2, 3, 4, 255], [0, 0, 2, 2, 4, 254]),  # half to even, never below 0
        (TensorDtype.INT8, 128.0, [0, 1, 127, 128, 255], [-128, -127, -1, 0, 127]),
        (TensorDtype.INT8, 0.0, [0, 127, 128, 255], [0, 127, 127, 127]),  # saturates
        (TensorDtype.INT8, 127.5, [0, 1, 127, 128, 255], [-128, -126, 0, 0, 127]),
        (TensorDtype.FLOAT16, 0.0, [0, 255], [0, 255]),
        (TensorDtype.FLOAT32, 127.5, [0, 255], [-127.5, 127.5]),
    ],
)
def test_rounding_to_the_dtype(dtype: TensorDtype, mean: float, values: list[int], expected: list[float]) -> None:
    image = np.array([values], np.uint8)
    spec = PreprocessSpec(1, len(values), color=ColorOrder.GRAY, mean=(mean,), std=(1.0,), dtype=dtype)
    tensor = reference_tensor(spec, Frame.from_array(image, format=PixelFormat.GRAY))
    assert tensor.dtype == np.dtype(dtype.value)
    np.testing.assert_array_equal(tensor.ravel(), np.array(expected))
