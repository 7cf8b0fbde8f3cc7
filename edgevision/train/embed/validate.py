"""Validating an embedder while it trains: each photo asks which other photo is most like it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from edgevision.evaluate.data.dataset import Dataset
from edgevision.evaluate.statistics.retrieval import has_another, nearest_is_right
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.train.compute import Compute
from edgevision.train.validate import PreparedPhotos

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RecallScore:
    """Recall@1 in percent: of the photos that have another one of their product, how many are most like such a one.

    ``unseen_recall1``: of the products that are not trained on; None where there are none. ``margin``: how much nearer, as a cosine, the
    own product's nearest photo is than any other's, on average.
    """

    recall1: float
    margin: float
    unseen_recall1: float | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """Every figure by its name; without ``unseen_recall1`` where there is none."""
        known = {"recall1": self.recall1, "margin": self.margin}
        return known if self.unseen_recall1 is None else {**known, "unseen_recall1": self.unseen_recall1}

    @property
    def headline(self) -> str:
        """The figures that say most."""
        text = f"recall@1 {self.recall1:5.2f} %"
        return text if self.unseen_recall1 is None else f"{text}  of unseen products {self.unseen_recall1:5.2f} %"

    def better_than(self, other: RecallScore | None) -> bool:
        """More products found again, unseen ones where there are some; where they are as many, the larger margin."""
        return other is None or self._rank > other._rank

    @property
    def _rank(self) -> tuple[float, float]:
        main = self.recall1 if self.unseen_recall1 is None else self.unseen_recall1
        return main, self.margin

    @classmethod
    def from_metrics(cls, metrics: Mapping[str, float]) -> RecallScore:
        """The score that has these ``metrics``."""
        return cls(**metrics)


class RecallValidation:
    """Photos with their products, prepared when they are first needed. ``seen`` bool [classes]: which are trained on."""

    def __init__(self, dataset: Dataset, seen: BoolArray, spec: PreprocessSpec) -> None:
        self._truth, self._is_unseen = dataset.truth, ~seen[dataset.truth]
        self._photos = PreparedPhotos(dataset.paths, spec)

    @torch.no_grad()
    def score(self, network: nn.Module, compute: Compute, *, exact: bool = False) -> RecallScore:
        """Score ``network``, which gives [n, d]; in float32 where ``exact``, else in the precision it trains in."""
        network.eval()
        parts = []
        for images in self._photos:
            with compute.precision(exact=exact):
                parts.append(functional.normalize(network(compute.put(images)).float()).cpu())
        return leave_one_out(torch.cat(parts).numpy(), self._truth, self._is_unseen)


def leave_one_out(vectors: FloatArray, truth: npt.NDArray[np.int64], is_unseen: BoolArray) -> RecallScore:
    """The score of unit ``vectors`` [n, d] whose products are ``truth`` [n]; ``is_unseen`` [n]: not trained on.

    A photo that is the only one of its product asks nothing, but may be a wrong answer. All figures are 0 where every
    photo is the only one.
    """
    asks = has_another(truth)
    if not asks.any():
        return RecallScore(0.0, 0.0)
    right, unseen = nearest_is_right(vectors, truth), asks & is_unseen
    return RecallScore(
        recall1=_percent(right[asks]),
        margin=float(_margins(vectors, truth)[asks].mean()),
        unseen_recall1=_percent(right[unseen]) if unseen.any() else None,
    )


def _margins(vectors: FloatArray, truth: npt.NDArray[np.int64]) -> FloatArray:
    """Of each photo, how much nearer the nearest of its own product is than that of any other: at most 2, where there is none."""
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    same = truth[:, None] == truth
    own = np.where(same, cosines, -np.inf).max(1)
    foreign = np.where(same, -2.0, cosines).max(1)
    return np.asarray(np.minimum(own - foreign, 2.0))


def _percent(right: BoolArray) -> float:
    return 100 * float(right.mean())
