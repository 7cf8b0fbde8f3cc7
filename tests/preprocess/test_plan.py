"""The run-time path against the reference: every option, odd sizes, any strides, and nothing written outside."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgevision import _native
from edgevision.errors import InputError
from edgevision.frames import ColorEncoding, Frame, MemoryKind, PixelFormat
from edgevision.preprocess import (
    ColorOrder,
    Filter,
    Fit,
    Layout,
    Preprocessor,
    PreprocessSpec,
    TensorDtype,
    make_plan,
)
from edgevision.preprocess.reference import reference, reference_tensor

LOOPS = _native.available_loops()
TOLERANCE = 5e-4  # of a grey level, before normalisation
GUARD = 64  # elements before and behind the tensor that must stay as they are


def random_spec(rng: np.random.Generator, largest: int = 40) -> PreprocessSpec:
    fit, color, filter = rng.choice(list(Fit)), rng.choice(list(ColorOrder)), rng.choice(list(Filter))
    return PreprocessSpec(
        int(rng.integers(1, largest)),
        int(rng.integers(1, largest)),
        fit,
        filter,
        color,
        tuple(float(v) for v in rng.uniform(0, 255, color.channels)),
        tuple(float(v) for v in rng.uniform(0.5, 255, color.channels)),
        float(rng.integers(0, 256)),
        float(rng.uniform(0.3, 1)) if fit is Fit.CROP else 1.0,
        rng.choice(list(Layout)),
        rng.choice(list(TensorDtype)),
    )


def random_region(rng: np.random.Generator, height: int, width: int) -> tuple[int, int, int, int] | None:
    if rng.random() < 0.5:
        return None
    x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
    return x, y, int(rng.integers(1, width - x + 1)), int(rng.integers(1, height - y + 1))


def run_guarded(spec: PreprocessSpec, plan: Any, frame: Frame, fill: int) -> np.ndarray:
    """Run into the middle of a buffer filled with bytes ``fill``; check that its margins still hold them."""
    count = int(np.prod(spec.tensor_shape))
    buffer = np.frombuffer(
        bytearray([fill]) * ((count + 2 * GUARD) * np.dtype(spec.dtype.value).itemsize), spec.dtype.value
    )
    out = buffer[GUARD : GUARD + count].reshape(spec.tensor_shape)
    plan.run(frame, out)
    margins = np.concatenate([buffer[:GUARD], buffer[GUARD + count :]])
    assert set(margins.tobytes()) == {fill}
    return out


def assert_close(spec: PreprocessSpec, tensor: np.ndarray, exact: np.ndarray) -> None:
    """Within TOLERANCE grey levels of the reference, plus what float32 and rounding to the dtype cost."""
    shape = (-1, 1, 1) if spec.layout is Layout.NCHW else (1, 1, -1)
    allowed = TOLERANCE / np.array(spec.std).reshape(shape)
    if spec.dtype is TensorDtype.FLOAT16:
        allowed = allowed + np.abs(exact) * 2.0**-11 + 2.0**-24
    elif spec.dtype is not TensorDtype.FLOAT32:
        limits = np.iinfo(spec.dtype.value)
        exact = np.clip(exact, limits.min, limits.max)
        allowed = allowed + 0.5
    else:
        allowed = allowed + np.abs(exact) * 2.0**-23
    worst = (np.abs(tensor.astype(np.float64) - exact) - allowed).max()
    assert worst <= 0, f"{spec}: {worst} beyond tolerance"


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("format", list(PixelFormat))
@pytest.mark.parametrize("loops", LOOPS)
def test_random_plans_agree_with_the_reference(loops: str, format: PixelFormat, seed: int, make_frame: Any) -> None:
    rng = np.random.default_rng([seed, list(PixelFormat).index(format)])
    for _ in range(2):
        spec = random_spec(rng)
        height, width = (int(v) for v in rng.integers(1, 120, 2))
        if format.is_yuv:
            height, width = height * 2, width * 2
        encoding = rng.choice(list(ColorEncoding))
        frame = make_frame(rng, format, height, width, padded=bool(rng.integers(2)), encoding=encoding)
        before = [plane.copy() for plane in frame.planes]
        region = random_region(rng, height, width)
        plan = make_plan(spec, height, width, format, encoding, region, loops=loops)
        assert plan.loops == loops

        first, second = (run_guarded(spec, plan, frame, fill) for fill in (0x7B, 0xA4))
        np.testing.assert_array_equal(first, second)  # every element is written
        assert_close(spec, first, reference(spec, frame, region))
        for plane, copy in zip(frame.planes, before, strict=True):
            np.testing.assert_array_equal(plane, copy)


@pytest.mark.parametrize("loops", LOOPS)
@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("format", [PixelFormat.BGR, PixelFormat.NV12])
def test_every_dtype_is_the_rounded_float32(loops: str, layout: Layout, format: PixelFormat, make_frame: Any) -> None:
    rng = np.random.default_rng(3)
    frame = make_frame(rng, format, 90, 122)
    for filter in Filter:
        spec = PreprocessSpec(
            33, 41, Fit.LETTERBOX, filter, mean=(100.5, 3, 127), std=(0.7, 1, 0.5), layout=layout, pad_value=7
        )
        exact = Preprocessor(spec).run(frame)
        for dtype in (TensorDtype.FLOAT16, TensorDtype.UINT8, TensorDtype.INT8):
            rounded = replace(spec, dtype=dtype)
            plan = make_plan(rounded, 90, 122, format, loops=loops)
            got = run_guarded(rounded, plan, frame, 0x33)
            if dtype is TensorDtype.FLOAT16:
                expected = exact.astype(np.float16)
            else:
                limits = np.iinfo(dtype.value)
                expected = np.clip(np.rint(exact), limits.min, limits.max).astype(dtype.value)
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("height", "width", "target", "fit"),
    [
        (1080, 1920, (224, 224), Fit.STRETCH),
        (1080, 1920, (640, 640), Fit.LETTERBOX),  # exactly 3:1
        (768, 1366, (640, 640), Fit.LETTERBOX),
        (720, 1280, (416, 416), Fit.LETTERBOX),
        (348, 464, (224, 224), Fit.CROP),
        (3, 4000, (30, 30), Fit.LETTERBOX),
        (2, 2, (300, 300), Fit.STRETCH),
    ],
)
@pytest.mark.parametrize("filter", list(Filter))
@pytest.mark.parametrize("format", [PixelFormat.BGR, PixelFormat.NV12])
def test_sizes_of_real_cameras(
    format: PixelFormat,
    filter: Filter,
    height: int,
    width: int,
    target: tuple[int, int],
    fit: Fit,
    make_frame: Any,
) -> None:
    if format is PixelFormat.NV12 and height % 2:
        height += 1
    frame = make_frame(np.random.default_rng(5), format, height, width)
    spec = PreprocessSpec(*target, fit, filter, std=(1, 1, 1))
    plan = make_plan(spec, height, width, format)
    out = np.full(spec.tensor_shape, np.nan, np.float32)
    plan.run(frame, out)
    assert_close(spec, out, reference(spec, frame))


@pytest.mark.parametrize("dtype", list(TensorDtype))
@pytest.mark.parametrize("layout", list(Layout))
def test_the_same_size_without_normalisation_is_a_copy(layout: Layout, dtype: TensorDtype) -> None:
    image = np.random.default_rng(0).integers(0, 128, (50, 70, 3), dtype=np.uint8)
    spec = PreprocessSpec(50, 70, color=ColorOrder.BGR, mean=(0, 0, 0), std=(1, 1, 1), layout=layout, dtype=dtype)
    out = np.empty(spec.tensor_shape, dtype.value)
    make_plan(spec, 50, 70).run(Frame.from_array(image), out)
    np.testing.assert_array_equal(out if layout is Layout.NHWC else out.transpose(1, 2, 0), image)


def test_halves_go_to_even() -> None:
    image = np.arange(256, dtype=np.uint8)[None]
    for dtype, mean in ((TensorDtype.UINT8, 0.5), (TensorDtype.INT8, 127.5)):
        spec = PreprocessSpec(1, 256, color=ColorOrder.GRAY, mean=(mean,), std=(1.0,), dtype=dtype)
        frame = Frame.from_array(image, format=PixelFormat.GRAY)
        out = np.empty(spec.tensor_shape, dtype.value)
        make_plan(spec, 1, 256, PixelFormat.GRAY).run(frame, out)
        np.testing.assert_array_equal(out, reference_tensor(spec, frame))


def test_letterbox_borders_are_exactly_the_pad() -> None:
    spec = PreprocessSpec(40, 40, Fit.LETTERBOX, mean=(127,) * 3, std=(128,) * 3)
    out = np.full(spec.tensor_shape, np.nan, np.float32)
    make_plan(spec, 20, 40).run(Frame.from_array(np.full((20, 40, 3), 255, np.uint8)), out)
    assert set(out[:, :10].ravel()) == set(out[:, 30:].ravel()) == {np.float32((114 - 127) / 128)}
    assert set(out[:, 10:30].ravel()) == {np.float32(1)}


def test_float16_overflows_to_infinity_without_a_warning() -> None:
    spec = PreprocessSpec(2, 2, std=(1e-3,) * 3, dtype=TensorDtype.FLOAT16)
    out = np.empty(spec.tensor_shape, np.float16)
    frame = Frame.from_array(np.full((2, 2, 3), 255, np.uint8))
    make_plan(spec, 2, 2).run(frame, out)
    np.testing.assert_array_equal(out, reference_tensor(spec, frame))
    assert np.isinf(out).all()


def test_rows_may_lie_upside_down() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    spec = PreprocessSpec(20, 30)
    plan = make_plan(spec, 60, 80)
    view, copy = np.empty((2, *spec.tensor_shape), np.float32)
    plan.run(Frame.from_array(image[::-1]), view)
    plan.run(Frame.from_array(np.ascontiguousarray(image[::-1])), copy)
    np.testing.assert_array_equal(view, copy)


@pytest.mark.parametrize("threads", [2, 3, 64])
@pytest.mark.parametrize("filter", list(Filter))
@pytest.mark.parametrize("format", [PixelFormat.BGR, PixelFormat.I420])
def test_any_number_of_threads_gives_the_same(
    format: PixelFormat, filter: Filter, threads: int, make_frame: Any
) -> None:
    frame = make_frame(np.random.default_rng(8), format, 480, 640)
    spec = PreprocessSpec(200, 240, Fit.LETTERBOX, filter)
    plan = make_plan(spec, 480, 640, format)
    alone, together = np.full((2, *spec.tensor_shape), np.nan, np.float32)
    plan.run(frame, alone)
    for _ in range(5):
        together[:] = np.nan
        plan.run(frame, together, threads=threads)
        np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("format", [PixelFormat.BGR, PixelFormat.NV12])
def test_a_prepared_slot_keeps_its_padding(format: PixelFormat, make_frame: Any) -> None:
    spec = PreprocessSpec(64, 64, Fit.LETTERBOX)
    plan = make_plan(spec, 30, 60, format)
    whole, slot = np.full((2, *spec.tensor_shape), np.nan, np.float32)
    token = plan.prepare(slot)
    for seed in range(3):
        frame = make_frame(np.random.default_rng(seed), format, 30, 60)
        plan.run(frame, whole)
        plan.run(frame, slot, prepared=token)
        np.testing.assert_array_equal(slot, whole)
    slot[:, 0] = -5  # the promise: whoever writes there must prepare again
    plan.run(frame, slot, prepared=token)
    assert set(slot[:, 0].ravel()) == {-5}


def test_threads_share_a_plan() -> None:
    rng = np.random.default_rng(0)
    spec = PreprocessSpec(32, 32, Fit.LETTERBOX, Filter.TRIANGLE)
    plan = make_plan(spec, 90, 120, PixelFormat.NV12)
    frames = [
        Frame((rng.integers(0, 256, (90, 120), dtype=np.uint8), rng.integers(0, 256, (45, 60, 2), dtype=np.uint8)), 90, 120,
              PixelFormat.NV12) for _ in range(4)
    ]  # fmt: skip
    alone = np.empty((4, *spec.tensor_shape), np.float32)
    together = np.empty_like(alone)
    for frame, out in zip(frames, alone, strict=True):
        plan.run(frame, out)

    def work(index: int) -> None:
        for _ in range(20):
            plan.run(frames[index], together[index])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(together, alone)


# A daemon thread is in the kernels nearly always; the interpreter ends around it, many times of 10 at a bad moment.
ENDING = """
import threading, time
import numpy as np
from edgevision.preprocess import Filter, PreprocessSpec, Preprocessor

prepare, frame = Preprocessor(PreprocessSpec(320, 320, filter=Filter.TRIANGLE)), np.zeros((720, 1280, 3), np.uint8)
running = threading.Event()

def work():
    while True:
        prepare.run(frame, threads=2)
        running.set()

for _ in range(2):
    threading.Thread(target=work, daemon=True).start()
running.wait()
"""


def test_the_interpreter_may_end_while_a_daemon_thread_prepares() -> None:
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own() -> None:
    frame = Frame.from_array(np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8))
    prepare = Preprocessor(PreprocessSpec(200, 200))
    expected = prepare.run(frame, threads=3)
    if (child := os.fork()) == 0:
        same = np.array_equal(prepare.run(frame, threads=3), expected)
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0


# What run() must refuse

SPEC = PreprocessSpec(8, 8)
BGR = Frame.from_array(np.zeros((16, 16, 3), np.uint8))


def _read_only() -> np.ndarray:
    out = np.zeros(SPEC.tensor_shape, np.float32)
    out.flags.writeable = False
    return out


@pytest.mark.parametrize(
    ("out", "got"),
    [
        (np.zeros((3, 8, 9), np.float32), r"\(3, 8, 9\)"),
        (np.zeros((1, 3, 8, 8), np.float32), r"\(1, 3, 8, 8\)"),
        (np.zeros((8, 8, 3), np.float32), r"\(8, 8, 3\)"),
        (np.zeros((3, 8, 8), np.float64), "float64"),
        (np.zeros((3, 8, 8), np.dtype(">f4")), ">f4"),
        (np.zeros((3, 8, 16), np.float32)[..., ::2], "strides"),
        (_read_only(), "read-only"),
        (np.frombuffer(bytearray(769), np.uint8)[1:].view(np.float32).reshape(3, 8, 8), "not aligned"),
        ([[0.0]], "list"),
        (None, "NoneType"),
    ],
)
def test_outputs_that_do_not_fit(out: Any, got: str) -> None:
    with pytest.raises(InputError, match=rf"expected.*float32.*\(3, 8, 8\), got.*{got}"):
        make_plan(SPEC, 16, 16).run(BGR, out)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (Frame.from_array(np.zeros((16, 17, 3), np.uint8)), "16×16.*16×17"),
        (Frame.from_array(np.zeros((16, 16, 3), np.uint8), format=PixelFormat.RGB), "BGR.*RGB"),
        (Frame((np.zeros((16, 16, 3), np.uint8),), 16, 16, memory=MemoryKind.CUDA), "host memory.*CUDA"),
        (np.zeros((16, 16, 3), np.uint8), "a Frame, got ndarray"),
    ],
)
def test_frames_that_are_not_as_planned(frame: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_plan(SPEC, 16, 16).run(frame, np.zeros(SPEC.tensor_shape, np.float32))


def test_a_token_of_another_slot_or_plan() -> None:
    plan, other = make_plan(SPEC, 16, 16), make_plan(SPEC, 16, 16)
    slots = np.zeros((2, *SPEC.tensor_shape), np.float32)
    token = plan.prepare(slots[0])
    plan.run(BGR, slots[0], prepared=token)
    with pytest.raises(InputError, match="expected the memory that was prepared, got another"):
        plan.run(BGR, slots[1], prepared=token)
    with pytest.raises(InputError, match="another plan's"):
        other.run(BGR, slots[0], prepared=token)
    with pytest.raises(InputError, match=r"prepare.*got int"):
        plan.run(BGR, slots[0], prepared=token.address)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("plane", "message"),
    [
        (np.zeros((16, 16, 6), np.uint8)[..., ::2], "rows are packed.*strides"),
        (np.zeros((16, 32, 3), np.uint8)[:, ::-2], "rows are packed.*strides"),
    ],
)
def test_planes_whose_samples_are_scattered(plane: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_plan(SPEC, 16, 16).run(Frame.from_array(plane), np.zeros(SPEC.tensor_shape, np.float32))


@pytest.mark.parametrize("threads", [0, -1, 65])
def test_numbers_of_threads_that_make_no_sense(threads: int) -> None:
    with pytest.raises(InputError, match=f"1…64 threads, got {threads}"):
        make_plan(SPEC, 16, 16).run(BGR, np.zeros(SPEC.tensor_shape, np.float32), threads=threads)


@pytest.mark.parametrize("planes", [(), (b"x",), (np.zeros((16, 16, 3), np.int8),), (np.zeros((15, 16, 3), np.uint8),)])
def test_planes_that_lie_about_themselves(planes: tuple[Any, ...]) -> None:
    """A frame checks its planes when it is made; the kernels trust nobody."""
    with pytest.raises(InputError, match="expected"):
        make_plan(SPEC, 16, 16).native.run(planes, np.zeros(SPEC.tensor_shape, np.float32))


def test_a_batch_of_the_kernels_is_made_of_plans() -> None:
    for what in (None, 5):
        with pytest.raises(InputError, match="expected a Plan"):
            _native.run_batch([(what, BGR.planes, np.zeros(SPEC.tensor_shape, np.float32), 0)])  # type: ignore[list-item]


def test_another_encoding_is_refused_for_yuv_only() -> None:
    out = np.zeros(SPEC.tensor_shape, np.float32)
    full = {"encoding": ColorEncoding.BT709_FULL}
    make_plan(SPEC, 16, 16).run(Frame.from_array(np.zeros((16, 16, 3), np.uint8), **full), out)
    yuyv = Frame.from_array(np.zeros((16, 16, 2), np.uint8), format=PixelFormat.YUYV, **full)
    with pytest.raises(InputError, match=r"bt601-limited.*bt709-full"):
        make_plan(SPEC, 16, 16, PixelFormat.YUYV).run(yuyv, out)


@pytest.mark.parametrize(
    ("height", "width", "format", "region"),
    [
        (0, 5, PixelFormat.BGR, None),
        (5, 4, PixelFormat.NV12, None),
        (5, 5, PixelFormat.BGR, (0, 0, 6, 5)),
        (70_000, 5, PixelFormat.BGR, None),
    ],
)
def test_plans_that_cannot_be_made(height: int, width: int, format: PixelFormat, region: Any) -> None:
    with pytest.raises(InputError):
        make_plan(SPEC, height, width, format, region=region)
