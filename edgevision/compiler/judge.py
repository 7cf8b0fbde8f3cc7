"""Outputs of variants over photos, and the verdict on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.bundle.manifest import Verdict
from edgevision.compiler.measure import Variant, run_all
from edgevision.compiler.options import ProgressFn, silent
from edgevision.compiler.photos import CompilePhoto, labels_of, prepared
from edgevision.engines.base import Engine
from edgevision.errors import InputError
from edgevision.evaluate.paired import MAX_POINTS_LOST, class_losses, paired_comparison
from edgevision.evaluate.retrieval import has_another, nearest_is_right
from edgevision.evaluate.unknown import expected_calibration_error, fit_temperature, fit_threshold
from edgevision.preprocess import PreprocessSpec
from edgevision.tasks.classify import ClassifyTask
from edgevision.tasks.results import Label

Outputs = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]
ERROR_RATE = 0.05  # of an interval, where one graph is judged
NEAR_THRESHOLD = 24  # photos that carry a threshold from float to a variant
MAX_CALIBRATION_RISE = 3.0  # points of expected calibration error
MIN_FOR_CALIBRATION = 50  # judge photos, for a calibration error that is more than noise
MIN_UNSEEN = 50  # labelled photos that the model was not trained on, to fit the temperature with


def outputs_on(
    found: Sequence[Variant], photos: Sequence[CompilePhoto], spec: PreprocessSpec, threads: int, step: str,
    progress: ProgressFn = silent,
) -> dict[str, Outputs]:  # fmt: skip
    """Raw outputs [n, k] of every variant, in one pass over the photos: each is decoded and prepared once."""
    engines: dict[str, Engine] = {}
    try:
        for variant in found:
            engines[variant.id] = variant.open(threads)
        return run_all(engines, _told(prepared(photos, spec), len(photos), step, progress))
    finally:
        for engine in engines.values():
            engine.close()


def _told(
    tensors: Iterator[npt.NDArray[Any]], total: int, step: str, progress: ProgressFn
) -> Iterator[npt.NDArray[Any]]:
    done = 0
    for tensor in tensors:
        progress(step, done, total)
        yield tensor
        done += len(tensor)
    progress(step, total, total)


def verdict(
    reference: Outputs, outputs: Outputs, truth: npt.NDArray[np.int64] | None, max_drop: float,
    labels: Sequence[Label], *, max_class_drop: float = MAX_POINTS_LOST, trained_on: bool = False, looks: int = 1,
    scores: tuple[Scores, Scores] | None = None, max_calibration_rise: float = MAX_CALIBRATION_RISE,
    embeddings: bool = False,
) -> Verdict:  # fmt: skip
    """Compare raw outputs [n, k] with float's on the judge photos.

    With labels the metric is top-1, or where the outputs are ``embeddings`` recall@1 among the judge photos that have
    another of their class; without labels, agreement with float (embeddings need labels). Passed: the drop is at most ``max_drop`` points,
    no class loses too much (``evaluate.paired.exceeds``), and the expected calibration error of the best ``scores``
    ([n] of float, [n] of the variant, 0…1), so far as there are ``MIN_FOR_CALIBRATION`` labelled photos, is at most
    ``max_calibration_rise`` points above float's. Proven: the upper end of the drop's interval is within the
    budget as well, and the model was not trained on those photos.

    ``looks``: how many graphs, this one too, have been shown to these photos in search of one that passes. Each is
    another chance to pass by luck, so the interval's confidence is 1 - 0.05 / looks (Bonferroni).
    """
    if embeddings:
        if truth is None:
            raise InputError(
                "embeddings are judged by recall@1, which needs labelled judge photos; give --val with labels"
            )
        asked = has_another(truth)
        right_reference, right = nearest_is_right(reference, truth)[asked], nearest_is_right(outputs, truth)[asked]
        truth = truth[asked]
    else:
        best, best_reference = outputs.argmax(1), reference.argmax(1)
        right_reference = best_reference == truth if truth is not None else np.ones(len(best), bool)
        right = best == (truth if truth is not None else best_reference)
    paired = paired_comparison(right_reference, right, 1 - ERROR_RATE / looks)
    notes = []
    if truth is None:
        notes.append("no labels: the verdict is agreement with the float model, not accuracy")
    if trained_on:
        notes.append("the judge photos were trained on")
    if looks > 1:
        notes.append(f"look {looks} at the judge photos")
    passed = paired.drop <= max_drop + 1e-9
    if truth is not None and (losing := _losing(right_reference, right, truth, labels, max_class_drop)):
        notes.append(losing)
        passed = False
    errors: tuple[float, float] | None = None
    if truth is not None and scores is not None:
        before, after = scores
        errors = expected_calibration_error(before, right_reference), expected_calibration_error(after, right)
        rise = 100 * (errors[1] - errors[0])
        if paired.n >= MIN_FOR_CALIBRATION and rise > max_calibration_rise + 1e-9:
            notes.append(
                f"the scores are {rise:.2f} points further from the truth than float's (calibration error), and "
                f"{max_calibration_rise:g} are allowed"
            )
            passed = False
    low, high = paired.interval
    if passed and high > max_drop and not trained_on:
        notes.append(f"{paired.n} judge photos are too few to be sure of it")
    return Verdict(
        metric="recall@1" if embeddings else "top1" if truth is not None else "agreement",
        n=paired.n, reference=paired.a, value=paired.b, drop=paired.drop, interval=(low, high),
        confidence=paired.confidence, lost=paired.lost, gained=paired.gained, max_drop=max_drop, passed=passed,
        proven=passed and high <= max_drop and not trained_on, note="; ".join(notes),
        max_class_drop=max_class_drop, reference_calibration_error=None if errors is None else errors[0],
        calibration_error=None if errors is None else errors[1],
    )  # fmt: skip


def accuracies(
    outputs: Mapping[str, Outputs], reference: Outputs, truth: npt.NDArray[np.int64] | None
) -> dict[str, float]:
    """The verdict's metric in percent for raw outputs [n, k] by name: top-1, or without labels agreement with float."""
    expected = reference.argmax(1) if truth is None else truth
    return {name: float(100 * np.mean(raw.argmax(1) == expected)) for name, raw in outputs.items()}


def _losing(
    right_reference: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_], truth: npt.NDArray[np.int64],
    labels: Sequence[Label], max_class_drop: float,
) -> str:  # fmt: skip
    """What to say of the class that loses most, where a class loses too much; empty where none does."""
    over = [loss for loss in class_losses(right_reference, right, truth) if loss.exceeds(max_class_drop)]
    if not over:
        return ""
    worst = max(over, key=lambda loss: loss.net / loss.n)
    more = f", and {len(over) - 1} more classes lose too much" if len(over) > 1 else ""
    return f"class {labels[worst.index].name!r} loses {worst.net} of {worst.n} photos{more}"


def fit_unknown(
    outputs: Outputs, photos: Sequence[CompilePhoto], labels: Sequence[Label], output: str, keep: float
) -> tuple[float, float | None, str]:
    """Temperature and unknown-threshold from raw outputs [n, k] on the calibration photos.

    Fitted on photos the model was not trained on where there are enough of them. Returns (temperature, threshold,
    note); without enough labels (1, None, note).
    """
    unseen = [i for i, photo in enumerate(photos) if photo.label is not None and not photo.seen]
    used = unseen if len(unseen) >= MIN_UNSEEN else [i for i, p in enumerate(photos) if p.label is not None]
    if len(used) < MIN_UNSEEN:
        return 1.0, None, f"{len(used)} labelled calibration photos are too few to tell unknown from known"
    truth = labels_of([photos[i] for i in used])
    assert truth is not None
    raw = outputs[used]
    temperature = fit_temperature(*_with_doubt(ClassifyTask(labels, output).log_scores(raw), truth))
    probabilities = ClassifyTask(labels, output, temperature).probabilities(raw)
    right = probabilities.argmax(1) == truth
    threshold = fit_threshold(probabilities.max(1)[right], keep) if right.any() else 0.0
    note = "" if used is unseen else "temperature and threshold were fitted on photos that the model was trained on"
    return temperature, threshold, note


def carry_threshold(threshold: float, reference: npt.NDArray[np.float64], own: npt.NDArray[np.float64]) -> float:
    """The threshold at which a variant draws the line that ``threshold`` draws for the reference.

    ``reference``, ``own``: best scores [n] of the same photos, 0…1. Fitted apart, each variant's threshold would be a
    quantile of few photos, and off by a noise of its own. The variant's scores on the same photos are not: their log
    odds move by nearly one amount near the line, so the line moves by its median over the photos nearest to it.
    """
    if not 0 < threshold < 1:
        return threshold
    line = float(_log_odds(np.array([threshold]))[0])
    before, after = _log_odds(reference), _log_odds(own)
    nearest = np.argsort(np.abs(before - line), kind="stable")[:NEAR_THRESHOLD]
    moved = line + float(np.median((after - before)[nearest]))
    return float(1 / (1 + np.exp(-moved)))


def _log_odds(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    clipped = np.clip(p, 1e-9, 1 - 1e-9)
    return np.asarray(np.log(clipped / (1 - clipped)))


def _with_doubt(
    scores: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Scores [n, k] and truth [n] to fit a temperature to, with one error more.

    Where every answer is right, the likeliest temperature is 0: every score would be 1, and so would the threshold,
    which no new photo reaches; one error that is right by a hair changes little in that. So one error in n + 1 is
    added, as Laplace's rule of succession has it: the photo with the median margin once more, as if its second-best
    class were the true one.
    """
    order = np.argsort(scores, axis=1)
    rows = np.arange(len(truth))
    margin = scores[rows, order[:, -1]] - scores[rows, order[:, -2]]
    typical = int(np.argsort(margin)[len(margin) // 2])
    return np.vstack([scores, scores[typical]]), np.append(truth, order[typical, -2])


def agreement(reference: Outputs, outputs: Outputs) -> float:
    """Share of photos, in percent, on which the best class is the reference's. Raw outputs [n, k] each."""
    return float((outputs.argmax(1) == reference.argmax(1)).mean() * 100)
