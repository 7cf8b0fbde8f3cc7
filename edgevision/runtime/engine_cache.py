"""Engines that are built for one device: taken from the bundle, from the cache, or built here from the bundle's graph.

TensorRT's engines run on the kind of GPU, the version and the driver that they were built for. Where none fits, one is
built, which takes minutes, and kept in the cache. After each build the golden frames are run again: an engine that does
not give what the model gave is not kept and not used.

An engine is a program: TensorRT checks neither that it is whole nor that it means well. The bundle's hashes find
accidents only, so its engines are used when the caller says that the bundle can be trusted; its graph can always be.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgevision.bundle.manifest import VariantEntry
from edgevision.bundle.reader import Bundle
from edgevision.cuda.engine_driver import open_engine_driver
from edgevision.engines.engine_key import ENGINE_FILES, EngineKey
from edgevision.engines.graph_check import check_graph
from edgevision.engines.tensorrt import describe_device, key_for
from edgevision.engines.tensorrt_build import BuildOptions, build_engine, load_tensorrt, version_of
from edgevision.errors import (
    CacheWarning,
    DeviceWarning,
    EdgeVisionError,
    EngineError,
    InputError,
    MissingExtraError,
    SelfTestError,
)
from edgevision.files import atomic_write, cache_folder, make_private, read_regular
from edgevision.runtime.golden_check import check_golden
from edgevision.runtime.runner import PreprocessOn, Runner, open_runner

_MAX_JSON_BYTES = 1 << 16
_MAX_ENGINE_BYTES = 4 << 30
_MAX_TIMINGS_BYTES = 64 << 20


def open_built_variant(
    bundle: Bundle, variant: VariantEntry, threads: int, max_batch: int = 1, in_flight: int = 2, *,
    trust_engines: bool = False, preprocess_on: PreprocessOn = "cpu",
) -> Runner:  # fmt: skip
    """A variant of TensorRT's, ready to run; see the module's docstring. Where its engine was built, or the bundle's own was
    taken, ``Runner.golden`` says what the golden frames gave.

    ``trust_engines``: whether the bundle's own engines may be loaded, as where its signature was checked. One that
    fits this device and does not pass is a DeviceWarning, and the next possibility is tried.

    Raises MissingExtraError or EngineError where the variant cannot run here, SelfTestError where what was built here
    does not pass the golden frames.
    """
    trt = load_tensorrt(variant.engine, lean=True)
    driver = open_engine_driver()
    device = describe_device(driver, {variant.engine: version_of(trt)})
    here = key_for(device, variant.engine)
    batches = batch_sizes(variant, max_batch)
    cache = _Cache(bundle, variant, here, batches)

    def opened(engine_file: bytes) -> Runner:
        return open_runner(engine_file, bundle.manifest, variant, threads, max_batch, in_flight, preprocess_on)

    for entry, key in bundled_engines(bundle, variant) if trust_engines else ():
        if key.fits(device):
            try:
                return _passing(bundle, variant, opened(bundle.read(entry)))
            except (EngineError, SelfTestError) as error:
                warnings.warn(f"{entry} is passed over: {error}", DeviceWarning, stacklevel=2)
    if engine_file := cache.read():
        try:
            return opened(engine_file)
        except EngineError as error:
            warnings.warn(f"an engine from the cache is passed over: {error}", CacheWarning, stacklevel=2)
    if not hasattr(trt, "Builder"):
        raise EngineError(
            f"no engine of '{variant.id}' can be used here ({_reasons(bundle, variant, device, trust_engines)}), and the "
            "lean runtime builds none; install tensorrt, or compile the model with an engine for this device"
        )
    graph = bundle.graph(variant.graph)
    checked = check_graph(graph, variant.engine)
    for batch in batches:
        checked.check_batch(batch)
    with driver.current():
        options = BuildOptions(batches, timing_cache=cache.timings())
        built = build_engine(graph, trt, options)
    runner = _passing(bundle, variant, opened(built.engine_file))
    cache.keep(built.engine_file, built.timing_cache)
    return runner


def build_entry(
    graph_id: str, graph: bytes, kind: str, batches: tuple[int, ...] = (1, 8), version_compatible: bool = False
) -> tuple[str, bytes]:
    """Build the engine of a bundle's graph on this machine: the entry for the bundle, (name, content).

    ``kind``: ``tensorrt``, for this machine's GPU, or ``tensorrt-rtx``, which needs none to build.
    Raises MissingExtraError, EngineError.
    """
    trt = load_tensorrt(kind)
    options = BuildOptions(batches, version_compatible)
    if kind == "tensorrt-rtx":
        return EngineKey.for_rtx(version_of(trt)).entry(graph_id), build_engine(graph, trt, options).engine_file
    driver = open_engine_driver()
    key = key_for(describe_device(driver, {kind: version_of(trt)}), kind, version_compatible)
    with driver.current():
        return key.entry(graph_id), build_engine(graph, trt, options).engine_file


def describe_gpu_here() -> str | None:
    """GPU and driver of this machine; None without."""
    try:
        device = describe_device(open_engine_driver(), {})
    except (MissingExtraError, EngineError):
        return None
    major, minor = device.compute_capability
    return f"{device.name}, compute capability {major}.{minor}, driver for CUDA {device.driver}"


def batch_sizes(variant: VariantEntry, max_batch: int = 1) -> tuple[int, ...]:
    """The batch sizes an engine of the variant is built to be quick at: 1, what was measured, and ``max_batch``."""
    return tuple(sorted({1, max_batch, *(latency.batch for latency in variant.latency)}))


def bundled_engines(bundle: Bundle, variant: VariantEntry) -> Iterator[tuple[str, EngineKey]]:
    """The bundle's engines of the variant's graph and kind: (entry, key)."""
    for entry in bundle.manifest.entries:
        if entry.startswith(f"{ENGINE_FILES}{variant.graph}/"):
            try:
                key = EngineKey.parse(entry)
            except InputError:  # of a later edgevision
                continue
            if key.kind == variant.engine:
                yield entry, key


def _reasons(bundle: Bundle, variant: VariantEntry, device: Any, trusted: bool) -> str:
    found = list(bundled_engines(bundle, variant))
    if not found:
        return "the bundle has none"
    return "; ".join(key.misfit(device) or ("it failed" if trusted else "not trusted") for _, key in found)


def _passing(bundle: Bundle, variant: VariantEntry, runner: Runner) -> Runner:
    """The runner, its golden frames passed. Closes it and raises SelfTestError otherwise."""
    try:
        result = check_golden(bundle, variant, runner)
        if not result.passed:
            raise SelfTestError(
                f"the engine of '{variant.id}' does not give here what the model gave: {result.message}. "
                "Use another variant"
            )
        runner.golden = result
    except BaseException:
        runner.close()
        raise
    return runner


class _Cache:
    """Engines built here, by what they were built from and for, each with its SHA-256; timings by device."""

    def __init__(self, bundle: Bundle, variant: VariantEntry, key: EngineKey, batches: tuple[int, ...]) -> None:
        graph = bundle.manifest.entries[bundle.manifest.graphs[variant.graph].entry].sha256
        what = {"graph": graph, "engine": key.file_name, "batches": batches}
        digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
        self._what = what
        self._folder = cache_folder() / "engines"
        self._file = self._folder / f"{digest[:32]}.plan"
        self._about = self._folder / f"{digest[:32]}.json"
        self._timings = self._folder / f"{key.file_name.removesuffix('.plan')}.timing"

    def read(self) -> bytes | None:
        """The engine, if it is there, whole, and nobody else's."""
        try:
            if not self._about.exists():
                return None
            make_private(self._folder)
            expected = json.loads(read_regular(self._about, _MAX_JSON_BYTES, own=True))["sha256"]
            content = read_regular(self._file, _MAX_ENGINE_BYTES, own=True)
        except FileNotFoundError:
            return None
        except OSError as error:
            warnings.warn(
                f"{self._file} is not used ({error.strerror or error}); set EDGEVISION_CACHE to a folder that only you "
                "can write",
                CacheWarning,
                stacklevel=3,
            )
            return None
        except (ValueError, KeyError, TypeError, RecursionError):
            expected, content = None, b""
        if hashlib.sha256(content).hexdigest() == expected:
            return content
        warnings.warn(f"{self._file} was altered and is built again", CacheWarning, stacklevel=3)
        return None

    def timings(self) -> bytes:
        """What the builder measured on this device before; TensorRT itself refuses what is not for it."""
        try:
            return read_regular(self._timings, _MAX_TIMINGS_BYTES, own=True)
        except OSError:
            return b""

    def keep(self, engine_file: bytes, timings: bytes) -> None:
        """Keep both. A cache that cannot be written is a CacheWarning."""
        about = {**self._what, "sha256": hashlib.sha256(engine_file).hexdigest()}
        files: list[tuple[Path, bytes]] = [
            (self._file, engine_file),
            (self._about, json.dumps(about, indent=1).encode()),
        ]
        try:
            make_private(self._folder)
            for path, content in [*files, *([(self._timings, timings)] if timings else [])]:
                atomic_write(path, content)
                path.chmod(0o600)
        except (OSError, EdgeVisionError) as error:
            warnings.warn(
                f"the engine cannot be kept ({error}) and is built at each start; set EDGEVISION_CACHE to a folder "
                "that can be written",
                CacheWarning,
                stacklevel=3,
            )
