"""The pruning step of `compile`: a source model in, one with fewer channels out, and what that took."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from edgevision.compiler.answers import AnswerMeasure
from edgevision.compiler.data.photos import CompilePhoto, prepared, stratified_sample, truths_of
from edgevision.compiler.options import CompileOptions
from edgevision.compiler.progress import ProgressFn
from edgevision.compiler.prune.cut import Price
from edgevision.compiler.prune.pruner import PruneOptions, Pruner, PruneResult, Tune, prune
from edgevision.compiler.prune.search import RatioSearch, search_ratio
from edgevision.compiler.quantize.dialects import Dialect
from edgevision.compiler.quantize.emitter import quantize
from edgevision.compiler.quantize.estimators import estimate
from edgevision.compiler.quantize.ranges import collect_ranges
from edgevision.compiler.select.measure import measure_latency, open_each
from edgevision.compiler.sources.export import export_float
from edgevision.compiler.sources.source import SourceKind, SourceModel
from edgevision.compiler.variants import Candidate
from edgevision.errors import BudgetError, InputError
from edgevision.train.checkpoint import load_checkpoint, save_checkpoint, short_hashes
from edgevision.train.finetune import FineTuneOptions, PhotosInMemory, fine_tune

PHOTOS = 256  # that importances and batch norms are estimated on
IMPORTANCES = ("taylor", "activation", "reconstruction")  # those that were best on networks tried; each costs a trial
PRICE: Price = "macs"  # at equal multiply-adds this diverged half as much as a price in channels
_RANGE_PHOTOS = 8  # for a graph of which only the speed matters


@dataclass(frozen=True, eq=False)
class Pruned:
    """``model``: what to compile in place of the original. ``search``: how the ratio was found, where it was.
    ``tuned_on``: SHA-256 of the photos that the network was fine-tuned on.
    """

    model: SourceModel
    result: PruneResult
    search: RatioSearch | None
    tuned_on: frozenset[str] = frozenset()

    def marked(self, photos: Sequence[CompilePhoto]) -> tuple[CompilePhoto, ...]:
        """The photos, those that fine-tuning saw marked as in the training set: nothing can be fitted or proven on them any more."""
        return tuple(replace(p, in_training_set=True) if p.sha256 in self.tuned_on else p for p in photos)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the report."""
        return {**self.result.to_dict(), "search": None if self.search is None else self.search.to_dict()}

    def note(self) -> str:
        """What was done, in a sentence."""
        result = self.result
        now, was = result.tuned or result.chosen, result.original
        if not now.ratio:
            return "not pruned: the network is as quick as was asked for as it is"
        tuned = (
            f", {now.divergence:.3f} after fine-tuning (some of the photos compared were also used for it)"
            if result.tuned
            else ""
        )
        return (
            f"pruned: {100 * now.reached:.0f} % of the channels by {now.importance}, {now.parameters / was['parameters']:.0%} "
            f"of the parameters and {now.macs / was['macs']:.0%} of the multiply-adds are left; divergence from the "
            f"original {result.chosen.divergence:.3f} nats{tuned}"
        )

    def notes(self, original: float | None, pruned: float | None, chosen: float | None) -> tuple[str, ...]:
        """``note``, and where all were compared (percent), how the loss splits into pruning and quantizing."""
        if original is None or pruned is None or chosen is None:
            return (self.note(),)
        split = (
            f"of the {original - chosen:+.2f} points lost on the validation photos, pruning took {original - pruned:+.2f} and "
            f"quantizing {pruned - chosen:+.2f}; exporting changed nothing that the parity check could see"
        )
        return self.note(), split


def prune_source(
    model: SourceModel, photos: Sequence[CompilePhoto], options: CompileOptions, dialects: Sequence[Dialect],
    threads: int, batch: int, progress: ProgressFn,
) -> Pruned:  # fmt: skip
    """Prune ``model`` by ``options.prune``, or as little as ``options.target_latency_ms`` takes.

    ``photos``: calibration photos; the network is fine-tuned on the labelled ones (``_to_tune_on``) for
    ``options.prune_minutes``, with the original as teacher. ``dialects``: of the int8 graphs whose latency counts.
    Raises InputError for a model that cannot be pruned, BudgetError where no ratio is quick enough.
    """
    network = model.module
    if network is None or [output.layout for output in model.task.outputs] != ["logits"]:
        raise InputError(
            f"{model.name} cannot be pruned: --prune needs a network of PyTorch layers that gives logits (a checkpoint, "
            "or a state dict with --arch)"
        )
    some = stratified_sample(photos, PHOTOS)
    tensors = np.concatenate(list(prepared(some, model.spec)))
    truth = truths_of(some)
    single = truth is not None and all(isinstance(one, int) for one in truth)
    labels = np.array(truth, np.int64) if single else None
    measure = AnswerMeasure.of(model.task, model.spec)
    made = PruneOptions(
        options.prune or 0.0,
        multiple=options.prune_multiple,
        importances=IMPORTANCES,
        prices=(PRICE,),
        seed=options.seed,
    )
    search = None
    if options.target_latency_ms is not None:
        pruner = Pruner(network, tensors, measure, labels, options=made, progress=progress)
        search = search_ratio(
            pruner, options.target_latency_ms, _Stopwatch(model, tensors, dialects, options, threads, batch), price=PRICE,
            progress=progress,
        )  # fmt: skip
        if search.ratio is None:
            quickest = min(trial.latency_ms for trial in search.trials)
            raise BudgetError(
                f"no pruning ratio reaches {options.target_latency_ms:g} ms on this machine; the quickest measured was "
                f"{quickest:.2f} ms. Nothing was written"
            )
        made = replace(made, ratio=search.ratio)
    result = prune(
        network, tensors, measure, made, labels=labels, tune=_tune(model, photos, options, progress), progress=progress
    )
    now = result.tuned or result.chosen
    info = {**model.info, "parameters": now.parameters, "pruned": round(now.reached, 4)}
    tuned_on = frozenset(photo.sha256 for photo in _to_tune_on(photos)) if result.tuned else frozenset()
    return Pruned(replace(model, module=result.network, program=None, info=info), result, search, tuned_on)


def save_pruned(source: Path, target: Path, pruned: Pruned) -> None:
    """Write the pruned network as a checkpoint: the original's, with channel counts and weights of its own, which says
    of the photos it was fine-tuned on that it was trained on them.

    ``source`` is one of our checkpoints (``check_can_save``): no other file says how to build the network.
    """
    original = load_checkpoint(source)
    record = {**original.training, "pruned": pruned.result.chosen.to_dict()}
    pack = original.photos
    if pack is not None:
        tuned_on = pruned.tuned_on
        pack = replace(pack, calibration=tuple(
            replace(p, in_training_set=True) if (p.source_sha256 or hashlib.sha256(p.data).hexdigest()) in tuned_on else p
            for p in pack.calibration
        ))  # fmt: skip
    # Where the original does not say what it was trained on, a list of what came after would read as all of it.
    trained_on = (*original.trained_on, *short_hashes(pruned.tuned_on)) if original.trained_on else ()
    save_checkpoint(
        target,
        replace(
            original,
            state_dict=pruned.result.network.state_dict(),
            channels=pruned.result.channels,
            training=record,
            photos=pack,
            trained_on=tuple(dict.fromkeys(trained_on)),
        ),
    )


def check_can_save(model: SourceModel) -> None:
    """Raise InputError unless a pruned form of ``model`` could be saved as a checkpoint."""
    if model.kind is not SourceKind.CHECKPOINT:
        raise InputError(
            f"--save-pruned needs a checkpoint of `edgevision train`, which says how its network is built; {model.name} is "
            f"a file of kind '{model.kind.value}'"
        )


def _to_tune_on(photos: Sequence[CompilePhoto]) -> list[CompilePhoto]:
    """The labelled photos that the network was trained on before, if these are most; else all that are labelled.

    Photos that it was not trained on are worth more to the temperature and the unknown-threshold.
    """
    labelled = [photo for photo in photos if isinstance(photo.truth, int)]  # one class each: what fine-tuning can learn
    learnt = [photo for photo in labelled if photo.in_training_set]
    return learnt if 2 * len(learnt) > len(labelled) else labelled


def _tune(
    model: SourceModel, photos: Sequence[CompilePhoto], options: CompileOptions, progress: ProgressFn
) -> Tune | None:
    labelled = _to_tune_on(photos)
    teacher = model.module
    if not labelled or not options.prune_minutes or teacher is None:
        return None
    truth = np.array([photo.truth for photo in labelled], np.int64)
    data = PhotosInMemory(tuple(photo.source for photo in labelled), truth, model.labels)

    def tune(network: nn.Module, step: int, steps: int) -> nn.Module:
        own = FineTuneOptions(minutes=options.prune_minutes / steps, seed=options.seed + step)
        return fine_tune(
            network, teacher, data, model.spec, own, lambda done, total, _: progress("fine-tune", done, total)
        ).network

    return tune


@dataclass(frozen=True, eq=False)
class _Stopwatch:
    """Measures a network as it would be shipped: its quickest int8 variant (float with ``--precision float``), p50."""

    model: SourceModel
    tensors: np.ndarray[Any, np.dtype[np.float32]]
    dialects: Sequence[Dialect]
    options: CompileOptions
    threads: int
    batch: int

    def __call__(self, network: nn.Module) -> float:
        graph, _ = export_float(replace(self.model, module=network, program=None))
        candidates = [Candidate("float", graph, "float32", "float")]
        if self.options.precision.value != "float":
            table = collect_ranges(graph, [self.tensors[:_RANGE_PHOTOS]], threads=self.threads)
            ranges = estimate(table, "minmax")
            candidates = [
                Candidate(f"int8-{dialect.name}", quantize(graph, ranges, dialect).graph, "int8", dialect.name)
                for dialect in self.dialects
            ]
        found = open_each(candidates, self.threads, batch=self.batch)
        o = self.options
        measured = measure_latency(found.variants, self.tensors[:1], self.threads, self.batch, o.rounds, o.seed)
        return min(samples.p50_ms for samples in measured.values())
