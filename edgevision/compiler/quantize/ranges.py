"""Calibration: which values each activation of the float graph takes on real photos.

Two passes over the photos with ONNX Runtime: exact least and greatest values first, then histograms between them.
Only the running statistics are kept, so memory does not grow with the number of photos. The table does not depend on
a dialect: every int8 graph of a model is written from the same one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgevision.compiler.quantize.placement import Graph, calibrated_tensors
from edgevision.engines.importing import import_onnxruntime
from edgevision.errors import DataError, InputError, ModelFileError

# (low, high) of tensors by name, as ``estimators.estimate`` gives them.
Ranges = Mapping[str, tuple[float, float]]

BINS = 2048
MAX_TABLE_CHARACTERS = 64 * 2**20  # of its JSON: about 5,000 bytes per tensor, a few hundred tensors
MAX_ACTIVATION_BYTES = 128 * 2**20  # activations of one run, of which two are in memory; larger batches are cut up
Batches = Iterable[NDArray[np.float32]]
Progress = Callable[[int, int], None]  # photos done, photos to do (both passes; 0 while unknown)


@dataclass(frozen=True, eq=False)
class TensorRange:
    """What calibration saw of one tensor: exact ``low`` and ``high``, and int64 counts in equal bins between them."""

    low: float
    high: float
    histogram: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RangeTable:
    """Ranges of a float graph's activations over a set of calibration photos.

    ``graph_sha256``: of the graph's bytes; ``data_sha256``: of the prepared tensors, in order; ``photos``: how many.
    """

    graph_sha256: str
    data_sha256: str
    photos: int
    tensors: Mapping[str, TensorRange]

    @cached_property
    def key(self) -> str:
        """SHA-256 over graph and data: two tables with the same key hold the same ranges."""
        return hashlib.sha256(f"{self.graph_sha256} {self.data_sha256}".encode()).hexdigest()

    def to_json(self) -> str:
        """Text for ``from_json``. Bounds are exact; histograms are zlib-packed little-endian int64 in base64."""
        tensors = {
            name: {
                "low": tensor.low,
                "high": tensor.high,
                "histogram": base64.b64encode(zlib.compress(tensor.histogram.astype("<i8").tobytes(), 9)).decode(),
            }
            for name, tensor in self.tensors.items()
        }
        return json.dumps(
            {
                "ranges": 1,
                "graph_sha256": self.graph_sha256,
                "data_sha256": self.data_sha256,
                "photos": self.photos,
                "bins": BINS,
                "tensors": tensors,
            }
        )

    def check(self, graph: bytes, data_sha256: str | None = None) -> None:
        """That the table is of this float graph and, where given, of the photos with that hash (see ``RangeTable``).

        Raises:
            InputError: it is of others.
        """
        for what, own, other in (
            ("another graph", self.graph_sha256, hashlib.sha256(graph).hexdigest()),
            ("other photos", self.data_sha256, data_sha256 or self.data_sha256),
        ):
            if own != other:
                raise InputError(
                    f"the range table is of {what} (SHA-256 {own[:12]}…, expected {other[:12]}…); calibrate again"
                )

    @staticmethod
    def from_json(text: str) -> RangeTable:
        """Read what ``to_json`` wrote. What ``check`` says is for the caller to ask.

        Raises:
            InputError: not such a table, or of another version.
        """
        if len(text) > MAX_TABLE_CHARACTERS:
            raise InputError(
                f"a range table has at most {MAX_TABLE_CHARACTERS} characters, this has {len(text)}; calibrate again"
            )
        try:
            data = json.loads(text)
            if data["ranges"] != 1 or data["bins"] != BINS:
                raise ValueError(f"version {data['ranges']} with {data['bins']} bins")
            tensors = {name: _tensor_from_json(entry) for name, entry in data["tensors"].items()}
            return RangeTable(str(data["graph_sha256"]), str(data["data_sha256"]), int(data["photos"]), tensors)
        except (AttributeError, KeyError, TypeError, ValueError, zlib.error) as error:
            raise InputError(f"not a range table of version 1 ({error}); calibrate again") from error


def _tensor_from_json(entry: Mapping[str, Any]) -> TensorRange:
    # One histogram has a known size: a longer one is an error, and is never unpacked.
    packed = zlib.decompressobj().decompress(base64.b64decode(entry["histogram"], validate=True), BINS * 8 + 1)
    if len(packed) != BINS * 8:
        raise ValueError(f"a histogram has {len(packed)} bytes, expected {BINS * 8}")
    histogram = np.frombuffer(packed, "<i8").astype(np.int64)
    low, high = float(entry["low"]), float(entry["high"])
    if not (np.isfinite(low) and np.isfinite(high) and low <= high) or (histogram < 0).any():
        raise ValueError(f"a range from {low} to {high}, or a negative count")
    return TensorRange(low, high, histogram)


def table_key(graph: bytes, data_sha256: str) -> str:
    """The key of the table that ``collect_ranges`` would make, to look for one in a cache."""
    return RangeTable(hashlib.sha256(graph).hexdigest(), data_sha256, 0, {}).key


def collect_ranges(graph: bytes, batches: Batches, *, threads: int = 1, progress: Progress | None = None) -> RangeTable:
    """Run the float graph over calibration photos and keep the ranges of all its activations.

    Args:
        graph: float ONNX with one input of shape [n, c, h, w] and a dynamic batch.
        batches: float32 [n, c, h, w] tensors as preprocessing made them; gone through twice, so a list, or an object
            whose ``__iter__`` starts anew each time.
        threads: for ONNX Runtime.
        progress: called with (photos done, photos to do) over both passes; the total is 0 during the first.

    Raises:
        DataError: no photos, a NaN or an infinity in an activation, or other photos in the second pass.
        ModelFileError: ONNX Runtime cannot run the graph.
    """
    probe = _Probe(graph, threads)
    lows: dict[str, float] = {}
    highs: dict[str, float] = {}
    digest, photos = hashlib.sha256(), 0
    for batch, activations in probe.run(batches, digest):
        for name, values in activations:
            low, high = float(values.min()), float(values.max())
            if not (np.isfinite(low) and np.isfinite(high)):
                raise DataError(
                    f"the float model gives NaN or infinity at '{name}' on calibration photos {photos + 1} to "
                    f"{photos + batch}; check these photos and the model"
                )
            lows[name] = min(low, lows.get(name, low))
            highs[name] = max(high, highs.get(name, high))
        photos += batch
        if progress:
            progress(photos, 0)
    if not photos:
        raise DataError("calibration needs at least one photo, got none; give --data photos")

    histograms = {name: np.zeros(BINS, np.int64) for name in lows}
    second, done = hashlib.sha256(), 0
    for batch, activations in probe.run(batches, second):
        for name, values in activations:
            _count(values, lows[name], highs[name], histograms[name])
        done += batch
        if progress:
            progress(photos + done, 2 * photos)
    if second.digest() != digest.digest():
        raise DataError("the second pass over the calibration photos saw other data; pass a list, not a generator")
    tensors = {name: TensorRange(lows[name], highs[name], histograms[name]) for name in lows}
    return RangeTable(hashlib.sha256(graph).hexdigest(), digest.hexdigest(), photos, tensors)


def _count(values: NDArray[np.float32], low: float, high: float, histogram: NDArray[np.int64]) -> None:
    """Add ``values``, all within [low, high], to the histogram in place. A constant tensor fills the first bin."""
    if high <= low:
        histogram[0] += values.size
        return
    least, most = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
    # Denormal weights make bins narrower, and exploding ones ranges wider, than float32 can compute with.
    dtype = np.float32 if least <= (high - low) / BINS and high - low <= most else np.float64
    flat = values.reshape(-1)
    for start in range(0, flat.size, 1 << 16):  # small temporaries stay in cache
        scaled = (flat[start : start + (1 << 16)].astype(dtype, copy=False) - dtype(low)) * dtype(BINS / (high - low))
        index = np.minimum(scaled.astype(np.int32), BINS - 1)
        histogram += np.bincount(index, minlength=BINS)


class _Probe:
    """The float graph with every calibrated activation as an output."""

    def __init__(self, graph: bytes, threads: int) -> None:
        onnxruntime = import_onnxruntime()
        view = Graph.parse(graph)
        self._names = calibrated_tensors(view)
        self._input = view.input
        model = onnx.ModelProto()
        model.CopyFrom(view.model)
        present = {output.name for output in model.graph.output}
        for name in self._names:
            if name not in present and name != self._input:
                model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has no common base class for its errors
            raise ModelFileError(f"ONNX Runtime cannot load the float graph for calibration: {error}") from error
        self._outputs = [name for name in self._names if name != self._input]
        self._limit = 1  # photos per run, raised once the size of one photo's activations is known

    def run(self, batches: Batches, digest: Any) -> Iterator[tuple[int, Iterator[tuple[str, NDArray[np.float32]]]]]:
        """(photos, their activations by name) per run; the photos go into ``digest``.

        While the caller looks at the activations of one run, the next one is under way in a thread.
        """
        with ThreadPoolExecutor(1) as pool:
            running: tuple[NDArray[np.float32], Future[list[NDArray[np.float32]]]] | None = None
            for part in self._parts(batches, digest):
                following = (part, pool.submit(self._session.run, self._outputs, {self._input: part}))
                if running is not None:
                    yield self._taken(*running)
                running = following
            if running is not None:
                yield self._taken(*running)

    def _parts(self, batches: Batches, digest: Any) -> Iterator[NDArray[np.float32]]:
        for batch in batches:
            tensor = np.ascontiguousarray(batch, dtype=np.float32)
            digest.update(tensor.tobytes())
            start = 0
            while start < len(tensor):
                part = tensor[start : start + self._limit]
                start += len(part)
                yield part

    def _taken(
        self, part: NDArray[np.float32], running: Future[list[NDArray[np.float32]]]
    ) -> tuple[int, Iterator[tuple[str, NDArray[np.float32]]]]:
        outputs = running.result()
        size = sum(output.nbytes for output in outputs)
        self._limit = max(1, min(16, MAX_ACTIVATION_BYTES // max(1, size // len(part))))
        activations = {self._input: part, **dict(zip(self._outputs, outputs, strict=True))}
        return len(part), iter([(name, activations[name]) for name in self._names])
