"""Engines from the bundle, from the cache or built here, on a fake TensorRT and driver."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import warnings
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import fake_tensorrt as fake
import numpy as np
import pytest

from edgevision import engines, loading
from edgevision.bundle.manifest import Latency
from edgevision.bundle.reader import open_bundle
from edgevision.bundle.writer import write_bundle
from edgevision.cuda import driver as cuda_driver
from edgevision.engines import tensorrt, tensorrt_build
from edgevision.engines.engine_key import EngineKey
from edgevision.errors import CacheWarning, DeviceError, DeviceWarning, EngineError, SelfTestError
from edgevision.frames import Frame, MemoryKind
from edgevision.runtime import engine_cache, golden_check, opening, tuning, tuning_cache
from edgevision.runtime.verify import verify_variants

pytestmark = pytest.mark.requires("native")

NEWEST = "tensorrt 11.4.0.106"
LEAN = "tensorrt-lean 11.4.0.106"
HERE = EngineKey("tensorrt", "11.4.0.106", (8, 7), 12060)
VARIANTS = (("tensorrt-int8", "tensorrt", "int8"), ("onnxruntime-float", "onnxruntime", "float"))


class Device:
    """A fake GPU. ``builds``: how many engines were built there."""

    def __init__(self, monkeypatch):
        self.driver = fake.FakeDriver()
        self.modules = []
        self.says = {}
        self.use(NEWEST)
        for module in (engine_cache, tensorrt):
            monkeypatch.setattr(module, "load_tensorrt", lambda kind, lean=False: self.trt)
            monkeypatch.setattr(module, "open_engine_driver", lambda: self.driver)
        for module in (engines, opening, tuning_cache):
            monkeypatch.setattr(
                module, "available_engines", lambda: {"tensorrt": self.trt.__version__, "onnxruntime": "1"}
            )

    def use(self, recorded, **says):
        self.trt = fake.make_tensorrt(recorded, self.driver, **says)
        self.modules.append(self.trt)

    @property
    def builds(self):
        return sum(trt.log.count("build") for trt in self.modules)


@pytest.fixture
def device(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))
    return Device(monkeypatch)


def engine_of(batches=(1, 8), answers_right=True):
    driver = fake.FakeDriver()
    built = tensorrt_build.build_engine(
        b"\x08", fake.make_tensorrt(NEWEST, driver), tensorrt_build.BuildOptions(batches)
    )
    return built.engine_file if answers_right else b"ftrt not an engine"


def with_engines(path, engines):
    """The bundle at ``path`` with further entries."""
    with open_bundle(path) as bundle:
        entries = {name: bundle.read(name) for name in bundle.manifest.entries}
        manifest = bundle.manifest
    write_bundle(path, manifest, {**entries, **engines})
    return path


def opened(path, **options):
    with open_bundle(path) as bundle:
        variant = bundle.manifest.variants[0]
        return opening.open_variant(bundle, variant, 1, **options)


def check(runner):
    """It recognises red, and closes."""
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 2] = 255
    try:
        assert runner.run([Frame.from_array(red)]).outputs["output"].argmax() == 0
    finally:
        runner.close()


def in_time(call):
    """``call``, which would hang on wrong code, in a thread that then is left behind."""
    done: Future[None] = Future()

    def run():
        try:
            done.set_result(call())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    done.result(timeout=60)


def test_builds_once_and_keeps_the_engine(device, color_bundle, tmp_path):
    path = color_bundle(variants=VARIANTS)
    check(opened(path))
    assert device.builds == 1
    check(opened(path))
    assert device.builds == 1
    kept = sorted(file.suffix for file in (tmp_path / "cache" / "engines").iterdir())
    assert kept == [".json", ".plan", ".timing"]


def test_the_golden_frames_of_an_engine_run_once(device, color_bundle, monkeypatch):
    """Where it was built here, and where it comes from the cache; asked for again, they run again."""
    ran = []
    check_golden = golden_check.check_golden

    def counted(*given):
        ran.append(given[1].id)
        return check_golden(*given)

    for module in (golden_check, engine_cache):
        monkeypatch.setattr(module, "check_golden", counted)
    path = color_bundle(variants=VARIANTS)
    for builds in (1, 1):
        ran.clear()
        with loading.load(path) as loaded:
            assert (device.builds, ran) == (builds, ["tensorrt-int8"])
            assert loaded.self_test().passed
            assert len(ran) == 2
    device.driver.compute_capability = lambda: (8, 6)
    ran.clear()
    with open_bundle(path) as bundle:
        assert [check.passed for check in verify_variants(bundle)] == [True, True]
    assert ran == ["tensorrt-int8", "onnxruntime-float"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize("suffix", [".json", ".plan", ".timing"])
def test_a_pipe_in_place_of_a_file_hangs_nothing(device, color_bundle, tmp_path, suffix):
    path = color_bundle(variants=VARIANTS)
    check(opened(path, max_batch=1))
    (file,) = (tmp_path / "cache" / "engines").glob(f"*{suffix}")
    file.unlink()
    os.mkfifo(file)
    with pytest.warns(CacheWarning):
        in_time(lambda: check(opened(path, max_batch=4 if suffix == ".timing" else 1)))
    assert device.builds == 2


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs owners")
def test_an_engine_that_others_may_have_written_is_not_loaded(device, color_bundle, tmp_path):
    path = color_bundle(variants=VARIANTS)
    check(opened(path))
    (tmp_path / "cache" / "engines").chmod(0o777)
    with pytest.warns(CacheWarning, match="other users may write to it"):
        check(opened(path))
    assert device.builds == 2


def test_kept_engines_are_raw_plans(device, color_bundle, tmp_path):
    """As trtexec --loadEngine reads them."""
    check(opened(color_bundle(variants=VARIANTS)))
    (plan,) = (tmp_path / "cache" / "engines").glob("*.plan")
    assert plan.read_bytes().startswith(b"ftrt{")


@pytest.mark.parametrize(
    "change",
    [
        lambda device: device.use("tensorrt 10.16.1.11"),
        lambda device: setattr(device.driver, "version", lambda: 13000),
        lambda device: setattr(device.driver, "compute_capability", lambda: (8, 6)),
    ],
    ids=["version", "driver", "gpu"],
)
def test_another_device_builds_its_own(device, color_bundle, change):
    path = color_bundle(variants=VARIANTS)
    check(opened(path))
    change(device)
    check(opened(path))
    assert device.builds == 2


def test_another_batch_size_is_another_engine(device, color_bundle):
    path = color_bundle(variants=VARIANTS)
    check(opened(path, max_batch=1))
    check(opened(path, max_batch=16))
    assert device.builds == 2


def test_another_graph_is_another_engine_and_the_same_graph_in_another_bundle_is_not(device, color_bundle):
    floating = (("tensorrt-float", "tensorrt", "float"), VARIANTS[1])
    for name, variants, builds in (("a", VARIANTS, 1), ("b", floating, 2), ("c", floating, 2), ("d", VARIANTS, 2)):
        check(opened(color_bundle(f"{name}.edge", variants=variants)))
        assert device.builds == builds


def test_a_later_build_starts_from_the_timings_of_the_earlier(device, color_bundle, tmp_path):
    path = color_bundle(variants=VARIANTS)
    check(opened(path, max_batch=1))
    check(opened(path, max_batch=4))
    (timings,) = (tmp_path / "cache" / "engines").glob("*.timing")
    assert timings.read_bytes() == b"++"
    assert timings.name == "tensorrt-11.4.0.106-sm8.7-cuda12.6.timing"


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: next(folder.glob("*.plan")).write_bytes(b"ftrt{}"),
        lambda folder: next(folder.glob("*.plan")).write_bytes(b""),
        lambda folder: next(folder.glob("*.json")).write_bytes(b"[]"),
        lambda folder: next(folder.glob("*.json")).write_bytes(b"\xff"),
    ],
)
def test_an_altered_engine_is_not_loaded(device, color_bundle, tmp_path, damage):
    path = color_bundle(variants=VARIANTS)
    check(opened(path))
    damage(tmp_path / "cache" / "engines")
    with pytest.warns(CacheWarning, match="was altered and is built again"):
        check(opened(path))
    assert device.builds == 2


def test_an_engine_of_the_cache_that_does_not_load_is_passed_over(device, color_bundle, tmp_path):
    """Whole, and of this very device, but TensorRT refuses it."""
    path = color_bundle(variants=VARIANTS)
    check(opened(path))
    folder = tmp_path / "cache" / "engines"
    refused = b"ftrt" + json.dumps({"profiles": []}).encode()
    next(folder.glob("*.plan")).write_bytes(refused)
    next(folder.glob("*.json")).write_text(json.dumps({"sha256": hashlib.sha256(refused).hexdigest()}))
    with pytest.warns(CacheWarning, match="an engine from the cache is passed over: "):
        check(opened(path))
    assert device.builds == 2


def test_an_engine_that_fails_the_golden_frames_is_not_kept(device, color_bundle, tmp_path):
    path = color_bundle(variants=VARIANTS, spoiled=["tensorrt-int8"])
    with open_bundle(path) as bundle:  # its float reference is wrong too: what is right here fails there
        entries = {name: bundle.read(name) for name in bundle.manifest.entries}
        manifest = bundle.manifest
    entries["golden/float.npy"] = entries["golden/tensorrt-int8.npy"]
    write_bundle(path, manifest, entries)
    with pytest.raises(SelfTestError, match=r"'tensorrt-int8' does not give here what the model gave.*another variant"):
        opened(path)
    assert not list((tmp_path / "cache").rglob("*.plan"))
    assert not [*device.driver.memory, *device.driver.streams]


def test_a_cache_that_cannot_be_written_is_a_warning(device, color_bundle, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "file"))
    with pytest.warns(CacheWarning, match="built at each start; set EDGEVISION_CACHE"):
        check(opened(color_bundle(variants=VARIANTS)))


class TestEnginesInTheBundle:
    def test_one_that_fits_is_used_where_the_bundle_is_trusted(self, device, color_bundle):
        path = with_engines(color_bundle(variants=VARIANTS), {HERE.entry("int8"): engine_of()})
        check(opened(path, trust_engines=True))
        assert device.builds == 0

    def test_none_is_used_where_it_is_not(self, device, color_bundle):
        """An engine is a program, and hashes do not say who wrote it."""
        path = with_engines(color_bundle(variants=VARIANTS), {HERE.entry("int8"): engine_of()})
        check(opened(path))
        assert device.builds == 1

    @pytest.mark.parametrize(
        "entry",
        [
            replace(HERE, version="11.3.0.99").entry("int8"),
            replace(HERE, compute_capability=(8, 6)).entry("int8"),
            HERE.entry("float"),
            "engines/int8/of-a-later-edgevision.plan",
        ],
    )
    def test_one_that_does_not_fit_is_built_anew(self, device, color_bundle, entry):
        path = with_engines(color_bundle(variants=VARIANTS), {entry: engine_of()})
        check(opened(path, trust_engines=True))
        assert device.builds == 1

    def test_one_that_does_not_load_is_passed_over_with_a_message(self, device, color_bundle):
        entry = HERE.entry("int8")
        path = with_engines(color_bundle(variants=VARIANTS), {entry: b"ftrt" + json.dumps({"profiles": []}).encode()})
        with pytest.warns(DeviceWarning, match=rf"{entry} is passed over: "):
            check(opened(path, trust_engines=True))
        assert device.builds == 1

    def test_the_lean_runtime_runs_them_and_builds_none(self, device, color_bundle):
        key = replace(HERE, version="10.16.1.11", version_compatible=True)
        path = with_engines(color_bundle(variants=VARIANTS), {key.entry("int8"): engine_of()})
        device.use(LEAN)
        check(opened(path, trust_engines=True))
        with pytest.raises(EngineError, match=r"\(not trusted\), and the lean runtime builds none"):
            opened(path)
        with pytest.raises(EngineError, match=r"\(the bundle has none\), and the lean runtime builds none"):
            opened(color_bundle("other.edge", variants=VARIANTS))


def test_other_engines_open_as_ever(device, color_bundle):
    path = color_bundle(variants=VARIANTS[::-1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(opened(path))
    assert device.builds == 0


def test_models_run_in_them(device, color_bundle):
    """End to end: load, the golden frames, predict; and what is measured on this GPU is for this GPU."""
    path = color_bundle(variants=VARIANTS)
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 2] = 255
    with loading.load(path) as loaded:
        assert loaded.variant.id == "tensorrt-int8"
        assert loaded.predict(red).best.name == "red"
        assert [result.best.name for result in loaded.predict([red] * 3)] == ["red"] * 3
    assert tuning.tune(path, threads=1, rounds=3).cache is not None
    with open_bundle(path) as bundle:
        assert tuning_cache.read_choice(bundle) is not None
        assert opening.describe_gpu(bundle) == "Fake GPU, compute capability 8.7, driver for CUDA 12060"
        device.driver.device_name = lambda: "Another GPU"
        assert tuning_cache.read_choice(bundle) is None


def test_every_variant_is_verified(device, color_bundle):
    path = color_bundle(variants=VARIANTS)
    with open_bundle(path) as bundle:
        assert [(check.variant, check.passed) for check in verify_variants(bundle)] == [
            ("tensorrt-int8", True), ("onnxruntime-float", True),
        ]  # fmt: skip
    wrong = color_bundle(variants=VARIANTS, spoiled=["tensorrt-int8"])
    with open_bundle(wrong) as bundle:
        entries = {name: bundle.read(name) for name in bundle.manifest.entries}
        entries["golden/float.npy"] = entries["golden/tensorrt-int8.npy"]
        write_bundle(wrong, bundle.manifest, entries)
    device.driver.compute_capability = lambda: (8, 6)  # what was built above passed, and is kept
    with open_bundle(wrong) as bundle:
        assert [check.passed for check in verify_variants(bundle)] == [False, True]


@pytest.mark.parametrize("compatible", [False, True])
def test_engines_are_built_for_the_bundle_too(device, color_bundle, compatible):
    entry, plan = engine_cache.build_entry("int8", b"\x08", "tensorrt", (1, 4), compatible)
    assert entry == replace(HERE, version_compatible=compatible).entry("int8")
    path = with_engines(color_bundle(variants=VARIANTS), {entry: plan})
    check(opened(path, max_batch=4, trust_engines=True))
    assert device.builds == 1


@pytest.mark.requires("tensorrt-rtx")
def test_tensorrt_rtx_builds_for_the_bundle_without_a_gpu():
    graph = (Path(__file__).parents[1] / "data" / "color.onnx").read_bytes()
    entry, plan = engine_cache.build_entry("float", graph, "tensorrt-rtx")
    key = EngineKey.parse(entry)
    assert (key.kind, key.compute_capability, key.driver_floor) == ("tensorrt-rtx", (8, 0), 0)
    assert tensorrt.is_engine_file(plan)


def test_where_there_is_no_gpu_the_next_variant_is_used(device, color_bundle, monkeypatch):
    def none():
        raise EngineError("expected a CUDA device; see nvidia-smi")

    monkeypatch.setattr(engine_cache, "open_engine_driver", none)
    path = color_bundle(variants=VARIANTS)
    with pytest.warns(DeviceWarning, match=r"see nvidia-smi\. Using 'onnxruntime-float'"), loading.load(path) as loaded:
        assert loaded.variant.id == "onnxruntime-float"
    with open_bundle(path) as bundle:
        assert opening.describe_gpu(bundle) is None


def test_a_driver_is_not_asked_for_bundles_without_variants_for_it(device, color_bundle, monkeypatch):
    monkeypatch.setattr(engine_cache, "open_engine_driver", lambda: pytest.fail("asked"))
    with open_bundle(color_bundle(variants=VARIANTS[1:])) as bundle:
        assert opening.describe_gpu(bundle) is None


def test_batch_sizes_are_those_of_the_bundle(color_bundle):
    with open_bundle(color_bundle(variants=VARIANTS)) as bundle:
        variant = bundle.manifest.variants[0]
    measured = replace(variant, latency=(Latency(1, 4, 1.0, 1.0), Latency(2, 8, 1.0, 1.0)))
    assert engine_cache.batch_sizes(measured) == (1, 4, 8)
    assert engine_cache.batch_sizes(measured, 16) == (1, 4, 8, 16)


@pytest.mark.requires("compiler")
class TestPreparedOnTheDevice:
    @pytest.fixture
    def there(self, device, device_driver):
        device.driver = device_driver
        device.use(NEWEST)
        return device

    def test_models_prepare_there_and_answer_the_same(self, there, color_bundle):
        path = color_bundle(variants=VARIANTS)
        pictures = [np.random.default_rng(i).integers(0, 256, (20 + i, 30, 3), np.uint8) for i in range(11)]
        with loading.load(path) as host:
            expected = [result.top for result in host.predict(pictures)]
        there.driver.calls.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            loaded = loading.load(path, preprocess_on="cuda")
        with loaded:
            assert loaded.variant.id == "tensorrt-int8"
            assert "launch" in there.driver.calls  # by the golden frames
            assert [result.top for result in loaded.predict(pictures)] == expected
            assert loaded.predict(pictures[3]).top == expected[3]
            assert loaded.self_test().passed
            there.driver.calls.clear()
            loaded.predict(pictures[:8])
            calls = [c for c in there.driver.calls if c in ("launch", "wait_for", "launch_graph")]
            assert calls == ["launch", "wait_for", "launch_graph"]
        assert not there.driver.memory

    def test_frames_may_be_in_device_memory(self, there, color_bundle):
        from cuda_on_host import DeviceView

        image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
        frame = Frame((DeviceView(image),), 20, 30, memory=MemoryKind.CUDA, camera="till")
        with loading.load(color_bundle(variants=VARIANTS), preprocess_on="cuda") as loaded:
            result = loaded.predict(frame)
            assert result.top == loaded.predict(image).top
            assert result.frame.camera == "till"

    def test_variants_for_the_cpu_are_no_substitute(self, there, color_bundle, monkeypatch):
        """Without the GPU nothing is left that prepares there, and the error says what to do."""
        path = color_bundle(variants=VARIANTS)
        monkeypatch.setattr(cuda_driver, "fatbins", list)
        with pytest.raises(EngineError, match=r"no variant .*expected the CUDA kernels.*leave preprocess_on at 'cpu'"):
            loading.load(path, preprocess_on="cuda")
        assert not [*there.driver.memory, *there.driver.streams]
        with pytest.raises(DeviceError, match="expected the CUDA kernels"):
            loading.load(path, preprocess_on="cuda", variant="tensorrt-int8")
        with loading.load(path) as loaded:
            assert loaded.variant.id == "tensorrt-int8"
