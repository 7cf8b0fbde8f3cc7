"""Embed: recall@1, each photo looked up among all others of the same set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from edgevision.evaluate.base import (
    Doubt,
    Fit,
    GoldenWorth,
    ImageScores,
    NodeInfo,
    TaskEvaluation,
    TaskEvaluator,
    Truth,
    Truths,
    evaluations_of,
)
from edgevision.evaluate.data.dataset import Dataset
from edgevision.evaluate.page.html import Section
from edgevision.evaluate.statistics.divergence import cosine_distance
from edgevision.evaluate.statistics.paired import MAX_POINTS_LOST, PairedComparison
from edgevision.evaluate.tasks.embed_doubts import embed_doubts
from edgevision.evaluate.tasks.embed_evaluation import EmbedEvaluation, evaluate_embed
from edgevision.evaluate.tasks.embed_losses import ProductLoss, product_losses
from edgevision.evaluate.tasks.embed_page import evaluation_page
from edgevision.evaluate.tasks.embed_scores import EmbedScores, checked, compared, embed_scores, recall
from edgevision.evaluate.tasks.embed_section import embed_sections
from edgevision.evaluate.tasks.embed_truth import GoodAnswers, ShownProduct, good_answers, require_pairs, truths_of
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.base import TaskSpec
from edgevision.tasks.embed import EMBEDDING, OTHER_DEVICE_ANGLE, EmbedTask
from edgevision.tensors import Outputs

GOLDEN_GROUPS = 8  # that photos are parted into, by their vectors
FAR = float(np.cos(2 * OTHER_DEVICE_ANGLE))  # a cosine under which no sound device takes one vector for the other


class EmbedEvaluator:
    """The metric of an embedder: see ``TaskEvaluator`` for every member. A truth is a ``ShownProduct``, or of photos that a
    checkpoint carries a place in the spec's labels.

    Every photo is looked up among all others of the same set: what a photo scores depends on the others' vectors, so a set is
    scored as a whole, and two models are compared on the same set. Raises InputError for a spec that is not an embedder's.

    >>> evaluator = EmbedEvaluator(embed_spec())
    >>> digest = {"embedding": np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]], np.float32)}
    >>> evaluator.value(evaluator.scores(digest, [ShownProduct("tea"), ShownProduct("tea"), ShownProduct("salt")]))
    50.0
    """

    metric = "recall@1"
    unit = "points of recall@1"

    def __init__(self, spec: TaskSpec) -> None:
        self.task = EmbedTask(spec)

    # ---- truth ----

    def truth(self, dataset: Dataset) -> list[ShownProduct | None]:
        """See ``truths_of``: any products, also such that the model was never trained on."""
        return truths_of(dataset)

    def check_truth(self, truth: Truths, source: str) -> None:
        """See ``TruthCheck``: some product has two photos."""
        require_pairs(truth, self.task.spec.labels, source)

    def pseudo_truth(self, digest: Outputs) -> list[GoodAnswers]:
        """See ``good_answers``: the metric is how often another model's nearest photo is among the nearest of this one."""
        return good_answers(np.asarray(digest[EMBEDDING], np.float32))

    def classes(self, truth: Truth) -> tuple[int, ...]:
        """None: an embedder has no classes, so photos are chosen at random. One of each product in turn would leave nothing to find."""
        return ()

    # ---- two models ----

    def divergence(self, reference: Outputs, other: Outputs) -> float:
        """See ``cosine_distance``. Of each photo's own vectors, not of which photos are near: a gallery that float filled may be
        asked by int8."""
        return cosine_distance(np.asarray(reference[EMBEDDING]), np.asarray(other[EMBEDDING]))

    def scores(self, digest: Outputs, truth: Truths) -> EmbedScores:
        """See ``embed_scores``."""
        return embed_scores(self.task, digest, truth)

    def value(self, scores: ImageScores) -> float:
        """Recall@1 in percent, over the photos whose product has another; NaN where there is none."""
        return recall(checked(scores))

    def calibration_error(self, scores: ImageScores) -> None:
        """None: a cosine is no chance. A gallery makes chances of them."""

    def paired(
        self, reference: ImageScores, other: ImageScores, confidence: float = 0.95, seed: int = 0
    ) -> PairedComparison:
        """See ``compared``: Tango's interval, widened for photos that answer for each other. Nothing is drawn, so ``seed`` changes
        nothing."""
        return compared(checked(reference), checked(other), confidence)

    def group_losses(self, reference: ImageScores, other: ImageScores) -> tuple[ProductLoss, ...]:
        """See ``product_losses``."""
        return product_losses(checked(reference), checked(other))

    # ---- compiling ----

    def doubts(self, digest: Outputs, truth: Sequence[Truth | None]) -> tuple[Doubt, ...]:
        """See ``embed_doubts``."""
        return embed_doubts(self.task, digest, truth)

    def fit(
        self, reference: Outputs, own: Outputs, truth: Sequence[Truth | None], in_training_set: Sequence[bool | None],
        true_accept_rate: float,
    ) -> Fit:  # fmt: skip
        """Nothing: which vectors are unknown, each gallery fits for itself."""
        return Fit()

    def float_nodes(self, nodes: Sequence[NodeInfo]) -> frozenset[str]:
        """None: int8 is good enough for every node of an embedder, if it is for the whole."""
        return frozenset()

    def golden_worth(self, digest: Outputs) -> GoldenWorth:
        """Clear: far from the other groups, so that a mix-up shows. Sensitive: far from the mean direction, which even a picture of nothing
        has. Groups are photos whose vectors are near each other."""
        vectors = np.asarray(digest[EMBEDDING], np.float64)
        group = _groups(vectors)
        others = np.where(group[:, None] == group[None], -1.0, vectors @ vectors.T)
        mean = vectors.mean(axis=0)
        along = vectors @ mean / max(float(np.linalg.norm(mean)), 1e-12)
        return GoldenWorth(
            clear=others.max(axis=1) < FAR,
            sensitivity=np.sqrt(np.clip(1.0 - along * along, 0.0, 1.0)),
            group=group,
        )

    def sections(
        self, reference: ImageScores, others: Mapping[str, ImageScores], chosen: str | None = None,
        max_points: float = MAX_POINTS_LOST,
    ) -> tuple[Section, ...]:  # fmt: skip
        """What each product lost, and how variants find each other's vectors."""
        own = {name: checked(scores) for name, scores in others.items()}
        return embed_sections(checked(reference), own, chosen, max_points)

    # ---- edgevision eval ----

    def evaluate(self, name: str, digest: Outputs, truth: Truths, ood: Outputs | None) -> EmbedEvaluation:
        """See ``EmbedEvaluation``."""
        return evaluate_embed(self, self.task, name, digest, truth, ood)

    def page(self, evaluations: Sequence[TaskEvaluation], paired: PairedComparison | None) -> str:
        """See ``evaluation_page``. Raises InputError for evaluations of another task."""
        return evaluation_page(evaluations_of(EmbedEvaluation, "embedders", evaluations), paired)


def _groups(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """int64 [n]: which of some photos that are far from each other is the nearest; at most ``GOLDEN_GROUPS``, and no more than leave none
    far from all of them.

    The first of these is the one farthest from the mean, each next one the farthest from those before (T. Gonzalez, "Clustering to
    minimize the maximum intercluster distance", Theoretical Computer Science 38 (1985) 293-306).
    """
    centres = [int((vectors @ vectors.mean(axis=0)).argmin())]
    nearest = vectors @ vectors[centres[0]]
    while len(centres) < GOLDEN_GROUPS and nearest.min() < FAR:
        centres.append(int(nearest.argmin()))
        nearest = np.maximum(nearest, vectors @ vectors[centres[-1]])
    return np.asarray((vectors @ vectors[centres].T).argmax(axis=1), np.int64)


def make_evaluator(spec: TaskSpec, preprocess: PreprocessSpec | None = None) -> TaskEvaluator:
    """The evaluator of embedders with this spec; how photos are prepared does not matter. Raises InputError for a spec that is not an embedder's."""
    return EmbedEvaluator(spec)
