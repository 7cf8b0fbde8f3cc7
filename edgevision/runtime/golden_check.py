"""Does a bundle do here what it did where it was made? Golden frames run again, and what the proof covers."""

from __future__ import annotations

from edgevision.bundle.manifest import Environment, Manifest, VariantEntry
from edgevision.bundle.reader import Bundle
from edgevision.errors import InputError, UnreadableOutputError
from edgevision.frames import Frame
from edgevision.machine import Machine, describe_machine
from edgevision.runtime.runner import Runner
from edgevision.tasks.base import GoldenResult
from edgevision.tasks.registry import make_task
from edgevision.tensors import joined

# Instruction sets that decide which kernels an engine takes, and so the last digits of int8 and bfloat16 results.
DECISIVE_FEATURES = frozenset(
    {"avx2", "avx512f", "avx512bw", "avx512vl", "avx512vnni", "avxvnni", "avx512bf16", "amxint8", "amxbf16",
     "asimddp", "asimdhp", "i8mm", "bf16", "sve"}
)  # fmt: skip


def check_golden(bundle: Bundle, variant: VariantEntry, runner: Runner) -> GoldenResult:
    """Run the golden frames through everything a photo goes through, and compare with what is stored.

    How strictly is the task's to say: outputs may differ less where engine version and instruction set are those of the
    compiler. Outputs that cannot be an answer fail too.
    """
    stored = next(entry for entry in bundle.manifest.variants if entry.id == variant.id)
    task = make_task(
        bundle.manifest.task_of(stored)
    )  # what was given to load in place of its parameters changes answers
    frames = [Frame.from_array(image) for image in bundle.golden_frames()]
    try:
        now = joined([dict(task.digest(runner.run([frame]).outputs)) for frame in frames])
        return task.compare(
            bundle.golden_outputs(bundle.manifest.golden_reference),
            bundle.golden_outputs(variant.golden),
            now,
            # What was never measured where it was made had its golden outputs from another engine there.
            same_device=bool(variant.latency) and _same_device(bundle.manifest.environment, runner),
        )
    except (UnreadableOutputError, InputError, LookupError) as error:  # a role that the task does not have, …
        return GoldenResult(False, float("inf"), str(error))


def golden_result(bundle: Bundle, variant: VariantEntry, runner: Runner) -> GoldenResult:
    """``check_golden``, or what it gave when the runner's engine was built, a moment ago."""
    return runner.golden or check_golden(bundle, variant, runner)


def proof_gaps(manifest: Manifest, variant: VariantEntry | None = None) -> tuple[str, ...]:
    """Why the bundle's verdict may not hold on this machine for ``variant`` (default: the chosen one); empty if it does.

    A verdict is about one variant on one instruction set; finalists that were not chosen have their own. Float32 results
    do not depend on the instruction set.
    """
    chosen = next(entry for entry in manifest.variants if entry.id == manifest.chosen)
    variant = variant or chosen
    gaps = []
    is_float = manifest.graphs[variant.graph].precision == "float32" and variant.precision == "float32"
    # Float is what the others are compared with: it has a metric, and may have no verdict.
    shown = manifest.verdict_on(variant) is not None or (is_float and variant.metric is not None)
    if manifest.verdict is not None and not shown:
        gaps.append(f"the validation photos were shown to '{chosen.id}', not to '{variant.id}'")
    if manifest.verdict is not None and not variant.latency:
        gaps.append(
            f"'{variant.id}' was compared by its numbers in another engine; its own has not run where it was made"
        )
    if not is_float:
        difference = _feature_difference(manifest.environment, describe_machine())
        if difference:
            gaps.append(f"it was measured on {manifest.environment.cpu}; this machine {difference}")
    return tuple(gaps)


def _feature_difference(environment: Environment, machine: Machine) -> str:
    """How the instruction sets of this machine differ from those of the compiler's, in words; empty if they do not."""
    if machine.architecture != environment.architecture:
        return f"is {machine.architecture}, not {environment.architecture}"
    there = DECISIVE_FEATURES & set(environment.features)
    here = DECISIVE_FEATURES & set(machine.features)
    parts = []
    if there - here:
        parts.append(f"lacks {', '.join(sorted(there - here))}")
    if here - there:
        parts.append(f"has {', '.join(sorted(here - there))} besides")
    return " and ".join(parts)


def _same_device(environment: Environment, runner: Runner) -> bool:
    if environment.versions.get(runner.engine.name) != runner.engine.version:
        return False
    return not _feature_difference(environment, describe_machine())
