"""Items into slots: padding that is there already is left alone, and every tensor is what the preprocessor makes of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import fake_tensorrt
import numpy as np
import pytest
from cuda_on_host import DeviceView

from edgevision.engines import EngineOptions, Slot
from edgevision.engines.tensorrt import TensorRtEngine
from edgevision.errors import InputError
from edgevision.frames import ColorEncoding, Frame, MemoryKind, PixelFormat, plane_shapes
from edgevision.preprocess import (
    ColorOrder,
    Filter,
    Fit,
    Layout,
    Plan,
    Preprocessor,
    PreprocessSpec,
    Region,
    TensorDtype,
)
from edgevision.runtime.preparation import DevicePreparation, HostPreparation, Item
from edgevision.runtime.slots import PooledSlot
from edgevision.tasks import FrameId

pytestmark = pytest.mark.requires("native")

SPECS = {
    "letterbox": PreprocessSpec(40, 70, Fit.LETTERBOX, mean=(1.0, 2.0, 3.0), std=(60.0, 50.0, 70.0)),
    "stretch": PreprocessSpec(24, 36),
    "crop": PreprocessSpec(33, 30, Fit.CROP, Filter.TRIANGLE, crop_ratio=0.875),
    "half": PreprocessSpec(24, 66, Fit.LETTERBOX, dtype=TensorDtype.FLOAT16, color=ColorOrder.BGR),
    "bytes": PreprocessSpec(20, 31, Fit.LETTERBOX, mean=(0.0,) * 3, std=(1.0,) * 3, dtype=TensorDtype.UINT8),
    "gray-nhwc": PreprocessSpec(
        21, 19, Fit.LETTERBOX, color=ColorOrder.GRAY, mean=(9.0,), std=(3.0,), layout=Layout.NHWC
    ),
}


@dataclass
class Engine:
    """Slots of an engine, without an engine: what is in them before is anybody's."""

    spec: PreprocessSpec
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def slots(self, batch):
        shape, dtype = (batch, *self.spec.tensor_shape), np.dtype(self.spec.dtype.value)
        garbage = self.rng.integers(0, 256, int(np.prod(shape)) * dtype.itemsize, np.uint8)
        return (Slot(batch, {"input": garbage.view(dtype).reshape(shape)}, {}),)


def host(spec, batch):
    preparation = HostPreparation(Engine(spec), spec, "input")
    slot = PooledSlot(preparation.make_slot(batch))
    return preparation, slot, slot.slot.inputs["input"]


def frame_of(rng, height, width, format=PixelFormat.BGR, **known):
    planes = tuple(rng.integers(0, 256, shape, np.uint8) for shape in plane_shapes(format, height, width))
    return Frame(planes, height, width, format, **known)


def bits(array):
    return np.ascontiguousarray(array).view(np.uint8)


@pytest.fixture
def prepared(monkeypatch):
    """Counts calls of ``Plan.prepare`` by the address of what they pad."""
    calls = Counter()
    prepare = Plan.prepare

    def counted(self, out):
        calls[out.ctypes.data] += 1
        return prepare(self, out)

    monkeypatch.setattr(Plan, "prepare", counted)
    return calls


class TestHost:
    def test_padding_is_written_once_for_frames_alike(self, prepared):
        spec, rng = SPECS["letterbox"], np.random.default_rng(0)
        preparation, slot, tensor = host(spec, 3)
        for _ in range(10):
            frames = [frame_of(rng, 30, 50) for _ in range(3)]
            preparation.fill(slot, [Item(frame) for frame in frames])
            for place, frame in enumerate(frames):
                np.testing.assert_array_equal(bits(tensor[place]), bits(Preprocessor(spec).run(frame)))
        assert prepared == {tensor[place].ctypes.data: 1 for place in range(3)}

    def test_it_is_written_by_prepare_and_then_left_alone(self):
        """Pixels of the padding that somebody else writes stay: so nothing writes there again."""
        spec, rng = SPECS["letterbox"], np.random.default_rng(1)
        preparation, slot, tensor = host(spec, 1)
        preparation.fill(slot, [Item(frame_of(rng, 60, 50))])  # bars left and right
        pad = tensor[0, :, 0, 0].copy()
        tensor[0, :, :, 0] = 1000.0
        preparation.fill(slot, [Item(frame_of(rng, 60, 50))])
        assert (tensor[0, :, :, 0] == 1000.0).all()
        preparation.fill(slot, [Item(frame_of(rng, 60, 51))])  # another plan pads again
        np.testing.assert_array_equal(tensor[0, :, 0, 0], pad)

    def test_frames_of_two_sizes_in_one_place_leave_nothing_of_each_other(self, prepared):
        """Wide, tall, wide, …: the bars of the one lie where the other has its picture."""
        spec, rng = SPECS["letterbox"], np.random.default_rng(2)
        preparation, slot, tensor = host(spec, 1)
        for i in range(12):
            frame = frame_of(rng, *((20, 90) if i % 2 else (90, 20)))
            preparation.fill(slot, [Item(frame)])
            np.testing.assert_array_equal(bits(tensor[0]), bits(Preprocessor(spec).run(frame)))
        assert list(prepared.values()) == [12]

    @pytest.mark.parametrize("name", SPECS)
    def test_any_order_of_sizes_formats_and_regions_has_the_bits_of_the_preprocessor(self, name):
        spec, rng = SPECS[name], np.random.default_rng(3)
        preparation, slot, tensor = host(spec, 4)
        reference = Preprocessor(spec)
        kinds = [
            (60, 90, PixelFormat.BGR), (90, 60, PixelFormat.BGR), (60, 90, PixelFormat.NV12), (46, 52, PixelFormat.GRAY),
            (200, 24, PixelFormat.RGB),
        ]  # fmt: skip
        regions = [None, None, (4, 6, 11, 25), (0, 5, 24, 21)]
        for _ in range(60):
            items = []
            for _ in range(rng.integers(1, 5)):
                height, width, format = kinds[rng.integers(len(kinds))]
                encoding = list(ColorEncoding)[rng.integers(4)]
                region = regions[rng.integers(len(regions))]
                items.append(Item(frame_of(rng, height, width, format, encoding=encoding), region and Region(*region)))
            preparation.fill(slot, items)
            for place, item in enumerate(items):
                expected = reference.run(item.frame, region=item.region)
                np.testing.assert_array_equal(bits(tensor[place]), bits(expected))

    def test_places_that_are_not_filled_stay_as_they_are(self):
        spec, rng = SPECS["letterbox"], np.random.default_rng(4)
        preparation, slot, tensor = host(spec, 4)
        before = bits(tensor).copy().reshape(4, -1)
        preparation.fill(slot, [Item(frame_of(rng, 30, 50))] * 2)
        np.testing.assert_array_equal(bits(tensor).reshape(4, -1)[2:], before[2:])

    def test_slots_do_not_share_what_is_known_of_their_padding(self, prepared):
        spec, rng = SPECS["letterbox"], np.random.default_rng(5)
        preparation, first, _ = host(spec, 1)
        second = PooledSlot(preparation.make_slot(1))
        frame = frame_of(rng, 30, 50)
        for slot in (first, second, first, second):
            preparation.fill(slot, [Item(frame)])
            np.testing.assert_array_equal(bits(slot.slot.inputs["input"][0]), bits(Preprocessor(spec).run(frame)))
        assert list(prepared.values()) == [1, 1]

    def test_more_kinds_of_frames_than_plans_are_kept(self):
        """A plan that was dropped and made again is another plan, and pads again."""
        spec, rng = SPECS["letterbox"], np.random.default_rng(6)
        preparation, slot, tensor = host(spec, 1)
        for _ in range(2):
            for width in range(20, 90):
                frame = frame_of(rng, 30, width)
                preparation.fill(slot, [Item(frame)])
                np.testing.assert_array_equal(bits(tensor[0]), bits(Preprocessor(spec).run(frame)))

    def test_a_batch_that_is_refused_halfway_leaves_a_slot_that_works(self):
        spec, rng = SPECS["letterbox"], np.random.default_rng(7)
        preparation, slot, tensor = host(spec, 2)
        good, tall = frame_of(rng, 30, 50), frame_of(rng, 90, 20)
        preparation.fill(slot, [Item(good), Item(good)])
        with pytest.raises(InputError, match="region"):
            preparation.fill(slot, [Item(tall), Item(good, Region(0, 0, 51, 30))])
        preparation.fill(slot, [Item(good), Item(tall)])
        for place, frame in enumerate((good, tall)):
            np.testing.assert_array_equal(bits(tensor[place]), bits(Preprocessor(spec).run(frame)))

    def test_mirrored_frames_are_prepared_too(self):
        spec, rng = SPECS["letterbox"], np.random.default_rng(8)
        preparation, slot, tensor = host(spec, 1)
        image = rng.integers(0, 256, (30, 50, 3), np.uint8)
        preparation.fill(slot, [Item(Frame.from_array(image[::-1, ::-1]))])
        expected = Preprocessor(spec).run(np.ascontiguousarray(image[::-1, ::-1]))
        np.testing.assert_array_equal(bits(tensor[0]), bits(expected))

    def test_frames_in_device_memory_are_refused(self):
        preparation, slot, _ = host(SPECS["letterbox"], 1)
        frame = Frame((DeviceView(np.zeros((30, 50, 3), np.uint8)),), 30, 50, memory=MemoryKind.CUDA)
        with pytest.raises(InputError, match="takes frames in host memory, got cuda; copy it first"):
            preparation.fill(slot, [Item(frame)])

    def test_views_say_how_each_item_lies(self):
        spec, rng = SPECS["letterbox"], np.random.default_rng(9)
        preparation, slot, _ = host(spec, 3)
        frame = frame_of(rng, 60, 90, camera="till", sequence=4, captured_ns=17)
        views = preparation.fill(slot, [Item(frame), Item(frame, Region(10, 20, 40, 30)), Item(frame_of(rng, 30, 50))])
        plans = Preprocessor(spec)
        assert [view.frame for view in views] == [FrameId("till", 4, 17)] * 2 + [FrameId()]
        assert [(view.height, view.width) for view in views] == [(60, 90), (60, 90), (30, 50)]
        assert [view.region for view in views] == [(0, 0, 90, 60), (10, 20, 40, 30), (0, 0, 50, 30)]
        assert views[1].placement == plans.plan(frame, (10, 20, 40, 30)).placement


# ---- on the device ----

NEWEST = "tensorrt 11.4.0.106"
SPEC = PreprocessSpec(8, 8, Fit.LETTERBOX, mean=(10.0, 20.0, 30.0), std=(60.0, 50.0, 70.0))  # the fake network's shape


@pytest.mark.requires("compiler")
class TestDevice:
    @pytest.fixture
    def engine(self, device_driver):
        trt = fake_tensorrt.make_tensorrt(NEWEST, device_driver)
        with TensorRtEngine(b"\x08", EngineOptions(), trt.__version__, trt=trt, driver=device_driver) as made:
            yield made

    @pytest.fixture
    def preparation(self, engine):
        made = DevicePreparation(engine, SPEC, "input", 4)
        yield made
        made.close()

    @staticmethod
    def items(rng, on_device=False):
        wide, tall = frame_of(rng, 30, 50, PixelFormat.NV12, camera="till"), frame_of(rng, 40, 21)
        frames = [wide, tall, wide]
        if on_device:
            there = {
                id(f): replace(f, planes=tuple(DeviceView(plane) for plane in f.planes), memory=MemoryKind.CUDA)
                for f in frames
            }
            frames = [there[id(frame)] for frame in frames]
        return [Item(frames[0]), Item(frames[1], Region(3, 5, 11, 30)), Item(frames[2], Region(10, 2, 20, 12))]

    def test_slots_have_their_inputs_in_device_memory(self, preparation, device_driver):
        slot = preparation.make_slot(4)
        assert slot.memory is MemoryKind.CUDA
        assert slot.batch == 4
        assert slot.inputs["input"].address in device_driver.memory
        assert isinstance(slot.outputs["output"], np.ndarray)

    @pytest.mark.parametrize("on_device", [False, True])
    def test_outputs_are_those_of_the_host_path(self, engine, preparation, on_device):
        slot = PooledSlot(preparation.make_slot(4))
        on_host = HostPreparation(engine, SPEC, "input")
        expected = PooledSlot(on_host.make_slot(4))
        for seed in range(6):  # more than the preprocessor has places for
            views = preparation.fill(slot, self.items(np.random.default_rng(seed), on_device))
            engine.run(slot.slot, 3)
            host_views = on_host.fill(expected, self.items(np.random.default_rng(seed)))
            engine.run(expected.slot, 3)
            np.testing.assert_array_equal(slot.slot.outputs["output"][:3], expected.slot.outputs["output"][:3])
            assert views == host_views
        assert np.ptp(slot.slot.outputs["output"][:3]) > 0.1

    def test_the_engine_waits_on_the_device_and_nobody_here(self, engine, preparation, device_driver):
        slot = PooledSlot(preparation.make_slot(4))
        preparation.fill(slot, self.items(np.random.default_rng(2)))
        engine.run(slot.slot, 3)
        device_driver.calls.clear()
        preparation.fill(slot, self.items(np.random.default_rng(3)))
        calls = [call for call in device_driver.calls if call in ("launch", "record", "wait_for", "synchronize")]
        assert calls == ["launch", "record", "wait_for"]

    def test_without_waiting_the_answer_would_be_of_what_was_there_before(self, engine, preparation, monkeypatch):
        """That the tests above would notice: the fake device does nothing before somebody waits for it."""
        slot = PooledSlot(preparation.make_slot(4))
        preparation.fill(slot, self.items(np.random.default_rng(2)))
        engine.run(slot.slot, 3)
        right = slot.slot.outputs["output"][:3].copy()
        monkeypatch.setattr(engine, "wait_for", lambda *_: None)
        preparation.fill(slot, self.items(np.random.default_rng(3)))
        engine.run(slot.slot, 3)
        np.testing.assert_array_equal(slot.slot.outputs["output"][:3], right)

    def test_regions_that_leave_the_frame_are_refused(self, preparation):
        slot = PooledSlot(preparation.make_slot(4))
        with pytest.raises(InputError, match="region"):
            preparation.fill(slot, [Item(frame_of(np.random.default_rng(0), 30, 50), Region(0, 0, 51, 30))])

    def test_closing_gives_back_what_it_took(self, engine, device_driver):
        before = set(device_driver.memory)
        preparation = DevicePreparation(engine, SPEC, "input", 2)
        slot = PooledSlot(preparation.make_slot(2))
        held = set(device_driver.memory)
        preparation.fill(slot, [Item(frame_of(np.random.default_rng(0), 30, 50))])
        assert set(device_driver.memory) > held > before
        preparation.close()
        assert set(device_driver.memory) == held  # the slot is the engine's
