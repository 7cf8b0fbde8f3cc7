"""``model.edge``: a bundle, loaded and asked as its user does; with ``@then=second.edge`` a cascade of two."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import edgevision as ev
from edgevision.bench.targets.address import TargetAddress, existing_file, number_option
from edgevision.bench.targets.base import Allowance, Answer, Identity
from edgevision.bench.targets.facts import hash_of, precision_text, versions_of
from edgevision.bench.targets.openvino import inspect_graph
from edgevision.bench.targets.openvino_facts import kernels_text
from edgevision.bench.targets.reading import answer_of
from edgevision.bundle.reader import open_bundle
from edgevision.cascade import Cascade
from edgevision.closing import CLOSE_TIMEOUT_S
from edgevision.decode import read_image
from edgevision.engines import EngineOptions, open_engine
from edgevision.errors import EdgeVisionError, EngineError, InputError
from edgevision.frames import Frame
from edgevision.model import Model
from edgevision.runtime.variant_order import GPU_ENGINES
from edgevision.streams.sources.push import PushSource
from edgevision.tasks.products import Products
from edgevision.tasks.results import Timing

# What counts as a layer of ONNX Runtime's: what has weights, or multiplies matrices.
_LAYERS = {
    "Conv", "FusedConv", "NhwcFusedConv", "QLinearConv", "ConvTranspose", "ConvInteger", "Gemm", "FusedGemm", "QGemm", "MatMul",
    "FusedMatMul", "QLinearMatMul", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul",
}  # fmt: skip


def open(address: TargetAddress, allowance: Allowance) -> BundleTarget:
    """Load the bundle with ``threads`` threads; of a cascade both models. ``@variant=``, ``@engine=`` and ``@threshold=`` are the first's.

    Raises what ``edgevision.load`` raises.
    """
    path = existing_file(address.what, address)
    then = address.options.get("then")
    threshold = None if "threshold" not in address.options else number_option(address, "threshold", 0.0)
    if address.options.get("variant") == "all":
        raise InputError(f"'{address.text}' is one target for each variant; name one here")
    given: dict[str, Any] = {
        "variant": address.options.get("variant"), "engine": address.options.get("engine"), "threads": allowance.threads,
        "threshold": threshold, "max_batch": allowance.max_batch,
    }  # fmt: skip
    if then is not None:
        given["then"] = str(existing_file(then, address))
    paths = [path] if then is None else [path, Path(then)]
    return BundleTarget(paths, ev.load(str(path), **given))


class BundleTarget:
    """A loaded model or cascade."""

    parallel = True

    def __init__(self, paths: Sequence[Path], model: Model | Cascade) -> None:
        self._model = model
        self._parts: tuple[Model, ...] = (model.finder, model.recogniser) if isinstance(model, Cascade) else (model,)
        self._predict: Callable[[Sequence[Frame]], list[Any]]
        self._predict = model.predict_frames if isinstance(model, Cascade) else model.predict_items
        self._labels = self._parts[-1].labels
        first = self._parts[0]
        sha256, size = hash_of(paths[0])
        kinds = [part.task.spec.kind for part in self._parts]
        told = [_told_of(part, of) for part, of in zip(self._parts, paths, strict=True)]
        engines = {part.variant.engine: None for part in self._parts}
        versions = versions_of(("edgevision", "numpy", "opencv-python-headless", *engines))
        notes = [f"bundle {part.manifest.name} ({part.id[:12]}), variant {part.variant.id}" for part in self._parts]
        if isinstance(model, Cascade):
            notes.append("two models: input_shape is the first's, precision and engine are told of both in this order")
        self.identity = Identity(
            kind="bundle", file=str(paths[0]), sha256=sha256, bytes=size, task=" then ".join(kinds), precision="; ".join(precision for precision, _ in told),
            engine="; ".join(f"{part.variant.engine} {versions.get(part.variant.engine, '')}".strip() for part in self._parts),
            provider="; ".join(provider for _, provider in told), threads=first.threads,
            input_shape=(1, *first.preprocess.tensor_shape), versions=versions, notes=tuple(notes),
        )  # fmt: skip

    def answer(self, frames: Sequence[Any], stages: dict[str, int] | None) -> Sequence[Any]:  # noqa: D102 - as in Target, and so are those below
        if stages is None:
            return self._predict([_to_frame(frame) for frame in frames])
        began = time.perf_counter_ns()
        given = [_to_frame(frame) for frame in frames]
        decoded = time.perf_counter_ns()
        results = self._predict(given)
        ended = time.perf_counter_ns()
        if isinstance(frames[0], bytes):
            _add(stages, "decode", decoded - began)
        if isinstance(self._model, Cascade):
            _add_cascade(stages, results, ended - decoded)
            return results
        for timing in (result.timing for result in results):  # each is of its whole batch
            _add(stages, "preprocess", _ns(timing.preprocess_ms / timing.batch))
            _add(stages, "infer", _ns(timing.infer_ms / timing.batch))
            _add(stages, "post", _ns(timing.decode_ms / timing.batch))
        return results

    def read(self, result: Any) -> Answer:  # noqa: D102
        return answer_of(result, self._labels)

    def close(self) -> None:  # noqa: D102
        self._model.close()

    def open_stream(self, cameras: int, fps: float, served: Callable[[int, int], None]) -> BundleStream:
        """Serve cameras by ``edgevision.stream``, whose frames are put in: see ``base.Streaming``."""
        return BundleStream(self._model, cameras, served)


class BundleStream:
    """``edgevision.stream`` at work, its results read in a loop, as its documentation has it."""

    def __init__(self, model: Model | Cascade, cameras: int, served: Callable[[int, int], None]) -> None:
        self._sources = [PushSource(str(camera)) for camera in range(cameras)]
        # The stream counts the frames that are put in from 0: here, what the caller calls each.
        self._numbers: list[list[int]] = [[] for _ in range(cameras)]
        self._served = served
        self._failure: Exception | None = None
        self._stream = ev.stream(self._sources, model)
        self._stream.start()
        self._reader = threading.Thread(target=self._read, name="results", daemon=True)
        self._reader.start()

    def push(self, camera: int, number: int, frame: Any) -> None:
        """See ``base.Stream``. A JPEG is put in as it is: the stream decodes it when the model takes it."""
        self._numbers[camera].append(number)
        self._sources[camera].put(frame)

    def close(self) -> None:
        """Stop it. Raises EngineError where the model failed meanwhile, for then what was counted is not what it serves."""
        ended = self._stream.stop()
        self._reader.join(CLOSE_TIMEOUT_S)
        troubles = [trouble.words for trouble in self._stream.troubles]
        failures = [str(failure) for failure in (self._failure,) if failure is not None]
        if troubles or failures:
            raise EngineError(f"the model failed while it served cameras: {[*troubles, *failures][-1]}")
        if not ended or self._reader.is_alive():
            raise EngineError("the stream did not end in time")

    def _read(self) -> None:
        try:
            for result in self._stream:
                camera = int(result.camera)
                self._served(camera, self._numbers[camera][result.sequence])
        except Exception as error:  # told by close
            self._failure = error


def _told_of(model: Model, path: Path) -> tuple[str, str]:
    """How many layers run in which precision, and the provider with the kernels that run most of them: read back from the variant's
    engine, opened once more for that."""
    entry = model.variant
    if entry.engine in GPU_ENGINES:  # building one takes minutes
        return f"{precision_text(entry.layer_precisions)} where it was compiled", f"{entry.engine} on the GPU"
    try:
        with open_bundle(path) as bundle:
            graph = bundle.graph(entry.graph)
        if entry.engine == "openvino":
            layers, kernels = inspect_graph(graph, model.preprocess.tensor_shape, model.threads, entry.precision)
            return precision_text(layers), f"OpenVINO CPU: {kernels_text(kernels)}"
        with open_engine(entry.engine, graph, EngineOptions(model.threads, entry.precision)) as engine:
            told = [layer for layer in engine.layers() if layer.kind in _LAYERS]
    except EdgeVisionError as error:
        return f"{entry.precision}, not counted ({error})", entry.engine
    kernels = dict(Counter(layer.kind for layer in told))
    return precision_text(Counter(layer.precision for layer in told)), f"CPUExecutionProvider: {kernels_text(kernels)}"


def _add_cascade(stages: dict[str, int], results: Sequence[Products], elapsed_ns: int) -> None:
    """Each product's crop is timed by the second model as each frame by the first."""
    timings: list[Timing] = [one.detections.timing for one in results]
    timings += [crop.timing for one in results for crop in one.results]
    for timing in timings:
        _add(stages, "preprocess", _ns(timing.preprocess_ms / timing.batch))
        _add(stages, "infer", _ns(timing.infer_ms / timing.batch))
        _add(stages, "post", _ns(timing.decode_ms / timing.batch))


def _to_frame(frame: Any) -> Frame:
    return Frame.from_array(read_image(frame) if isinstance(frame, bytes) else frame)


def _ns(milliseconds: float) -> int:
    return round(milliseconds * 1e6)


def _add(stages: dict[str, int], name: str, nanoseconds: int) -> None:
    stages[name] = stages.get(name, 0) + nanoseconds
