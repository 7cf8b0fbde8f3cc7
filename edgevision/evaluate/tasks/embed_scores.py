"""How an embedder's vectors answer each photo: which other photo is nearest, and whether that is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.evaluate.base import ImageScores, Truths
from edgevision.evaluate.statistics.design_effect import Change, Photos, design_effect
from edgevision.evaluate.statistics.paired import PairedComparison, tango_interval
from edgevision.evaluate.statistics.retrieval import Neighbours, Places, neighbours, others_of
from edgevision.evaluate.tasks.embed_truth import GoodAnswers, Products, products_of
from edgevision.tasks.embed import EMBEDDING, EmbedTask
from edgevision.tensors import Outputs

Rights = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class EmbedScores:
    """Photo by photo. ``right`` bool [n]: whether the nearest other photo is a right answer; ``next_right``: whether the one after it
    would be, were that photo not there. ``judged`` bool [n]: whether there is a right answer at all.

    ``products``: what is known of the photos; where nothing is, each is a product of its own, and the answers are held against
    another model's (``agreement``). ``vectors`` float32 [n, d], of length 1.
    """

    right: Rights
    next_right: Rights
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

    def right(places: Places) -> Rights:
        return np.asarray((places >= 0) & (products.truth[places] == products.truth))

    return EmbedScores(right(found.first), right(found.second), products.judged, found, products, vectors, False)


def _agreement(vectors: npt.NDArray[np.float32], truths: Truths) -> EmbedScores:
    found, n = neighbours(vectors), len(vectors)

    def right(places: Places) -> Rights:
        return np.array([place in one.photos for place, one in zip(places.tolist(), truths, strict=True)], np.bool_)

    alone = Products(tuple(f"photo {i + 1}" for i in range(n)), np.arange(n), np.arange(n))
    judged = np.array([bool(one.photos) for one in truths], np.bool_)
    return EmbedScores(right(found.first), right(found.second), judged, found, alone, vectors, True)


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
    other say less than independent ones: the largest design effect of the two recalls and their difference, at least 1.

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
    effect = joint_design_effect(reference, other, judged)
    low, high = tango_interval(lost / effect, gained / effect, n / effect, confidence)
    return PairedComparison(
        n=n, reference=100.0 * int(before.sum()) / n, value=100.0 * int(after.sum()) / n, drop=100.0 * (lost - gained) / n,
        lost=lost, gained=gained, interval=(100.0 * low, 100.0 * high), confidence=confidence,
    )  # fmt: skip


def joint_design_effect(reference: EmbedScores, other: EmbedScores, judged: Rights) -> float:
    """See ``compared``; at least 1, and never so large that less than one photo is left."""
    photos = _photos(reference, judged)
    own = [(one.right[judged].astype(np.float64), _change(one, judged)) for one in (reference, other)]
    (before, without_before), (after, without_after) = own
    effects = [design_effect(right, [change], photos) for right, change in own]
    loss = [without_before, Change(without_after.without, -without_after.gain)]
    effects.append(design_effect(before - after, loss, photos))
    return min(max(1.0, *effects), float(judged.sum()))


def _change(scores: EmbedScores, judged: Rights) -> Change:
    """What the judged photos' being right gains without the photo that answers them."""
    first = scores.found.first[judged]
    gain = scores.next_right[judged].astype(np.float64) - scores.right[judged].astype(np.float64)
    return Change(np.where(first >= 0, scores.products.contents[first], -1), gain)


def _photos(scores: EmbedScores, judged: Rights) -> Photos:
    truth, contents = scores.products.truth, scores.products.contents
    only_other = np.full(len(scores), -1, np.int64)
    for place in np.flatnonzero(others_of(truth, contents) == 1).tolist():
        partner = (truth == truth[place]) & (contents != contents[place])
        only_other[place] = contents[partner][0]
    return Photos(contents[judged], only_other[judged], int(contents.max()) + 1)
