from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.frames import ColorEncoding, Frame, PixelFormat
from edgevision.preprocess import Preprocessor, PreprocessSpec, TensorDtype, make_plan, preset

SPEC = PreprocessSpec(12, 16)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_arrays_and_frames_give_what_the_plan_gives() -> None:
    image = picture(30, 40)
    expected = np.empty(SPEC.tensor_shape, np.float32)
    make_plan(SPEC, 30, 40, region=(3, 4, 20, 10)).run(Frame.from_array(image), expected)
    prepare = Preprocessor(SPEC)
    for source in (image, Frame.from_array(image)):
        np.testing.assert_array_equal(prepare.run(source, region=(3, 4, 20, 10)), expected)
    out = np.empty(SPEC.tensor_shape, np.float32)
    assert prepare.run(image, out, region=(3, 4, 20, 10)) is out
    np.testing.assert_array_equal(out, expected)


def test_plans_are_kept_and_the_oldest_is_dropped() -> None:
    prepare = Preprocessor(SPEC, capacity=2)
    a, b, c = (Frame.from_array(picture(30, width)) for width in (40, 41, 42))
    first = prepare.plan(a)
    prepare.plan(b)
    assert prepare.plan(a) is first  # used again, so b is now the oldest
    prepare.plan(c)
    assert prepare.plan(a) is first
    assert len(prepare._plans) == 2


def test_what_makes_a_plan_of_its_own() -> None:
    prepare = Preprocessor(SPEC)
    image = picture(30, 40)
    yuyv = picture(30, 40)[..., :2]
    frames = [
        (Frame.from_array(image), None),
        (Frame.from_array(image), (0, 0, 20, 20)),
        (Frame.from_array(image, format=PixelFormat.RGB), None),
        (Frame.from_array(yuyv, format=PixelFormat.YUYV), None),
        (Frame.from_array(yuyv, format=PixelFormat.YUYV, encoding=ColorEncoding.BT709_FULL), None),
    ]
    assert len({id(prepare.plan(frame, region)) for frame, region in frames}) == len(frames)
    # The encoding of a BGR frame says nothing.
    assert prepare.plan(Frame.from_array(image, encoding=ColorEncoding.BT709_FULL)) is prepare.plan(frames[0][0])


def test_a_batch_fills_the_first_items() -> None:
    prepare = Preprocessor(SPEC)
    images = [picture(30, 40), picture(20, 20, 1)]
    out = np.full((4, *SPEC.tensor_shape), -7, np.float32)
    result = prepare.batch(images, out)
    assert result.base is out
    assert result.shape == (2, *SPEC.tensor_shape)
    for item, image in zip(result, images, strict=True):
        np.testing.assert_array_equal(item, prepare.run(image))
    assert (out[2:] == -7).all()
    np.testing.assert_array_equal(prepare.batch(images), result)
    assert prepare.batch([]).shape == (0, *SPEC.tensor_shape)


def test_a_batch_needs_room() -> None:
    with pytest.raises(InputError, match=r"room for 2 items of \(3, 12, 16\)"):
        Preprocessor(SPEC).batch([picture(5, 5)] * 2, np.zeros((1, *SPEC.tensor_shape), np.float32))


def test_items_of_a_batch_are_apart() -> None:
    item = np.zeros(SPEC.tensor_shape, np.float32)
    with pytest.raises(InputError, match="do not overlap"):
        Preprocessor(SPEC).batch(
            [picture(5, 5)] * 2, np.lib.stride_tricks.as_strided(item, (2, *item.shape), (0, *item.strides))
        )


@pytest.mark.parametrize(
    "region", [(0.5, 0, 4, 4), (float("nan"), 0, 4, 4), np.ones(4, np.float32), (1, 2, 3), "abcd", 5]
)
def test_a_region_is_four_whole_numbers(region: Any) -> None:
    with pytest.raises(InputError, match="whole pixels"):
        Preprocessor(SPEC).run(picture(20, 20), region=region)


def test_a_region_may_come_from_numpy() -> None:
    prepare, image = Preprocessor(SPEC), picture(300, 300)
    region = np.array([200, 200, 60, 70], np.uint8)  # whose sums do not fit
    np.testing.assert_array_equal(prepare.run(image, region=region), prepare.run(image, region=(200, 200, 60, 70)))


@pytest.mark.parametrize("bad", ["photo.jpg", np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_what_is_not_a_frame(bad: object) -> None:
    with pytest.raises(InputError):
        Preprocessor(preset("lite")).run(bad)  # type: ignore[arg-type]


def test_capacity_is_positive() -> None:
    with pytest.raises(InputError, match="capacity"):
        Preprocessor(SPEC, capacity=0)


def test_many_threads_many_sizes() -> None:
    prepare = Preprocessor(SPEC, capacity=3)
    images = [picture(20 + i, 30, i) for i in range(6)]
    expected = [Preprocessor(SPEC).run(image) for image in images]
    wrong: list[int] = []

    def work(offset: int) -> None:
        for step in range(30):
            i = (offset + step) % len(images)
            if not np.array_equal(prepare.run(images[i]), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(prepare._plans) == 3


def test_regions_of_one_frame_make_a_batch() -> None:
    prepare = Preprocessor(SPEC)
    image = picture(60, 80)
    regions = [(0, 0, 80, 60), (79, 59, 1, 1), (10, 20, 30, 7), None]
    for threads in (1, 3):
        crops = prepare.batch([image] * len(regions), regions=regions, threads=threads)
        for crop, region in zip(crops, regions, strict=True):
            np.testing.assert_array_equal(crop, prepare.run(image, region=region))


def test_regions_and_frames_go_together() -> None:
    with pytest.raises(InputError, match="one for each of 2 frames, got 1"):
        Preprocessor(SPEC).batch([picture(5, 5)] * 2, regions=[None])


@pytest.mark.parametrize("view", [np.s_[:, ::-1], np.s_[::-1, ::-1], np.s_[:, ::2], np.s_[..., ::-1]])
def test_scattered_views_are_read_as_they_look(view: object) -> None:
    image = picture(30, 40)[view]  # type: ignore[index]
    expected = Preprocessor(SPEC).run(np.ascontiguousarray(image))
    np.testing.assert_array_equal(Preprocessor(SPEC).run(image), expected)
    np.testing.assert_array_equal(Preprocessor(SPEC).batch([image])[0], expected)


@pytest.mark.parametrize(("dtype", "zero_point"), [(TensorDtype.INT8, -14), (TensorDtype.UINT8, 128)])
def test_a_quantized_spec_gives_the_quantized_tensor(dtype: TensorDtype, zero_point: int) -> None:
    spec, image, scale = preset("imagenet", 30, 40), picture(60, 80), 0.0186
    quantized = spec.quantized(scale, zero_point, dtype)
    exact = Preprocessor(spec).run(image).astype(np.float64) / scale + zero_point
    limits = np.iinfo(dtype.value)
    got = Preprocessor(quantized).run(image)
    assert got.dtype == dtype.value
    # Half a step, and what float32 costs where a value lies between two steps.
    assert np.abs(got - np.clip(exact, limits.min, limits.max)).max() <= 0.5 + 1e-4


def test_a_quantization_scale_is_positive() -> None:
    with pytest.raises(InputError, match="scale"):
        SPEC.quantized(0.0)
