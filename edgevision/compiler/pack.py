"""Golden frames, manifest and report into one bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import edgevision
from edgevision.bundle.golden import COUNT, choose_golden, encode_outputs, shrink
from edgevision.bundle.manifest import Environment, GraphEntry, Latency, Manifest, VariantEntry, Verdict
from edgevision.bundle.reader import open_bundle
from edgevision.bundle.writer import write_bundle
from edgevision.compiler.measure import Variant, run_all
from edgevision.compiler.options import Candidate, Row
from edgevision.compiler.targets import cpu_target
from edgevision.decode import encode_png, read_image
from edgevision.engines import available_engines
from edgevision.errors import DataError
from edgevision.evaluate.dataset import PHOTO_SUFFIXES
from edgevision.frames import ImageArray
from edgevision.machine import describe_machine, package_versions
from edgevision.preprocess import Preprocessor, PreprocessSpec
from edgevision.tasks.results import Label


@dataclass(frozen=True)
class Golden:
    """The golden frames and the raw outputs on them, [n, k] float32, by variant id; ``reference`` is float's."""

    frames: tuple[ImageArray, ...]
    reference: npt.NDArray[np.float32]
    outputs: dict[str, npt.NDArray[np.float32]]


def pick_golden(images: Sequence[ImageArray], probabilities: npt.NDArray[np.float64] | None) -> tuple[ImageArray, ...]:
    """Choose the golden frames among photos; without photos (``--unproven``), coloured noise that any model can see."""
    if images and probabilities is not None:
        return tuple(shrink(images[i]) for i in choose_golden(images, probabilities))
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (COUNT, 8, 8, 3), np.uint8)
    return tuple(np.ascontiguousarray(np.kron(c, np.ones((32, 32, 1), np.uint8))) for c in coarse)


def read_golden(folder: Path) -> tuple[ImageArray, ...]:
    """The first pictures, by name, of the folder the user gave as ``--golden``. Raises DataError when it has none."""
    if not folder.is_dir():
        raise DataError(f"--golden expects a folder of pictures, got {folder}")
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES)
    if not files:
        raise DataError(f"--golden {folder} holds no pictures ({' '.join(sorted(PHOTO_SUFFIXES))})")
    return tuple(shrink(read_image(path)) for path in files[:COUNT])


def run_golden(
    frames: Sequence[ImageArray], found: Sequence[Variant], reference: Variant, spec: PreprocessSpec
) -> Golden:
    """Run float and every variant on the golden frames."""
    tensors = Preprocessor(spec).batch(frames)
    outputs = {}
    for variant in {variant.id: variant for variant in (reference, *found)}.values():
        with variant.open(1) as engine:
            outputs.update(run_all({variant.id: engine}, [tensors]))
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
    candidates: Mapping[str, Candidate], rows: Sequence[Row], golden: Golden, verdicts: Mapping[str, Verdict],
    source: Mapping[str, Any], data: Mapping[str, Any], attached: Mapping[str, bytes],
) -> tuple[str, Manifest]:  # fmt: skip
    """Write the bundle. ``rows``: the variants to offer, the chosen one first, with ``verdicts`` by variant;
    ``attached``: further entries, such as the report.

    Returns the bundle's id and the manifest as it was written.
    """
    used = {row.candidate for row in rows}
    entries = {f"graphs/{key}.onnx": candidates[key].graph for key in sorted(used)}
    frames = tuple(f"golden/{place}.png" for place in range(len(golden.frames)))
    entries.update({entry: encode_png(frame) for entry, frame in zip(frames, golden.frames, strict=True)})
    entries["golden/reference.npy"] = encode_outputs(golden.reference)
    for row in rows:
        entries[f"golden/{row.id}.npy"] = encode_outputs(golden.outputs[row.id])
    entries.update(attached)
    manifest = Manifest(
        name=name,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        edgevision=edgevision.__version__,
        task="classify",
        labels=tuple(labels),
        output=output,
        preprocess=spec,
        graphs={key: _graph_entry(candidates[key]) for key in sorted(used)},
        variants=tuple(_variant_entry(row, candidates[row.candidate], verdicts.get(row.id)) for row in rows),
        chosen=rows[0].id,
        source=dict(source),
        data=dict(data),
        environment=environment(),
        verdict=verdicts.get(rows[0].id),
        golden_frames=frames,
        golden_reference="golden/reference.npy",
    )
    bundle_id = write_bundle(target, manifest, entries)
    with open_bundle(target) as bundle:
        return bundle_id, bundle.manifest


def json_bytes(data: object) -> bytes:
    """JSON as it is stored: sorted keys, indented, UTF-8."""
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()


def _graph_entry(candidate: Candidate) -> GraphEntry:
    return GraphEntry(
        f"graphs/{candidate.key}.onnx", candidate.precision, candidate.dialect, candidate.float_parts,
        candidate.estimator,
    )  # fmt: skip


def _variant_entry(row: Row, candidate: Candidate, verdict: Verdict | None) -> VariantEntry:
    target = row.target or (cpu_target().name if candidate.precision == "int8" else "")
    latency = tuple(
        Latency(threads, batch, p50_ms, p90_ms) for (threads, batch), (p50_ms, p90_ms) in sorted(row.latency.items())
    )
    return VariantEntry(
        row.id, row.candidate, row.engine, row.precision, row.temperature, row.threshold, f"golden/{row.id}.npy",
        latency, dict(row.layers), row.metric, verdict, target,
    )  # fmt: skip
