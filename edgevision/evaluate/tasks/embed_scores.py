"""How an embedder's vectors answer each photo: which other photo is nearest, and whether that is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.evaluate.base import ImageScores, Truths
from edgevision.evaluate.statistics.design_effect import design_effect
from edgevision.evaluate.statistics.paired import PairedComparison, tango_interval
from edgevision.evaluate.statistics.retrieval import Neighbours, neighbours
from edgevision.evaluate.tasks.embed_truth import GoodAnswers, Products, products_of
from edgevision.tasks.embed import EMBEDDING, EmbedTask
from edgevision.tensors import Outputs

Rights = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class EmbedScores:
    """Photo by photo. ``right`` bool [n]: whether the nearest other photo is a right answer. ``judged`` bool [n]: whether there is a right
    answer at all.

    ``products``: what is known of the photos; where nothing is, each is a product of its own, and the answers are held against
    another model's (``agreement``). ``vectors`` float32 [n, d], of length 1.
    """

    right: Rights
    judged: Rights
    found: Neighbours
    products: Products
    vectors: npt.NDArray[np.float32]
    agreement: bool

    def __len__(self) -> int:
        return len(self.right)


def embed_scores(task: EmbedTask, digest: Outputs, truths: Truths) -> EmbedScores:
    """The scores of a digest. ``truths``: one for each photo, all ``GoodAnswers`` or all known products.

    A photo's score depends on all the others: they are what it is looked up among. So scores are compared of the same photos only.
    Raises InputError where truths and digest do not fit together.
    """
    vectors = np.asarray(digest[EMBEDDING], np.float32)
    if len(vectors) != len(truths):
        raise InputError(f"expected a truth for each of {len(vectors)} photos, got {len(truths)}")
    if truths and all(isinstance(one, GoodAnswers) for one in truths):
        return _agreement(vectors, truths)
    products = products_of(truths, task.spec.labels)
    found = neighbours(vectors, products.contents)
    right = (found.first >= 0) & (products.truth[found.first] == products.truth)
    return EmbedScores(np.asarray(right), products.judged, found, products, vectors, False)


def _agreement(vectors: npt.NDArray[np.float32], truths: Truths) -> EmbedScores:
    found, n = neighbours(vectors), len(vectors)
    right = [place in one.photos for place, one in zip(found.first.tolist(), truths, strict=True)]
    judged = [bool(one.photos) for one in truths]
    alone = Products(tuple(f"photo {i + 1}" for i in range(n)), np.arange(n), np.arange(n))
    return EmbedScores(np.array(right, np.bool_), np.array(judged, np.bool_), found, alone, vectors, True)


def checked(scores: ImageScores) -> EmbedScores:
    """``scores``, if they are an embedder's. Raises InputError for those of another task."""
    if not isinstance(scores, EmbedScores):
        raise InputError(f"expected the scores of an embedder, got {type(scores).__name__}")
    return scores


def recall(scores: EmbedScores) -> float:
    """Recall@1 in percent, over the judged photos; NaN where there is none."""
    judged = int(scores.judged.sum())
    return 100.0 * int((scores.right & scores.judged).sum()) / judged if judged else float("nan")


def recall_across(scores: EmbedScores, gallery: EmbedScores) -> float:
    """Recall@1 in percent of photos whose vectors are looked up among ``gallery``'s, another model's of the same photos; NaN where
    no photo is judged. A gallery may be filled on one device and asked on another, which runs another variant of the bundle."""
    same_photos(gallery, scores)
    truth = scores.products.truth
    first = neighbours(scores.vectors, scores.products.contents, gallery.vectors).first
    judged = int(scores.judged.sum())
    right = (first >= 0) & (truth[first] == truth) & scores.judged
    return 100.0 * int(right.sum()) / judged if judged else float("nan")


def same_photos(reference: EmbedScores, other: EmbedScores) -> None:
    """Raise InputError unless both are of the same photos, held against the same truth."""
    a, b = reference.products, other.products
    same = a.names == b.names and np.array_equal(a.truth, b.truth) and np.array_equal(a.contents, b.contents)
    if not same or reference.agreement != other.agreement:
        raise InputError("expected the scores of two models on the same photos, got photos of different products")


def compared(reference: EmbedScores, other: EmbedScores, confidence: float) -> PairedComparison:
    """What ``other`` lost on the judged photos, with Tango's interval, which is widened by how much photos that answer for each
    other say less than independent ones (``loss_design_effect``).

    Raises InputError for scores of different photos, and where no photo is judged.
    """
    same_photos(reference, other)
    judged = reference.judged & other.judged
    n = int(judged.sum())
    if not n:
        raise InputError(
            f"none of {len(reference)} photos has another of its product, so that nothing can be looked up; give 2 photos or more "
            "of each product"
        )
    before, after = reference.right[judged], other.right[judged]
    lost, gained = int((before & ~after).sum()), int((~before & after).sum())
    effect = loss_design_effect(reference, other)
    low, high = tango_interval(lost / effect, gained / effect, n / effect, confidence)
    return PairedComparison(
        n=n, reference=100.0 * int(before.sum()) / n, value=100.0 * int(after.sum()) / n, drop=100.0 * (lost - gained) / n,
        lost=lost, gained=gained, interval=(100.0 * low, 100.0 * high), confidence=confidence,
    )  # fmt: skip


def loss_design_effect(reference: EmbedScores, other: EmbedScores) -> float:
    """The design effect of the judged photos' losses: a photo depends on itself and on what answered it in either model."""
    judged = reference.judged & other.judged
    contents = reference.products.contents
    answers = [np.where(one.found.first >= 0, contents[one.found.first], -1) for one in (reference, other)]
    lost = reference.right.astype(np.float64) - other.right.astype(np.float64)
    return design_effect(lost[judged], np.stack([contents, *answers], axis=1)[judged])
