"""Outputs of variants over photos, and the verdict on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.bundle.manifest import Verdict
from edgevision.compiler.measure import Way, run_all
from edgevision.compiler.options import ProgressFn, silent
from edgevision.compiler.photos import CompilePhoto, labels_of, prepared
from edgevision.evaluate.paired import paired_comparison
from edgevision.evaluate.unknown import fit_temperature, fit_threshold
from edgevision.preprocess import PreprocessSpec
from edgevision.tasks.classify import ClassifyTask
from edgevision.tasks.results import Label

Outputs = npt.NDArray[np.float32]
MIN_UNSEEN = 50  # labelled photos that the model was not trained on, to fit the temperature with


def outputs_on(
    found: Sequence[Way], photos: Sequence[CompilePhoto], spec: PreprocessSpec, threads: int, step: str,
    progress: ProgressFn = silent,
) -> dict[str, Outputs]:  # fmt: skip
    """Raw outputs [n, k] of every variant, in one pass over the photos: each is decoded and prepared once."""
    engines = {way.id: way.open(threads) for way in found}
    collected: dict[str, list[Outputs]] = {way.id: [] for way in found}
    try:
        run_all(engines, _told(prepared(photos, spec), len(photos), step, progress), collected)
    finally:
        for engine in engines.values():
            engine.close()
    return {name: np.stack(rows) for name, rows in collected.items()}


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
    trained_on: bool = False,
) -> Verdict:  # fmt: skip
    """Compare raw outputs [n, k] with float's on the judge photos.

    With labels the metric is top-1; without, agreement with float. Passed: the drop is at most ``max_drop`` points.
    Proven: its interval's upper end is as well, and the model was not trained on those photos.
    """
    best, best_reference = outputs.argmax(1), reference.argmax(1)
    right_reference = best_reference == truth if truth is not None else np.ones(len(best), bool)
    right = best == (truth if truth is not None else best_reference)
    paired = paired_comparison(right_reference, right)
    notes = []
    if truth is None:
        notes.append("no labels: the verdict is agreement with the float model, not accuracy")
    if trained_on:
        notes.append("the judge photos were trained on")
    passed = paired.drop <= max_drop + 1e-9
    low, high = paired.interval
    if passed and high > max_drop and not trained_on:
        notes.append(f"{paired.n} judge photos are too few to be sure of it")
    return Verdict(
        metric="top1" if truth is not None else "agreement",
        n=paired.n, reference=paired.a, value=paired.b, drop=paired.drop, interval=(low, high), confidence=0.95,
        lost=paired.lost, gained=paired.gained, max_drop=max_drop, passed=passed,
        proven=passed and high <= max_drop and not trained_on, note="; ".join(notes),
    )  # fmt: skip


def fit_unknown(
    outputs: Outputs, photos: Sequence[CompilePhoto], labels: Sequence[Label], output: str, keep: float
) -> tuple[float, float, str]:
    """Temperature and unknown-threshold from raw outputs [n, k] on the calibration photos.

    Fitted on photos the model was not trained on where there are enough of them. Returns (temperature, threshold,
    note); without labels (1, 0, note): everything is "known".
    """
    unseen = [i for i, photo in enumerate(photos) if photo.label is not None and not photo.seen]
    used = unseen if len(unseen) >= MIN_UNSEEN else [i for i, p in enumerate(photos) if p.label is not None]
    if len(used) < MIN_UNSEEN:
        return 1.0, 0.0, f"{len(used)} labelled calibration photos are too few to tell unknown from known"
    truth = labels_of([photos[i] for i in used])
    assert truth is not None
    raw = outputs[used].astype(np.float64)
    logits = raw if output == "logits" else np.log(np.clip(raw, 1e-12, None))
    temperature = fit_temperature(*_with_doubt(logits, truth))
    task = ClassifyTask(labels, output, temperature, 0.0)
    probabilities = task.probabilities(raw)
    right = probabilities.argmax(1) == truth
    threshold = fit_threshold(probabilities.max(1)[right], keep) if right.any() else 0.0
    note = "" if used is unseen else "temperature and threshold were fitted on photos that the model was trained on"
    return temperature, threshold, note


def _with_doubt(
    logits: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Logits [n, k] and truth [n] to fit a temperature to, with an error among them.

    Where every answer is right, the likeliest temperature is 0: every score would be 1, and so would the threshold,
    which no new photo reaches. One error in n + 1 is assumed instead, as Laplace's rule of succession has it: the
    photo with the median margin once more, as if its second-best class were the true one.
    """
    order = np.argsort(logits, axis=1)
    if len(truth) == 0 or (order[:, -1] != truth).any():
        return logits, truth
    rows = np.arange(len(truth))
    margin = logits[rows, order[:, -1]] - logits[rows, order[:, -2]]
    typical = int(np.argsort(margin)[len(margin) // 2])
    return np.vstack([logits, logits[typical]]), np.append(truth, order[typical, -2])


def agreement(reference: Outputs, outputs: Outputs) -> float:
    """Share of photos, in percent, on which the best class is the reference's. Raw outputs [n, k] each."""
    return float((outputs.argmax(1) == reference.argmax(1)).mean() * 100)
