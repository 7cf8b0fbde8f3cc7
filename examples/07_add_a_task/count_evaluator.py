"""The task `count`, its half for the tools: how two models that count are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from count_task import BRIGHT, LEVELS, CountTask

from edgevision.errors import DataError
from edgevision.evaluate.base import Fit, GoldenWorth, NodeInfo
from edgevision.evaluate.data.dataset import Dataset
from edgevision.evaluate.page.html import Section, Table, html_page
from edgevision.evaluate.statistics.paired import (
    MAX_POINTS_LOST,
    ClassLoss,
    PairedComparison,
    class_losses,
    paired_comparison,
)
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.base import TaskSpec
from edgevision.tensors import Outputs

NEAR = 0.05  # an answer is right when every level is as near to the truth as this

# The truth of a photo: its levels, in the order of the labels. A tuple, because a truth can be hashed.
Levels = tuple[float, ...]


@dataclass(frozen=True, eq=False)
class CountScores:
    """Photo by photo: ``right`` bool [n]; ``error`` [n], that of the worst level; ``strongest`` [n], a place in the labels."""

    right: npt.NDArray[np.bool_]
    error: npt.NDArray[np.float64]
    strongest: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.right)


class CountEvaluator:
    """See ``TaskEvaluator`` for every member."""

    metric = "near"
    unit = f"points of photos within {NEAR:g}"

    def __init__(self, spec: TaskSpec, preprocess: PreprocessSpec | None = None) -> None:
        self.task = CountTask(spec)

    # ---- truth ----

    def truth(self, dataset: Dataset) -> list[Levels | None]:
        """The numbers in the text file beside each photo (``tray.png`` → ``tray.txt``); None where there is none."""
        found: list[Levels | None] = []
        for photo in dataset.photos:
            file = photo.path.with_suffix(".txt")
            if not file.is_file():
                found.append(None)
                continue
            try:
                levels = tuple(float(word) for word in file.read_text("utf-8").split())
            except ValueError as error:
                raise DataError(f"expected numbers in {file}: {error}") from None
            if len(levels) != len(self.task.spec.labels):
                raise DataError(f"expected {len(self.task.spec.labels)} numbers in {file}, got {len(levels)}")
            found.append(levels)
        return found

    def pseudo_truth(self, digest: Outputs) -> list[Levels]:
        """A model's own levels, in place of the truth."""
        return [tuple(row) for row in digest[LEVELS].tolist()]

    def classes(self, truth: Levels) -> tuple[int, ...]:
        """The strongest colour."""
        return (int(np.argmax(truth)),)

    # ---- two models ----

    def divergence(self, reference: Outputs, other: Outputs) -> float:
        """Mean distance of all numbers."""
        return float(np.mean([np.abs(reference[role] - other[role]).mean() for role in (LEVELS, BRIGHT)]))

    def scores(self, digest: Outputs, truth: Sequence[Levels]) -> CountScores:
        """How far each photo's answer is from its truth."""
        expected = np.array(truth, np.float64)
        error = np.abs(digest[LEVELS] - expected).max(axis=1)
        return CountScores(error <= NEAR, error, expected.argmax(axis=1))

    def value(self, scores: CountScores) -> float:
        """Percent of photos that are answered rightly."""
        return float(100 * scores.right.mean())

    def calibration_error(self, scores: CountScores) -> None:
        """None: levels are no chances, so there is nothing to calibrate."""

    def paired(
        self, reference: CountScores, other: CountScores, confidence: float = 0.95, seed: int = 0
    ) -> PairedComparison:
        """Right and wrong on the same photos: Tango's interval, as classifiers have it. ``seed`` changes nothing."""
        return paired_comparison(reference.right, other.right, confidence)

    def group_losses(self, reference: CountScores, other: CountScores) -> tuple[ClassLoss, ...]:
        """What the photos of each strongest colour lost."""
        return class_losses(reference.right, other.right, reference.strongest, self.task.spec.labels)

    # ---- compiling ----

    def fit(
        self, reference: Outputs, own: Outputs, truth: Sequence[Levels | None], in_training_set: Sequence[bool | None],
        true_accept_rate: float,
    ) -> Fit:  # fmt: skip
        """``bright_from`` moves as far as the variant's numbers have moved from float's, so that both draw one line."""
        moved = float(np.median(own[BRIGHT] - reference[BRIGHT]))
        return Fit({"bright_from": float(np.clip(self.task.bright_from + moved, 0.0, 1.0))})

    def float_nodes(self, nodes: Sequence[NodeInfo]) -> frozenset[str]:
        """The node that gives ``bright``: it costs nothing, and a step of int8 there is a step of the answer."""
        name = self.task.spec.output(BRIGHT).name
        return frozenset(node.name for node in nodes if name in node.outputs)

    def golden_worth(self, digest: Outputs) -> GoldenWorth:
        """Clear: the light is on or off beyond doubt. Every photo is as sensitive as any other."""
        return GoldenWorth(
            clear=np.abs(digest[BRIGHT][:, 0] - self.task.bright_from) > 0.1,
            sensitivity=np.ones(len(digest[LEVELS])),
            group=digest[LEVELS].argmax(axis=1).astype(np.int64),
        )

    def sections(
        self, reference: CountScores, others: Mapping[str, CountScores], chosen: str | None = None,
        max_points: float = MAX_POINTS_LOST,
    ) -> tuple[Section, ...]:  # fmt: skip
        """One table: the mean and the worst error of float and of each variant."""
        named = {"float": reference, **others}
        rows = tuple((name, float(s.error.mean()), float(s.error.max())) for name, s in named.items())
        return (Section("Levels", (Table(("variant", "mean error", "worst error"), rows, digits=4),)),)

    # ---- edgevision eval ----

    def evaluate(self, name: str, digest: Outputs, truth: Sequence[Levels], ood: Outputs | None) -> CountEvaluation:
        """See ``CountEvaluation``. What a model does not know (``ood``) has no meaning here."""
        return CountEvaluation(name, self, self.scores(digest, truth))

    def page(self, evaluations: Sequence[CountEvaluation], paired: PairedComparison | None) -> str:
        """One table, models side by side."""
        columns = ("metric", *(one.name for one in evaluations))
        rows = tuple((metric, *values) for metric, *values in _side_by_side(evaluations))
        return html_page("Levels", [Section("Metrics", (Table(columns, rows),))])


@dataclass(frozen=True, eq=False)
class CountEvaluation:
    """One model on one data set."""

    name: str
    evaluator: CountEvaluator
    scores: CountScores

    def rows(self) -> list[tuple[str, str]]:
        """See ``TaskEvaluation``."""
        return [
            ("photos", str(len(self.scores))),
            (f"within {NEAR:g}", f"{100 * self.scores.right.mean():.2f} %"),
            ("mean error", f"{self.scores.error.mean():.4f}"),
        ]

    def tables(self) -> list[tuple[str, Sequence[str], Sequence[Sequence[str]]]]:
        """See ``TaskEvaluation``: none."""
        return []

    def to_dict(self) -> dict[str, Any]:
        """See ``TaskEvaluation``."""
        return {"model": self.name, **dict(self.rows())}


def _side_by_side(evaluations: Sequence[CountEvaluation]) -> list[tuple[str, ...]]:
    columns = [dict(one.rows()) for one in evaluations]
    return [(metric, *(column[metric] for column in columns)) for metric in columns[0]]
