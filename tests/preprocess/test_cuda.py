"""CudaPreprocessor on a driver that is a fake on the CPU: the same bits as the CPU's, one launch, and no waiting."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision.errors import DeviceError, InputError
from edgevision.frames import ColorEncoding, Frame, MemoryKind, PixelFormat
from edgevision.preprocess import ColorOrder, Filter, Fit, Layout, Preprocessor, PreprocessSpec, TensorDtype

pytestmark = pytest.mark.requires("native", "compiler")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The module cuda_on_host, and the kernel for this CPU."""
    import cuda_on_host

    cuda_on_host.kernel = cuda_on_host.build_kernel(tmp_path_factory.mktemp("cuda"))
    return cuda_on_host


@pytest.fixture
def make(host, monkeypatch):
    """``make(spec, **options)`` gives (preprocessor, driver), ``make.out(spec, n)`` memory for n items of the device."""
    from edgevision.cuda import driver as cuda_driver
    from edgevision.preprocess import cuda

    monkeypatch.setattr(cuda_driver, "fatbins", lambda: [(13, ROOT / "pyproject.toml")])

    class Make:
        def __call__(self, spec: PreprocessSpec, **options: Any) -> tuple[Any, Any]:
            driver = host.HostDriver(host.kernel)
            return cuda.CudaPreprocessor(spec, driver=driver, **options), driver

        def out(self, spec: PreprocessSpec, count: int) -> tuple[np.ndarray, Any]:
            shape, dtype = (count, *spec.tensor_shape), np.dtype(spec.dtype.value)
            array = np.full(int(np.prod(shape)) * dtype.itemsize, 0x5A, np.uint8).view(dtype).reshape(shape)
            return array, host.DeviceView(array)

    return Make()


def on_device(frame: Frame, host: Any) -> Frame:
    planes = tuple(host.DeviceView(plane) for plane in frame.planes)
    return Frame(planes, frame.height, frame.width, frame.format, frame.encoding, MemoryKind.CUDA)


SPECS = {
    "letterbox": PreprocessSpec(40, 70, Fit.LETTERBOX, mean=(1.0, 2.0, 3.0), std=(60.0, 50.0, 70.0)),
    "crop-triangle": PreprocessSpec(33, 30, Fit.CROP, Filter.TRIANGLE, crop_ratio=0.875),
    "half": PreprocessSpec(24, 66, Fit.LETTERBOX, dtype=TensorDtype.FLOAT16, color=ColorOrder.BGR),
    "bytes": PreprocessSpec(20, 131, mean=(0.0,) * 3, std=(1.0,) * 3, dtype=TensorDtype.UINT8),
    "gray-nhwc": PreprocessSpec(21, 19, color=ColorOrder.GRAY, mean=(9.0,), std=(3.0,), layout=Layout.NHWC),
}


@pytest.mark.parametrize("name", SPECS)
def test_a_mixed_batch_has_the_bits_of_the_cpu(make, make_frame, host, name):
    """Every format and encoding, from host and device, whole and in regions, in one batch."""
    spec, rng = SPECS[name], np.random.default_rng(1)
    frames, regions = [], []
    for i, format in enumerate(PixelFormat):
        height, width = (60, 90) if i % 2 else (46, 52)
        encoding = list(ColorEncoding)[i % 4]
        frame = make_frame(rng, format, height, width, padded=bool(i % 3), encoding=encoding)
        frames += [frame, frame, on_device(frame, host)]
        regions += [None, (4, 6, 31, 25), (0, 5, width, 21) if i % 2 else None]
    expected = Preprocessor(spec).batch(
        [f if f.memory is MemoryKind.HOST else frames[i - 1] for i, f in enumerate(frames)], regions=regions
    )

    prepare, driver = make(spec)
    for _ in range(5):  # more than there are slots: memory is used again
        array, out = make.out(spec, len(frames) + 1)
        submitted = prepare.submit(frames, regions, out=out)
        assert not submitted.done
        submitted.synchronize()
        assert submitted.done
        np.testing.assert_array_equal(array[:-1].view(np.uint8), expected.view(np.uint8))
        assert (array[-1:].view(np.uint8) == 0x5A).all()
    assert driver.calls.count("launch") == 5


@pytest.mark.parametrize("format", PixelFormat, ids=lambda f: f.name)
@pytest.mark.parametrize("name", SPECS)
def test_jobs_hold_no_address_of_the_host(name, format):
    """The CPU reads a table that stayed behind as well as one that was sent. So: two plans alike, whose tables lie apart
    in memory, make the same job.
    """
    from edgevision import _native
    from edgevision.preprocess import make_plan

    plans = [make_plan(SPECS[name], 80, 90, format) for _ in range(2)]
    planes = [(65536 * (i + 1), 512) for i in range({PixelFormat.NV12: 2, PixelFormat.I420: 3}.get(format, 1))]
    first, second = (_native.cuda_job(plan.native, planes, 1 << 20, 1 << 21) for plan in plans)
    assert first == second
    assert len(first) == _native.CUDA_JOB_BYTES
    assert _native.cuda_tables(plans[0].native) == _native.cuda_tables(plans[1].native)


def test_a_submit_is_one_copy_and_one_launch(make, make_frame):
    """Once memory and tables are there; and nothing waits before ``depth`` batches are under way."""
    spec, rng = SPECS["letterbox"], np.random.default_rng(2)
    frames = [make_frame(rng, PixelFormat.NV12, 30, 40), make_frame(rng, PixelFormat.BGR, 50, 41)]
    prepare, driver = make(spec, depth=2)
    for _ in range(2):
        prepare.submit(frames, out=make.out(spec, 2)[1]).synchronize()
    assert driver.calls.count("copy_to_device") == 2 + 2  # each batch, and the tables of two plans once
    driver.calls.clear()
    array, out = make.out(spec, 2)
    first = prepare.submit(frames, out=out)
    second = prepare.submit(frames, out=out)
    assert driver.calls == ["is_done", "copy_to_device", "launch", "record"] * 2
    driver.calls.clear()
    third = prepare.submit(frames, out=out)  # its slot is the first's, which is still under way
    assert driver.calls == ["is_done", "synchronize", "copy_to_device", "launch", "record"]
    for submitted in (first, second, third):
        submitted.synchronize()
    np.testing.assert_array_equal(array, Preprocessor(spec).batch(frames))


def test_host_frames_may_change_after_submit(make, make_frame):
    spec, rng = SPECS["letterbox"], np.random.default_rng(3)
    frame = make_frame(rng, PixelFormat.BGR, 30, 40)
    expected = Preprocessor(spec).batch([frame])
    prepare, _ = make(spec)
    array, out = make.out(spec, 1)
    submitted = prepare.submit([frame], out=out)
    frame.planes[0][:] = 0
    submitted.synchronize()
    np.testing.assert_array_equal(array, expected)


def test_tables_beyond_the_capacity_travel(make, make_frame):
    spec, rng = SPECS["letterbox"], np.random.default_rng(4)
    frames = [make_frame(rng, PixelFormat.BGR, 20 + i, 30) for i in range(6)]
    prepare, driver = make(spec, max_batch=2)
    for _ in range(2):
        for frame in frames:
            array, out = make.out(spec, 1)
            prepare.submit([frame], out=out).synchronize()
            np.testing.assert_array_equal(array, Preprocessor(spec).batch([frame]))
    assert driver.calls.count("copy_to_device") == 12 + 2


def test_frames_are_kept_no_longer_than_they_are_read(make, make_frame, host):
    """In device memory they are read after submit has returned; later, their memory is the caller's again."""
    spec, rng = SPECS["letterbox"], np.random.default_rng(4)
    prepare, _ = make(spec, depth=1)
    first, second = (on_device(make_frame(rng, PixelFormat.BGR, 30, 40), host) for _ in range(2))
    watched = [weakref.ref(frame.planes[0]) for frame in (first, second)]
    prepare.submit([first], out=make.out(spec, 1)[1])
    del first
    assert watched[0]() is not None
    prepare.submit([second], out=make.out(spec, 1)[1])  # in the place of the first, which is done
    del second
    assert watched[0]() is None
    assert watched[1]() is not None
    prepare.close()
    assert watched[1]() is None


def test_close_gives_all_memory_back(make, make_frame):
    spec = SPECS["letterbox"]
    with make(spec)[0] as prepare:
        driver = prepare._driver
        for _ in range(4):
            prepare.submit([make_frame(np.random.default_rng(5), PixelFormat.I420, 30, 40)], out=make.out(spec, 1)[1])
        assert driver.memory
    assert not driver.memory
    assert not driver.streams
    assert not driver.events
    assert driver.calls.count("pinned") == driver.calls.count("free_pinned")
    with pytest.raises(InputError, match="closed; make another"):
        prepare.submit([FRAME], out=make.out(spec, 1)[1])
    prepare.close()  # once more is nothing


def test_close_leaves_a_stream_of_others_alone(make):
    prepare, driver = make(SPECS["letterbox"], stream=99)
    prepare.close()
    assert "free_stream" not in driver.calls
    assert not driver.events


@pytest.mark.requires("torch")
def test_tensors_of_torch_are_ordered_once_a_batch(make, make_frame, monkeypatch):
    """By DLPack's C exchange API: ``__dlpack__``, which orders at every call, takes 20 µs a plane. Host tensors stand for
    the device's; the library's current stream is then the default one, 0.
    """
    import torch

    from edgevision.cuda import arrays

    if arrays.exchange_of(torch.Tensor) is None:
        pytest.skip("this torch has no C exchange API")
    monkeypatch.setattr(arrays, "_CUDA_MEMORY", (1,))  # kDLCPU
    monkeypatch.setattr(torch.Tensor, "__dlpack__", lambda *_, **__: pytest.fail("asked for a capsule"))
    spec, rng = SPECS["letterbox"], np.random.default_rng(6)
    hosts = [make_frame(rng, PixelFormat.NV12, 30, 40) for _ in range(3)]
    frames = [
        Frame(
            tuple(torch.from_numpy(plane.copy()) for plane in f.planes), 30, 40, f.format, f.encoding, MemoryKind.CUDA
        )
        for f in hosts
    ]
    out = torch.zeros((3, *spec.tensor_shape))
    prepare, driver = make(spec)
    prepare.submit(frames, out=out)
    assert driver.waits == [(0, 7)]
    driver.calls.clear()
    prepare.submit(frames, out=out).synchronize()
    assert driver.calls.count("wait_for") == 1
    assert driver.calls.index("wait_for") < driver.calls.index("launch")
    np.testing.assert_array_equal(out.numpy(), Preprocessor(spec).batch(hosts))
    prepare.close()
    assert not driver.events


def test_kernels_of_another_build_are_refused(make, host):
    from edgevision.preprocess.cuda import CudaPreprocessor

    with pytest.raises(DeviceError, match="of different builds"):
        CudaPreprocessor(SPECS["half"], driver=host.HostDriver(host.kernel, job_bytes=8))


FRAME = Frame.from_array(np.zeros((8, 8, 3), np.uint8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"frames": []}, "expected 1…4 frames", id="none"),
        pytest.param({"frames": [FRAME] * 5}, "expected 1…4 frames .*got 5", id="too many"),
        pytest.param({"regions": [None, None]}, "one for each of 1 frames, got 2", id="regions"),
        pytest.param({"regions": [(0, 0, 9, 8)]}, "region .* inside the frame", id="region outside"),
        pytest.param({"out": np.zeros((1, 3, 40, 70), np.float32)}, "expected an array in CUDA memory", id="host"),
        pytest.param({"out": 2}, "got address 0x2", id="misaligned"),
        pytest.param({"out": 0}, "got address 0x0", id="null"),
        pytest.param({"out": "nothing"}, "expected an array in CUDA memory", id="no array"),
    ],
)
def test_bad_input(make, arguments, message):
    prepare, driver = make(SPECS["letterbox"], max_batch=4)
    arguments = {"frames": [FRAME], "out": make.out(SPECS["letterbox"], 1)[1], **arguments}
    with pytest.raises(InputError, match=message):
        prepare.submit(**arguments)
    assert "launch" not in driver.calls


@pytest.mark.parametrize(
    ("shape", "dtype", "interface", "message"),
    [
        pytest.param((1, 3, 40, 70), np.float16, {}, "got float16", id="dtype"),
        pytest.param((1, 3, 40, 71), np.float32, {}, r"got float32 \(1, 3, 40, 71\)", id="shape"),
        pytest.param((3, 40, 70), np.float32, {}, r"got float32 \(3, 40, 70\)", id="no batch axis"),
        pytest.param((1, 3, 40, 70), np.float32, {"strides": (1, 4, 4, 12)}, "got strides", id="strides"),
        pytest.param((1, 3, 40, 70), np.float32, {"data": (4096, True)}, "read-only True", id="read-only"),
    ],
)
def test_a_bad_out(make, host, shape, dtype, interface, message):
    prepare, _ = make(SPECS["letterbox"])
    with pytest.raises(InputError, match=message):
        prepare.submit([FRAME], out=host.DeviceView(np.zeros(shape, dtype), **interface))


def test_device_rows_have_to_be_packed(make, host):
    plane = np.zeros((8, 16, 3), np.uint8)[:, ::2]
    frame = Frame((host.DeviceView(plane),), 8, 8, memory=MemoryKind.CUDA)
    prepare, _ = make(SPECS["letterbox"])
    with pytest.raises(InputError, match="samples lie side by side"):
        prepare.submit([frame], out=make.out(SPECS["letterbox"], 1)[1])
