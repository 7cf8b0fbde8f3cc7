"""On a real device: the bits of the CPU, over random specs and batches of mixed frames, and nothing outside the tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from edgevision.frames import ColorEncoding, Frame, MemoryKind, PixelFormat, plane_shapes
from edgevision.preprocess import (
    ColorOrder,
    Filter,
    Fit,
    Layout,
    Preprocessor,
    PreprocessSpec,
    TensorDtype,
)  # fmt: skip

pytestmark = [pytest.mark.gpu, pytest.mark.requires("native", "gpu")]

GUARD = 4096  # bytes around the tensors that nobody may write
SENTINEL = 0x5A


class Device:
    """Arrays to and from the device, with the driver that preprocessing uses."""

    def __init__(self) -> None:
        from edgevision.cuda.driver import open_driver

        self.driver = open_driver()
        with self.driver.current():
            self.stream = self.driver.stream(None)
            self._event = self.driver.event()
        self._allocated: list[int] = []

    def upload(self, array: np.ndarray) -> int:
        """The address of a copy of ``array``'s bytes."""
        with self.driver.current():
            pinned, address = self.driver.pinned(array.nbytes), self.driver.allocate(array.nbytes)
            self._allocated.append(address)
            pinned[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            self.driver.copy_to_device(address, pinned, self.stream)
            self._wait()
            self.driver.free_pinned(pinned)
        return address

    def download(self, address: int, size: int) -> np.ndarray:
        with self.driver.current():
            pinned = self.driver.pinned(size)
            self.driver.copy_to_host(pinned, address, self.stream)
            self._wait()
            copy = pinned.copy()
            self.driver.free_pinned(pinned)
        return copy

    def free(self) -> None:
        with self.driver.current():
            while self._allocated:
                self.driver.free(self._allocated.pop())

    def _wait(self) -> None:
        self.driver.record(self._event, self.stream)
        self.driver.synchronize(self._event)


class Plane:
    """A plane in device memory, by the CUDA array interface."""

    dtype = "uint8"

    def __init__(self, address: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.shape = shape
        self.__cuda_array_interface__ = {
            "shape": shape, "strides": strides, "typestr": "|u1", "data": (address, True), "version": 3,
        }  # fmt: skip


@pytest.fixture
def device() -> Iterator[Device]:
    device = Device()
    yield device
    device.free()


def random_spec(rng: np.random.Generator) -> PreprocessSpec:
    color = ColorOrder(rng.choice([c.value for c in ColorOrder]))
    fit = Fit(rng.choice([f.value for f in Fit]))
    filter = Filter(rng.choice([f.value for f in Filter]))
    side = 700 if rng.random() < 0.2 else 90
    return PreprocessSpec(
        int(rng.integers(1, side)), int(rng.integers(1, side)), fit, filter, color,
        mean=tuple(rng.uniform(0, 255, color.channels)), std=tuple(rng.uniform(0.5, 255, color.channels)),
        crop_ratio=float(rng.uniform(0.3, 1)) if fit is Fit.CROP else 1.0,
        layout=Layout(rng.choice([v.value for v in Layout])),
        dtype=TensorDtype(rng.choice([d.value for d in TensorDtype])),
    )  # fmt: skip


def random_frame(rng: np.random.Generator) -> Frame:
    """Padded rows, odd addresses, some upside down."""
    format = list(PixelFormat)[rng.integers(len(PixelFormat))]
    side = 500 if rng.random() < 0.2 else 60
    height, width = (2 * int(rng.integers(1, side)) for _ in range(2))
    if not format.is_yuv:
        height, width = height - int(rng.integers(2)), width - int(rng.integers(2))
    planes = []
    for shape in plane_shapes(format, height, width):
        margin = int(rng.integers(6))
        buffer = rng.integers(0, 256, (shape[0] + margin, shape[1] + margin, *shape[2:]), dtype=np.uint8)
        plane = buffer[margin:, : shape[1]]
        planes.append(plane[::-1] if rng.random() < 0.2 else plane)
    encoding = list(ColorEncoding)[rng.integers(len(ColorEncoding))]
    return Frame(tuple(planes), height, width, format, encoding)


def on_device(frame: Frame, device: Device) -> Frame:
    """The same frame with its planes, padding, direction and all, in device memory."""
    planes = []
    for plane in frame.planes:
        buffer = plane.base
        address = device.upload(buffer) + plane.ctypes.data - buffer.ctypes.data
        planes.append(Plane(address, plane.shape, plane.strides))
    return Frame(tuple(planes), frame.height, frame.width, frame.format, frame.encoding, MemoryKind.CUDA)


def random_region(rng: np.random.Generator, frame: Frame) -> tuple[int, int, int, int] | None:
    if rng.random() < 0.5:
        return None
    width, height = int(rng.integers(1, frame.width + 1)), int(rng.integers(1, frame.height + 1))
    return int(rng.integers(frame.width - width + 1)), int(rng.integers(frame.height - height + 1)), width, height


@pytest.mark.parametrize("seed", range(60))
def test_batches_have_the_bits_of_the_cpu(device: Device, seed: int) -> None:
    from edgevision.preprocess.cuda import CudaPreprocessor

    rng = np.random.default_rng(seed)
    spec = random_spec(rng)
    with CudaPreprocessor(spec) as prepare:
        for _ in range(4):  # as many batches as slots, and one more
            host = [random_frame(rng) for _ in range(int(rng.integers(1, 9)))]
            regions = [random_region(rng, frame) for frame in host]
            frames: list[Any] = [on_device(frame, device) if rng.random() < 0.5 else frame for frame in host]
            expected = Preprocessor(spec).batch(host, regions=regions).reshape(-1).view(np.uint8)

            block = np.full(expected.size + 2 * GUARD, SENTINEL, np.uint8)
            out = device.upload(block)
            prepare.submit(frames, regions, out=out + GUARD).synchronize()
            got = device.download(out, block.size)
            np.testing.assert_array_equal(got[GUARD:-GUARD], expected)
            assert (got[:GUARD] == SENTINEL).all()
            assert (got[-GUARD:] == SENTINEL).all()


@pytest.mark.requires("torch")
def test_tensors_of_torch_are_written_in_place(device: Device) -> None:
    """By DLPack, on a stream of torch's; frames on the device may be torch's as well."""
    import torch

    from edgevision.preprocess.cuda import CudaPreprocessor

    if not torch.cuda.is_available():
        pytest.skip("this build of torch has no CUDA")
    rng = np.random.default_rng(0)
    spec = PreprocessSpec(64, 96, Fit.LETTERBOX)
    image = rng.integers(0, 256, (50, 70, 3), dtype=np.uint8)
    stream = torch.cuda.Stream()
    with CudaPreprocessor(spec, stream=stream) as prepare, torch.cuda.stream(stream):
        out = torch.zeros((2, *spec.tensor_shape), device="cuda")
        frame = Frame((torch.from_numpy(image).cuda(),), 50, 70, memory=MemoryKind.CUDA)
        prepare.submit([frame, image], out=out)
        result = out.cpu().numpy()
    np.testing.assert_array_equal(result, Preprocessor(spec).batch([image, image]))
