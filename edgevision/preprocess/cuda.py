"""Frames to tensors on a CUDA device: one copy and one launch for a whole batch, without waiting.

Run on a GPU on 2026-11-27 (NVIDIA H200): ``pytest tests/gpu`` found the bits of the CPU over random specs and batches,
compute-sanitizer nothing, and docs/kernels.md says how quick the kernel is. On machines without a GPU, the code of the
kernel's threads (kernels/cuda/tile.h) is compiled for the CPU, and runs behind a driver that is a fake.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgevision import _native
from edgevision.cuda.arrays import DeviceArray, Exchange, device_array, exchange_of, packed_from
from edgevision.cuda.driver import Bytes, CudaDriver, load_kernels, open_driver
from edgevision.errors import DeviceError, InputError
from edgevision.frames import Frame, ImageArray, MemoryKind
from edgevision.preprocess.plan import Plan
from edgevision.preprocess.preprocessor import Preprocessor, packed_frame
from edgevision.preprocess.spec import PreprocessSpec

_ALIGNMENT = 256  # of what is staged: as cuMemAlloc's
_PITCH_ALIGNMENT = 16  # of staged rows
_MAX_GRID_Z = 65535

_Key = tuple[object, ...]
Place = tuple[int, int]  # a plane on the device: the address of its first row, bytes from row to row


@dataclass(frozen=True, eq=False)
class Submitted:
    """A batch on its way. ``event`` is the driver's, for other streams to wait on.

    Its memory is used again ``depth`` submits later: from then on it speaks of a later batch, and so never too early.
    """

    event: Any
    _driver: CudaDriver = field(repr=False)

    @property
    def done(self) -> bool:
        """Whether the tensors are written. Does not wait."""
        with self._driver.current():
            return self._driver.is_done(self.event)

    def synchronize(self) -> None:
        """Wait until the tensors are written."""
        with self._driver.current():
            self._driver.synchronize(self.event)


class CudaPreprocessor:
    """Prepares batches for one model on one device. Threads may share it; their batches follow one another.

    ``stream``: a CUstream as an int, or an object that has one (``torch.cuda.Stream``, ``__cuda_stream__``); None makes
    one. ``max_batch``: most frames of one submit. ``depth``: batches under way at once, each with pinned and device
    memory of its own for the frames that come from the host.

    Raises MissingExtraError without cuda-bindings or pycuda, DeviceError without driver, device or kernels.

    >>> prepare = CudaPreprocessor(spec, stream=engine_stream)    # doctest: +SKIP
    >>> prepare.submit(frames, out=slot)                          # doctest: +SKIP
    """

    def __init__(
        self,
        spec: PreprocessSpec,
        *,
        device: int = 0,
        stream: Any = None,
        max_batch: int = 32,
        depth: int = 3,
        driver: CudaDriver | None = None,
    ) -> None:
        if not 1 <= max_batch <= _MAX_GRID_Z or depth < 1:
            raise InputError(
                f"expected max_batch within 1…{_MAX_GRID_Z} and a depth of at least 1, got {max_batch} and {depth}"
            )
        self.spec = spec
        self._item_bytes = math.prod(spec.tensor_shape) * np.dtype(spec.dtype.value).itemsize
        self._device = device
        self._max_batch = max_batch
        self._driver = open_driver(device) if driver is None else driver
        self._lock = threading.Lock()
        self._plans = Preprocessor(spec, capacity=4 * max_batch)
        self._tables = _Tables(self._driver, capacity=max_batch)
        with self._driver.current():
            self._module = load_kernels(self._driver)
            _check_job_bytes(self._driver.global_bytes(self._module, "edgevision_job"))
            self._kernel = self._driver.function(self._module, "edgevision_preprocess")
            handle = _stream_handle(stream)
            self._stream = self._driver.stream(handle)
            self._owns_stream = handle is None
            self._order = _Order(self._driver, self._stream, device)
            self._slots = [_Slot(self._driver) for _ in range(depth)]

    def submit(
        self,
        frames: Sequence[Frame | ImageArray],
        regions: Sequence[Sequence[int] | None] | None = None,
        *,
        out: Any,
    ) -> Submitted:
        """Prepare ``frames`` into the first items of ``out``, and return before it is done.

        ``frames``: in host memory (copied before this returns), or in device memory, used in place and kept until done:
        their arrays speak DLPack, which orders the stream that made them before ours, or ``__cuda_array_interface__``,
        which leaves that to the caller. ``regions``: one for each frame (the same frame may come many times), or None.
        ``out``: a C-contiguous device array [N ≥ len(frames), *spec.tensor_shape] of spec.dtype, or its address.

        Waits only where ``depth`` batches are under way, and allocates only where a batch is larger than those before or
        has frames of a new kind. Raises InputError for frames, regions or ``out`` that are not as said.
        """
        items = self._check_items(frames, regions)
        with self._lock, self._driver.current():
            if not self._slots:
                raise InputError("submit: expected an open CudaPreprocessor, got one that is closed; make another")
            address, out_owner = self._check_out(out, len(items))
            slot = self._slots[0]
            batch = _Batch(self._order, len(items))
            like: Frame | None = None  # the whole frame before this one: most batches are of one kind
            for frame, region in items:
                if region is not None:
                    batch.add(frame, self._plans.plan(frame, region), None)
                    continue
                if like is None or not _is_alike(frame, like):
                    like, plan = frame, self._plans.plan(frame)
                    tables = self._tables.find(plan)
                batch.add(frame, plan, tables)
            slot.reserve(batch.size)
            jobs = batch.stage(slot, address, self._item_bytes)
            for plan, at, size in batch.new_tables:
                self._tables.keep(plan, slot.host[at : at + size], self._stream)
            self._order.wait()
            self._driver.copy_to_device(slot.address, slot.host[: batch.size], self._stream)
            tile, block = _native.CUDA_TILE, _native.CUDA_BLOCK
            grid = (-(-self.spec.width // tile[0]), -(-self.spec.height // tile[1]), len(items))
            self._driver.launch(self._kernel, grid, (*block, 1), jobs, self._stream)
            self._driver.record(slot.event, self._stream)
            slot.used, slot.keep = True, (batch.owners, out_owner)
            self._slots.append(self._slots.pop(0))
            return Submitted(slot.event, self._driver)

    def close(self) -> None:
        """Wait for what is under way, and give back memory, events, and the stream where it was made here."""
        with self._lock, self._driver.current():
            for slot in self._slots:
                slot.close()
            self._slots.clear()
            self._tables.free()
            self._order.close()
            if self._owns_stream:
                self._driver.free_stream(self._stream)
                self._owns_stream = False

    def __enter__(self) -> CudaPreprocessor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_items(
        self, frames: Sequence[Frame | ImageArray], regions: Sequence[Sequence[int] | None] | None
    ) -> list[tuple[Frame, Sequence[int] | None]]:
        if not 1 <= len(frames) <= self._max_batch:
            raise InputError(f"expected 1…{self._max_batch} frames (max_batch), got {len(frames)}")
        if regions is not None and len(regions) != len(frames):
            raise InputError(f"regions: expected one for each of {len(frames)} frames, got {len(regions)}")
        packed: dict[int, Frame] = {}  # a frame that comes many times is packed, and staged, once
        for frame in frames:
            if id(frame) not in packed:
                packed[id(frame)] = packed_frame(frame)
        return [(packed[id(frame)], regions[i] if regions else None) for i, frame in enumerate(frames)]

    def _check_out(self, out: Any, count: int) -> tuple[int, object]:
        """The address of ``out``, and what keeps it alive."""
        dtype, shape = self.spec.dtype.value, self.spec.tensor_shape
        expected = f"out: expected a writable C-contiguous {dtype} array of {(f'N ≥ {count}', *shape)} on the device"
        if isinstance(out, (int, np.integer)) and not isinstance(out, bool):
            address, owner = int(out), None
        else:
            array = self._order.device_array(out, "out")
            if array.dtype != dtype or array.shape[1:] != shape or len(array.shape) != 4 or array.shape[0] < count:
                raise InputError(f"{expected}, got {array.dtype} {array.shape}")
            if array.read_only or not array.is_contiguous or array.device not in (None, self._device):
                raise InputError(
                    f"{expected} {self._device}, got strides {array.strides}, device {array.device}, "
                    f"read-only {array.read_only}"
                )
            address, owner = array.address, array.owner
        if address <= 0 or address % np.dtype(dtype).itemsize:
            raise InputError(f"{expected}, got address {address:#x}")
        return address, owner


class _Slot:
    """Pinned and device memory of one batch under way: its jobs, the frames that come from the host, new tables."""

    def __init__(self, driver: CudaDriver) -> None:
        self._driver = driver
        self.event = driver.event()
        self.host: Bytes = np.empty(0, np.uint8)
        self.address = 0
        self.used = False
        self.keep: object = None  # what the batch reads and writes

    def reserve(self, size: int) -> None:
        """Make room for ``size`` bytes, and wait until the batch before has left."""
        if self.used and not self._driver.is_done(self.event):
            self._driver.synchronize(self.event)
        self.keep = None
        if size > self.host.size:
            self.free()
            room = _aligned(size + size // 4)
            self.host, self.address = self._driver.pinned(room), self._driver.allocate(room)

    def close(self) -> None:
        """Give everything back, the event too."""
        self.free()
        self._driver.free_event(self.event)

    def free(self) -> None:
        """Give the memory back, once the batch has left it."""
        if self.used:
            self._driver.synchronize(self.event)
        if self.host.size:
            self._driver.free_pinned(self.host)
            self._driver.free(self.address)
        self.host, self.address, self.used, self.keep = np.empty(0, np.uint8), 0, False, None


class _Order:
    """Reads arrays in device memory, and sees to it that what made them comes before our stream."""

    def __init__(self, driver: CudaDriver, stream: Any, device: int) -> None:
        self.device = device
        self._driver = driver
        self._stream = stream
        self._handle = driver.handle(stream)
        self._producers: set[Exchange] = set()  # of this batch
        self._event: Any = None

    def device_array(self, array: Any, what: str) -> DeviceArray:
        """What ``array`` says of itself; its stream comes first by ``wait``, or has been told here by ``__dlpack__``."""
        kind: type = type(array)
        exchange = exchange_of(kind) if self._driver.takes_streams else None
        if exchange is None:
            return device_array(array, what, self._handle)
        self._producers.add(exchange)
        return exchange.device_array(array, what)

    def wait(self) -> None:
        """Have our stream wait for what the producers of this batch's arrays have under way."""
        for exchange in self._producers:
            handle = exchange.current_stream(self.device)
            if handle == self._handle:
                continue
            if self._event is None:
                self._event = self._driver.event()
            self._driver.record(self._event, self._driver.stream(handle))
            self._driver.wait_for(self._event, self._stream)
        self._producers.clear()

    def close(self) -> None:
        if self._event is not None:
            self._driver.free_event(self._event)
            self._event = None


class _Tables:
    """Tap tables on the device: uploaded once for each plan of whole frames, as far as ``capacity`` goes.

    Never evicted, because giving device memory back waits for the device. What does not fit travels with its batch, as
    the tables of regions do, which change from frame to frame.
    """

    def __init__(self, driver: CudaDriver, capacity: int) -> None:
        self._driver = driver
        self._capacity = capacity
        self._kept: dict[_Key, int] = {}

    def find(self, plan: Plan) -> int | None:
        """Where the plan's tables are; 0: nowhere yet, but there is room; None: they travel."""
        return self._kept.get(_key(plan), 0 if len(self._kept) < self._capacity else None)

    def keep(self, plan: Plan, tables: Bytes, stream: Any) -> None:
        """Copy pinned ``tables`` to the device, for good."""
        address = self._driver.allocate(tables.size)
        self._driver.copy_to_device(address, tables, stream)
        self._kept[_key(plan)] = address

    def free(self) -> None:
        for address in self._kept.values():
            self._driver.free(address)
        self._kept.clear()


class _Batch:
    """Where everything of a batch goes in its slot, first by size, then for good."""

    def __init__(self, order: _Order, count: int) -> None:
        self._order = order
        self.size = _aligned(count * _native.CUDA_JOB_BYTES)  # the jobs come first
        self.owners: list[object] = []
        self.new_tables: list[tuple[Plan, int, int]] = []  # plan, offset and bytes in the slot
        self._items: list[tuple[Frame, Plan, int | None]] = []
        self._rows: dict[int, tuple[int, int]] = {}  # by frame: the rows of it that any item reads
        self._offsets: dict[int, list[int]] = {}  # by frame: of its planes in the slot
        self._places: dict[int, list[Place]] = {}  # by frame in device memory
        self._blocks: dict[Plan, tuple[int, bytes]] = {}  # tables that come along: offset in the slot, what they are

    def add(self, frame: Frame, plan: Plan, tables: int | None) -> None:
        """One more item. ``tables``: as ``_Tables.find`` gives it."""
        self._items.append((frame, plan, tables))
        if not tables and plan not in self._blocks:
            block = _native.cuda_tables(plan.native)
            self._blocks[plan] = (self._take(len(block)), block)
            if tables == 0:
                self.new_tables.append((plan, self._blocks[plan][0], len(block)))
        if frame.memory is MemoryKind.CUDA:
            if id(frame) not in self._places:
                self._places[id(frame)] = self._device_planes(frame)
            return
        if id(frame) not in self._offsets:
            self._offsets[id(frame)] = [self._take(plane.shape[0] * _pitch(plane)) for plane in frame.planes]
        y, height = plan.region.y, plan.region.height
        first, last = self._rows.get(id(frame), (y, y + height))
        self._rows[id(frame)] = (min(first, y), max(last, y + height))

    def stage(self, slot: _Slot, out: int, item_bytes: int) -> int:
        """Fill the slot's pinned memory; the address of the jobs on the device."""
        for offset, block in self._blocks.values():
            slot.host[offset : offset + len(block)] = np.frombuffer(block, np.uint8)
        for frame in {id(frame): frame for frame, *_ in self._items}.values():
            if frame.memory is MemoryKind.HOST:
                self._places[id(frame)] = self._stage_planes(frame, slot)
        jobs = []
        for index, (frame, plan, tables) in enumerate(self._items):
            address = tables or slot.address + self._blocks[plan][0]
            jobs.append(_native.cuda_job(plan.native, self._places[id(frame)], address, out + index * item_bytes))
        block = b"".join(jobs)
        slot.host[: len(block)] = np.frombuffer(block, np.uint8)
        return slot.address

    def _take(self, size: int) -> int:
        offset = self.size
        self.size += _aligned(size)
        return offset

    def _stage_planes(self, frame: Frame, slot: _Slot) -> list[Place]:
        """Copy the rows that are read. Rows lie where the whole plane would have them."""
        places = []
        first, last = self._rows[id(frame)]
        for plane, offset in zip(frame.planes, self._offsets[id(frame)], strict=True):
            pitch, halves = _pitch(plane), frame.height // plane.shape[0]  # 2 for chroma of half height
            target = np.ndarray(plane.shape, np.uint8, slot.host, offset, (pitch, *_sample_strides(plane)))
            rows = slice(first // halves, -(-last // halves))
            target[rows] = plane[rows]
            places.append((slot.address + offset, pitch))
        return places

    def _device_planes(self, frame: Frame) -> list[Place]:
        places = []
        for index, plane in enumerate(frame.planes):
            array = self._order.device_array(plane, f"plane {index}")
            if array.device not in (None, self._order.device):
                raise InputError(
                    f"plane {index}: expected memory of CUDA device {self._order.device}, got {array.device}'s"
                )
            if not packed_from(array, 1):
                raise InputError(
                    f"plane {index}: expected rows whose samples lie side by side, got strides {array.strides}; "
                    "make it contiguous"
                )
            self.owners.append(array.owner)
            places.append((array.address, array.strides[0]))
        return places


def _is_alike(frame: Frame, other: Frame) -> bool:
    """Whether one plan serves both."""
    return (
        frame.height == other.height
        and frame.width == other.width
        and frame.format is other.format
        and frame.encoding is other.encoding
    )


def _key(plan: Plan) -> _Key:
    return (plan.height, plan.width, plan.format, plan.encoding, plan.region)


def _aligned(size: int, to: int = _ALIGNMENT) -> int:
    return -(-size // to) * to


def _sample_strides(plane: ImageArray) -> tuple[int, ...]:
    """Strides of a packed row's axes, in bytes."""
    return (1,) if plane.ndim == 2 else (plane.shape[2], 1)


def _pitch(plane: ImageArray) -> int:
    return _aligned(int(np.prod(plane.shape[1:])), _PITCH_ALIGNMENT)


def _stream_handle(stream: Any) -> int | None:
    if stream is None or isinstance(stream, int):
        return stream
    if hasattr(stream, "__cuda_stream__"):  # (version, handle)
        return int(stream.__cuda_stream__()[1])
    for name in ("cuda_stream", "ptr", "handle"):  # PyTorch, CuPy, PyCUDA
        if hasattr(stream, name):
            return int(getattr(stream, name))
    raise InputError(f"stream: expected a CUstream as an int, or an object that has one, got {type(stream).__name__}")


def _check_job_bytes(of_module: int) -> None:
    if of_module != _native.CUDA_JOB_BYTES:
        raise DeviceError(
            f"the CUDA kernels expect jobs of {of_module} bytes and this build makes {_native.CUDA_JOB_BYTES}: "
            "they are of different builds; install edgevision again"
        )
