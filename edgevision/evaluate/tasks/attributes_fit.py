"""What is fitted for a variant: a temperature for each attribute, and the score under which it does not say."""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.evaluate.base import Fit, Truth
from edgevision.evaluate.tasks.attributes_scores import NOT_KNOWN, head_truths
from edgevision.evaluate.tasks.classify_fit import fit_classify
from edgevision.tasks.attributes import AttributesTask
from edgevision.tensors import Outputs


def fit_attributes(
    task: AttributesTask, reference: Outputs, own: Outputs, truth: Sequence[Truth | None],
    in_training_set: Sequence[bool | None], true_accept_rate: float,
) -> Fit:  # fmt: skip
    """``temperatures`` and ``thresholds`` by attribute: each is fitted as a classifier's (``fit_classify``), on the photos where its
    value is known. Attributes that are known of too few photos have neither, and the note names them."""
    known = head_truths(task.heads, [() if one is None else one for one in truth])
    temperatures: dict[str, float] = {}
    thresholds: dict[str, float] = {}
    notes = []
    for column, head in enumerate(task.heads):
        values = [None if place == NOT_KNOWN else place for place in known[:, column].tolist()]
        fit = fit_classify(
            head.task, head.digest(reference), head.digest(own), values, in_training_set, true_accept_rate
        )
        if fit.parameters:
            temperatures[head.name] = fit.parameters["temperature"]
            thresholds[head.name] = fit.parameters["threshold"]
        if fit.note:
            notes.append(f"{head.name}: {fit.note}")
    parameters = {"temperatures": temperatures, "thresholds": thresholds} if temperatures else {}
    return Fit(parameters, "; ".join(notes))
