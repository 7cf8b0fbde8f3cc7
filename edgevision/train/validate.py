"""Validating a network while it trains, on photos prepared exactly as at run time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgevision.decode import read_image
from edgevision.evaluate.data.dataset import Dataset
from edgevision.frames import Frame
from edgevision.preprocess import Preprocessor, PreprocessSpec
from edgevision.train.compute import Compute

_KEPT_BYTES = 512 << 20  # prepared photos are kept up to this size: they are the same each epoch
_BATCH = 32


@dataclass(frozen=True)
class Score:
    """``top1`` and ``top5`` in percent, ``loss`` = mean cross-entropy in nats."""

    top1: float
    top5: float
    loss: float

    def better_than(self, other: Score | None) -> bool:
        """More right answers; where they are as many, the smaller loss."""
        return other is None or (self.top1, -self.loss) > (other.top1, -other.loss)


class Validation:
    """Photos with their classes, prepared when they are first needed."""

    def __init__(self, dataset: Dataset, spec: PreprocessSpec) -> None:
        self._dataset, self._spec = dataset, spec
        self._preprocess = Preprocessor(spec)
        item_bytes = int(np.prod(spec.tensor_shape)) * 4
        self._keep = item_bytes * len(dataset) <= _KEPT_BYTES
        self._kept: dict[int, Tensor] = {}

    @torch.no_grad()
    def score(self, model: nn.Module, compute: Compute, *, exact: bool = False) -> Score:
        """Score ``model``; in float32 where ``exact``, else in the precision it trains in."""
        model.eval()
        right1 = right5 = 0
        loss = 0.0
        truth = torch.from_numpy(self._dataset.truth)
        for start in range(0, len(truth), _BATCH):
            images, wanted = self._images(start), truth[start : start + _BATCH]
            with compute.precision(exact=exact):
                logits = model(compute.put(images)).float().cpu()
            best = logits.topk(min(5, logits.shape[1]), 1).indices == wanted[:, None]
            right1 += int(best[:, 0].sum())
            right5 += int(best.sum())
            loss += float(functional.cross_entropy(logits, wanted, reduction="sum"))
        n = len(truth)
        return Score(100 * right1 / n, 100 * right5 / n, loss / n)

    def _images(self, start: int) -> Tensor:
        if start not in self._kept:
            paths = self._dataset.paths[start : start + _BATCH]
            prepared = np.empty((len(paths), *self._spec.tensor_shape), np.float32)
            for item, path in zip(prepared, paths, strict=True):
                self._preprocess.run(Frame.from_array(read_image(path)), item)
            images = torch.from_numpy(prepared)
            if not self._keep:
                return images
            self._kept[start] = images
        return self._kept[start]
