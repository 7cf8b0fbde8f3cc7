"""Float's own answers, looked at before hours are spent on comparing int8 with them.

Whether answers make sense is the task's to say (``evaluate.base.AnswerCheck``). Where it sees that they do not, and not why,
the usual other ways to prepare photos are tried: a wrong mean, std or channel order can make nonsense of a sound network.
(Where it only costs some points, nothing here notices.)
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from edgevision.compiler.data.photos import CompilePhoto, in_turns, prepared, stratified_sample
from edgevision.compiler.job import Job
from edgevision.compiler.progress import ProgressFn, silent
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
STEP = "look at float's answers"


def check_answers(job: Job, graph: bytes) -> tuple[str, ...]:
    """Run float, the exported ``graph``, on some of the photos; nothing to do where there are none, or the task has no such check.

    Raises InputError where its answers make no sense, naming the reading that does, and EngineError where they are no
    numbers at all. With ``--force``, gives the doubts back as notes instead, and tries no other preparation.
    """
    photos = _photos(job)
    evaluator = job.measure.evaluator
    if not photos or not isinstance(evaluator, AnswerCheck):
        return ()
    answers = _answers(job, graph, photos, job.model.spec, job.progress)
    photos = photos[: len(next(iter(answers.values())))]
    doubts = doubts_of(evaluator, answers, [photo.truth for photo in photos])
    if not doubts:
        return ()
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


def other_preparations(spec: PreprocessSpec) -> dict[str, PreprocessSpec]:
    """The ways to prepare photos that ``spec`` is taken for by mistake, by what to call them: channels the other way
    round, pixels of another scale, and both."""
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
        ways = {**ways, **turned}
    return {name: one for name, one in ways.items() if one != spec}
