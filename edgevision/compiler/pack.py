"""Golden frames, manifest and report into one bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.bundle.golden import choose_golden, encode_outputs, shrink
from edgevision.bundle.manifest import Environment, GraphEntry, Latency, Manifest, VariantEntry, Verdict
from edgevision.bundle.writer import write_bundle
from edgevision.compiler.measure import Way
from edgevision.compiler.options import Candidate, Row
from edgevision.decode import encode_png, read_image
from edgevision.engines import available_engines
from edgevision.errors import DataError
from edgevision.frames import Frame, ImageArray
from edgevision.machine import describe_machine, package_versions
from edgevision.preprocess import Preprocessor, PreprocessSpec
from edgevision.tasks.results import Label

GOLDEN_FRAMES = 8


@dataclass(frozen=True)
class Golden:
    """The golden frames and the raw outputs on them, [n, k] float32, by variant id; ``reference`` is float's."""

    frames: tuple[ImageArray, ...]
    reference: npt.NDArray[np.float32]
    outputs: dict[str, npt.NDArray[np.float32]]


def pick_golden(images: Sequence[ImageArray], probabilities: npt.NDArray[np.float64] | None) -> tuple[ImageArray, ...]:
    """Choose the golden frames among photos; without photos (``--unproven``), coloured noise that any model can see."""
    if images and probabilities is not None:
        return tuple(shrink(images[i]) for i in choose_golden(images, probabilities, GOLDEN_FRAMES))
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (GOLDEN_FRAMES, 8, 8, 3), np.uint8)
    return tuple(np.ascontiguousarray(np.kron(c, np.ones((32, 32, 1), np.uint8))) for c in coarse)


def read_golden(folder: Path) -> tuple[ImageArray, ...]:
    """The first pictures, by name, of the folder the user gave as ``--golden``. Raises DataError when it has none."""
    if not folder.is_dir():
        raise DataError(f"--golden expects a folder of pictures, got {folder}")
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in {".png", ".jpg", ".jpeg", ".bmp", ".webp"})
    if not files:
        raise DataError(f"--golden {folder} holds no pictures (png, jpg, bmp, webp)")
    return tuple(shrink(read_image(path)) for path in files[:GOLDEN_FRAMES])


def run_golden(frames: Sequence[ImageArray], found: Sequence[Way], reference: Way, spec: PreprocessSpec) -> Golden:
    """Run float and every variant on the golden frames."""
    preprocessor = Preprocessor(spec)
    tensors = np.empty((len(frames), *spec.tensor_shape), spec.dtype.value)
    for item, frame in zip(tensors, frames, strict=True):
        preprocessor.run(Frame.from_array(frame), item)
    outputs = {}
    for way in {way.id: way for way in (reference, *found)}.values():
        with way.open(1) as engine:
            slot = engine.slots(1)[0]
            rows = []
            for item in tensors:
                slot.inputs[engine.inputs[0].name][0] = item
                engine.run(slot)
                rows.append(np.array(slot.outputs[engine.outputs[0].name][0], np.float32))
            outputs[way.id] = np.stack(rows)
    return Golden(tuple(frames), outputs[reference.id], outputs)


def environment() -> Environment:
    """The machine that measures, for the manifest."""
    machine = describe_machine()
    versions = {**available_engines(), **package_versions(("numpy", "opencv-python-headless", "torch", "onnx"))}
    return Environment(
        machine.cpu, machine.architecture, machine.features, machine.cores, machine.system, versions
    )  # fmt: skip


def pack(
    target: Path, *, name: str, labels: Sequence[Label], output: str, spec: PreprocessSpec,
    candidates: Mapping[str, Candidate], rows: Sequence[Row], chosen: Row, golden: Golden, verdict: Verdict | None,
    source: Mapping[str, Any], data: Mapping[str, Any], report: Mapping[str, bytes],
) -> tuple[str, Manifest]:  # fmt: skip
    """Write the bundle. ``rows``: the variants to offer, best first. Returns (bundle id, manifest)."""
    used = {row.candidate for row in rows}
    entries = {f"graphs/{key}.onnx": candidates[key].graph for key in sorted(used)}
    frames = tuple(f"golden/{place}.png" for place in range(len(golden.frames)))
    entries.update({entry: encode_png(frame) for entry, frame in zip(frames, golden.frames, strict=True)})
    entries["golden/reference.npy"] = encode_outputs(golden.reference)
    for row in rows:
        entries[f"golden/{row.id}.npy"] = encode_outputs(golden.outputs[row.id])
    entries.update(report)
    manifest = Manifest(
        name=name,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        edgevision=own_version(),
        task="classify",
        labels=tuple(labels),
        output=output,
        preprocess=spec,
        graphs={key: _graph_entry(candidates[key]) for key in sorted(used)},
        variants=tuple(_variant_entry(row) for row in rows),
        chosen=chosen.id,
        source=dict(source),
        data=dict(data),
        environment=environment(),
        verdict=verdict,
        golden_frames=frames,
        golden_reference="golden/reference.npy",
    )
    return write_bundle(target, manifest, entries), manifest


def own_version() -> str:
    """Version of the installed edgevision; ``0+source`` when run from a checkout that is not installed."""
    try:
        return version("edgevision")
    except PackageNotFoundError:
        return "0+source"


def json_bytes(data: object) -> bytes:
    """JSON as it is stored: sorted keys, indented, UTF-8."""
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()


def _graph_entry(candidate: Candidate) -> GraphEntry:
    return GraphEntry(f"graphs/{candidate.key}.onnx", candidate.precision, candidate.dialect, candidate.float_parts)


def _variant_entry(row: Row) -> VariantEntry:
    latency = tuple(
        Latency(threads, batch, p50_ms, p90_ms) for (threads, batch), (p50_ms, p90_ms) in sorted(row.latency.items())
    )
    return VariantEntry(
        row.id, row.candidate, row.engine, row.precision, row.temperature, row.threshold, f"golden/{row.id}.npy",
        latency, dict(row.layers), row.metric,
    )  # fmt: skip
