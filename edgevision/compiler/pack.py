"""Golden frames, manifest and report into one bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import edgevision
from edgevision.bundle.golden import encode_outputs
from edgevision.bundle.manifest import Environment, GraphEntry, Latency, Manifest, VariantEntry
from edgevision.bundle.reader import open_bundle
from edgevision.bundle.writer import write_bundle
from edgevision.compiler.golden import Golden
from edgevision.compiler.quantize.targets import cpu_target
from edgevision.compiler.variants import Candidate, CompiledVariant
from edgevision.decode import encode_png
from edgevision.preprocess import PreprocessSpec
from edgevision.tasks.base import TaskSpec
from edgevision.tensors import Outputs


def pack(
    target: Path, *, name: str, task: TaskSpec, spec: PreprocessSpec, candidates: Mapping[str, Candidate],
    variants: Sequence[CompiledVariant], golden: Golden, environment: Environment, source: Mapping[str, Any],
    data: Mapping[str, Any], attached: Mapping[str, bytes],
) -> tuple[str, Manifest]:  # fmt: skip
    """Write the bundle. ``variants``: those to offer, the chosen one first; ``attached``: further entries, such as the
    report.

    Returns the bundle's id and the manifest as it was written.
    """
    used = {one.measurement.candidate for one in variants}
    entries = {f"graphs/{key}.onnx": candidates[key].graph for key in sorted(used)}
    frames = tuple(f"golden/{place}.png" for place in range(len(golden.frames)))
    entries.update({entry: encode_png(frame) for entry, frame in zip(frames, golden.frames, strict=True)})
    reference = _golden_entries("reference", golden.reference)
    stored = {one.id: _golden_entries(one.id, golden.answers[one.id]) for one in variants}
    entries |= _encoded(reference, golden.reference)
    for id, names in stored.items():
        entries |= _encoded(names, golden.answers[id])
    entries.update(attached)
    manifest = Manifest(
        name=name,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        edgevision=edgevision.__version__,
        task=task,
        preprocess=spec,
        graphs={key: _graph_entry(candidates[key]) for key in sorted(used)},
        variants=tuple(_variant_entry(one, candidates[one.measurement.candidate], stored[one.id]) for one in variants),
        chosen=variants[0].id,
        source=dict(source),
        data=dict(data),
        environment=environment,
        verdict=variants[0].verdict,
        golden_frames=frames,
        golden_reference=reference,
    )
    bundle_id = write_bundle(target, manifest, entries)
    with open_bundle(target) as bundle:
        return bundle_id, bundle.manifest


def _golden_entries(id: str, answers: Outputs) -> dict[str, str]:
    return {role: f"golden/{id}.{role}.npy" for role in answers}


def _encoded(names: Mapping[str, str], answers: Outputs) -> dict[str, bytes]:
    return {names[role]: encode_outputs(array) for role, array in answers.items()}


def _graph_entry(candidate: Candidate) -> GraphEntry:
    return GraphEntry(
        f"graphs/{candidate.key}.onnx", candidate.precision, candidate.dialect, candidate.float_fallback,
        candidate.recipe,
    )  # fmt: skip


def _variant_entry(one: CompiledVariant, candidate: Candidate, golden: dict[str, str]) -> VariantEntry:
    measured = one.measurement
    target = one.target
    if not target and candidate.precision == "int8":
        target = cpu_target().name
    latency = tuple(
        Latency(threads, batch, p50_ms, p90_ms)
        for (threads, batch), (p50_ms, p90_ms) in sorted(measured.latency.items())
    )
    return VariantEntry(
        one.id, measured.candidate, measured.engine, measured.precision, dict(one.parameters), golden, latency,
        measured.layer_precisions, one.metric, one.verdict, target,
    )  # fmt: skip
