"""Float's own answers, looked at before hours are spent on comparing int8 with them.

Whether answers make sense is the task's to say (``evaluate.base.AnswerCheck``). Where it sees that they do not, and not why,
the usual other ways to prepare photos are tried: a wrong mean, std or channel order can make nonsense of a sound network.

Where it only costs some points, the answers make sense, and int8 would lose the same points. So the same ways are tried on
labelled photos where float is not right on nearly all: one that is right on more of them, beyond chance, is named.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from edgevision.compiler.data.photos import CompilePhoto, in_turns, prepared, stratified_sample
from edgevision.compiler.job import Job
from edgevision.compiler.progress import ProgressFn, silent
from edgevision.compiler.sources.source import SourceKind
from edgevision.errors import InputError
from edgevision.evaluate.base import AnswerCheck, doubts_of
from edgevision.preprocess.spec import ColorOrder, PreprocessSpec, preset
from edgevision.tensors import Outputs

LABELLED_PHOTOS = 256  # that answers are held against
OTHER_PHOTOS = 32  # where no photo is labelled: enough to see what kind of numbers the outputs are
PREPARED_PHOTOS = 64  # that other ways to prepare them are tried on
BETTER_POINTS = 20.0  # of the metric: so much better is a way to prepare photos that is named
LOOK_S = 30.0  # that large networks get for it, but for the first
LEAST_PHOTOS = 64
LEAST_ROOM = 3.0  # points of the metric that float misses: below, no other way can be shown to be better
SEARCH_S = 30.0  # that trying other ways may take where nothing but missed points speaks for them
NOTE_RATE = 0.01  # of naming a way that is no better
REFUSAL_RATE = 1e-6  # of refusing because of one
STEP = "look at float's answers"


def check_answers(job: Job, graph: bytes, shifted: bool = False) -> tuple[str, ...]:
    """Run float, the exported ``graph``, on some of the photos; nothing to do where there are none, or the task has no such check.

    Raises InputError where its answers make no sense, naming the reading that does, and EngineError where they are no
    numbers at all; InputError also where photos prepared in another way are certain to be answered better. With ``--force``,
    gives the doubts back as notes instead. ``shifted``: photos do not look to the network as its training's did.
    """
    photos = _photos(job)
    evaluator = job.measure.evaluator
    if not photos or not isinstance(evaluator, AnswerCheck):
        return ()
    answers = _answers(job, graph, photos, job.model.spec, job.progress)
    photos = photos[: len(next(iter(answers.values())))]
    doubts = doubts_of(evaluator, answers, [photo.truth for photo in photos])
    if not doubts:
        return _better_preparation(job, graph, photos, answers, SEARCH_S if not shifted else math.inf)
    said = "; ".join(doubt.text for doubt in doubts)
    if job.options.force:
        return (f"the float model's own answers make no sense (--force): {said}",)
    if not all(doubt.explained for doubt in doubts):
        said = f"{said}. {_other_preparation(job, graph, photos)}"
    raise InputError(
        f"the float model's own answers make no sense, and int8 would only repeat them: {said}. Or go on with --force"
    )


def _photos(job: Job) -> tuple[CompilePhoto, ...]:
    """Labelled ones of both splits, the same share of every class; where there are none, some of all."""
    given = (*job.splits.calibration, *job.splits.validation)
    labelled = [photo for photo in given if photo.truth is not None]
    return in_turns(labelled)[:LABELLED_PHOTOS] if labelled else stratified_sample(given, OTHER_PHOTOS)


def _answers(
    job: Job, graph: bytes, photos: Sequence[CompilePhoto], spec: PreprocessSpec, progress: ProgressFn = silent
) -> Outputs:
    """Those to ``LEAST_PHOTOS``, and to as many more as ``LOOK_S`` allows."""

    def tensors() -> Iterator[npt.NDArray[Any]]:
        began, done = time.monotonic(), 0
        for batch in prepared(photos, spec):
            progress(STEP, done, len(photos))
            yield batch
            done += len(batch)
            if done >= LEAST_PHOTOS and time.monotonic() - began > LOOK_S:
                return

    answers = job.measure.run(graph, tensors(), threads=job.threads)
    progress(STEP, len(photos), len(photos))
    return answers


def _other_preparation(job: Job, graph: bytes, photos: Sequence[CompilePhoto]) -> str:
    """What to say of how photos are prepared: the way that fits, or that none was found."""
    some = stratified_sample([photo for photo in photos if photo.truth is not None], PREPARED_PHOTOS)
    truth = [photo.truth for photo in some]
    evaluator = job.measure.evaluator
    best, name = -1.0, ""
    if some:
        least = job.measure.accuracy(_answers(job, graph, some, job.model.spec), truth) + BETTER_POINTS
        for way, spec in other_preparations(job.model.spec).items():
            answers = _answers(job, graph, some, spec)
            value = job.measure.accuracy(answers, truth)
            if value >= least and value > best and not doubts_of(evaluator, answers, truth):
                best, name = value, way
    if not name:
        return "Check the order of --labels, --preprocess, and that these are the trained weights"
    return f"With {name} the {evaluator.metric} of {len(some)} photos would be {best:.1f} %: change --preprocess"


def _better_preparation(
    job: Job, graph: bytes, photos: Sequence[CompilePhoto], answers: Outputs, limit_s: float
) -> tuple[str, ...]:
    """A note where photos prepared in another way are answered better by more than chance. ``answers``: to the ``photos``
    as they are prepared. Raises InputError where that is certain.

    A few photos choose the way, all of them decide; the interval allows for as many ways as there are (Bonferroni).
    """
    evaluator = job.measure.evaluator
    truth = [photo.truth for photo in photos]
    # Our checkpoint knows how its photos were prepared: nobody typed it.
    if job.model.kind is SourceKind.CHECKPOINT or any(one is None for one in truth):
        return ()
    if 100 - job.measure.accuracy(answers, truth) < LEAST_ROOM:
        return ()
    ways = other_preparations(job.model.spec)
    name = _best_way(job, graph, photos[:PREPARED_PHOTOS], _first(answers, PREPARED_PHOTOS), ways, limit_s)
    if name is None:
        return ()
    better = _answers(job, graph, photos, ways[name])
    count = len(next(iter(better.values())))
    own, other = (evaluator.scores(_first(one, count), truth[:count]) for one in (answers, better))

    def beats(rate: float) -> bool:
        interval = evaluator.paired(own, other, 1 - 2 * rate / len(ways), job.options.seed).interval
        return interval[1] < 0  # of the points that the other way loses

    if not beats(NOTE_RATE):
        return ()
    said = (
        f"with {name} the float model's {evaluator.metric} on {count} labelled photos is {evaluator.value(other):.1f} %, and "
        f"{evaluator.value(own):.1f} % as --preprocess has it"
    )
    if not beats(REFUSAL_RATE):
        return (f"{said}, which is more than chance: check --preprocess",)
    if job.options.force:
        return (f"{said} (--force)",)
    raise InputError(
        f"{said}: photos are prepared in another way than in training. Change --preprocess, or go on with --force"
    )


def _best_way(
    job: Job, graph: bytes, photos: Sequence[CompilePhoto], answers: Outputs, ways: Mapping[str, PreprocessSpec],
    limit_s: float,
) -> str | None:  # fmt: skip
    """The way that these photos are answered best, if that is better than the ``answers`` are; no more are tried after
    ``limit_s`` seconds."""
    truth = [photo.truth for photo in photos]
    best, name = job.measure.accuracy(answers, truth), None
    began = time.monotonic()
    for way, spec in ways.items():
        value = job.measure.accuracy(_answers(job, graph, photos, spec), truth)
        if value > best:
            best, name = value, way
        if time.monotonic() - began > limit_s:
            break
    return name


def _first(outputs: Outputs, count: int) -> dict[str, npt.NDArray[Any]]:
    """Those of the first ``count`` photos."""
    return {name: values[:count] for name, values in outputs.items()}


def other_preparations(spec: PreprocessSpec) -> dict[str, PreprocessSpec]:
    """The ways to prepare photos that ``spec`` is taken for by mistake, by what to call them: channels the other way
    round, pixels of another scale, and both; the likeliest first."""
    channels = spec.color.channels
    scales = {
        "pixels of 0…1": ((0.0,) * channels, (255.0,) * channels),
        "pixels of 0…255": ((0.0,) * channels, (1.0,) * channels),
        "pixels of −1…1": ((127.5,) * channels, (127.5,) * channels),
    }
    if channels == 3:
        imagenet = preset("imagenet")
        scales["ImageNet's mean and std"] = (imagenet.mean, imagenet.std)
    ways = {name: replace(spec, mean=mean, std=std) for name, (mean, std) in scales.items()}
    swapped = {ColorOrder.RGB: ColorOrder.BGR, ColorOrder.BGR: ColorOrder.RGB}.get(spec.color)
    if swapped is not None:
        turned = {
            f"{name} in {swapped.value.upper()} order": replace(
                one, color=swapped, mean=one.mean[::-1], std=one.std[::-1]
            )
            for name, one in {"channels": spec, **ways}.items()
        }
        likeliest, *_ = turned
        ways = {likeliest: turned[likeliest], **ways, **turned}
    found: dict[str, PreprocessSpec] = {}
    for name, one in ways.items():
        if one != spec and one not in found.values():
            found[name] = one
    return found
