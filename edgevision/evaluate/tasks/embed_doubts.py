"""Do an embedder's vectors make sense at all? Looks at float's own, before anything is compared with them.

A wrong mean or channel order, weights that are no weights, an output before the pooling: all of these give vectors that int8 repeats
faithfully, and that tell no product from another. A weak embedder is no nonsense: one that finds the right product more often than
guessing gives no doubt.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgevision.evaluate.base import Doubt, Truth
from edgevision.evaluate.statistics.chance import balanced_hits
from edgevision.evaluate.tasks.embed_scores import EmbedScores, embed_scores
from edgevision.tasks.embed import EMBEDDING, EmbedTask
from edgevision.tensors import Outputs

LEAST_PHOTOS = 16  # to say anything of the vectors as such
LEAST_PRODUCTS = 2  # with two photos: of one product, any answer is right
SAME = 1e-5  # largest difference of a number between photos: less is rounding
NARROW = (
    1e-3  # mean of 1 - cosine between photos: int8 turns vectors by as much, so that nothing is told apart any more
)
MORE_THAN_CHANCE = 0.01  # as many hits as guessing gives more rarely than this are no guesses
LEAST_SKILL = 0.2  # of the way from guessing to always right: whoever has it is hardly ever taken for guessing
ERROR_RATE = 1e-3  # how rarely


def embed_doubts(task: EmbedTask, digest: Outputs, truth: Sequence[Truth | None]) -> tuple[Doubt, ...]:
    """What is odd about vectors of photos, see ``AnswerCheck.doubts``. Products need not be known of all photos."""
    vectors = np.asarray(digest[EMBEDDING], np.float64)
    return tuple(_narrow(vectors) or _guessing(task, digest, truth))


def _narrow(vectors: npt.NDArray[np.float64]) -> list[Doubt]:
    """Vectors that point in one direction."""
    n = len(vectors)
    if n < LEAST_PHOTOS:
        return []
    if np.ptp(vectors, axis=0).max() <= SAME:
        return [Doubt(f"the vectors are the same for all {n} photos", explained=False)]
    # |Σ v|² = n + n·(n - 1)·(mean cosine of two photos)
    mean_cosine = (float((vectors.sum(axis=0) ** 2).sum()) - n) / (n * (n - 1))
    if 1 - mean_cosine >= NARROW:
        return []
    return [
        Doubt(
            f"the vectors of {n} photos are nearly the same (mean cosine {mean_cosine:.5f}), so that int8 can keep none apart",
            explained=False,
        )
    ]


def _guessing(task: EmbedTask, digest: Outputs, truth: Sequence[Truth | None]) -> list[Doubt]:
    """Nearest photos that show the right product no more often than any photo would."""
    labelled = [place for place, one in enumerate(truth) if one is not None]
    if not labelled:
        return []
    scores = embed_scores(task, {EMBEDDING: digest[EMBEDDING][labelled]}, [truth[place] for place in labelled])
    if not _guesses(scores):
        return []
    judged, right = int(scores.judged.sum()), int((scores.right & scores.judged).sum())
    return [
        Doubt(
            f"the nearest photo shows the right product for {right} of {judged} photos, which is what guessing gives",
            explained=False,
        )
    ]


def _guesses(scores: EmbedScores) -> bool:
    truth, judged = scores.products.truth, scores.judged
    if len(np.unique(truth[judged])) < LEAST_PRODUCTS:
        return False
    counted = balanced_hits(truth[scores.found.first[judged]], truth[judged])
    return not counted.beats_guessing(MORE_THAN_CHANCE) and counted.rules_out(LEAST_SKILL, ERROR_RATE)
