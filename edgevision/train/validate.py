"""Validating a network while it trains, on photos prepared exactly as at run time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

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

    @property
    def metrics(self) -> dict[str, float]:
        """Every figure by its name."""
        return asdict(self)

    @property
    def headline(self) -> str:
        """The figure that says most."""
        return f"top-1 {self.top1:5.2f} %"

    def better_than(self, other: Score | None) -> bool:
        """More right answers; where they are as many, the smaller loss."""
        return other is None or (self.top1, -self.loss) > (other.top1, -other.loss)


class Validation:
    """Photos with their classes, prepared when they are first needed."""

    def __init__(self, dataset: Dataset, spec: PreprocessSpec) -> None:
        self._truth = torch.from_numpy(dataset.truth)
        self._photos = PreparedPhotos(dataset.paths, spec)

    @torch.no_grad()
    def score(self, model: nn.Module, compute: Compute, *, exact: bool = False) -> Score:
        """Score ``model``; in float32 where ``exact``, else in the precision it trains in."""
        model.eval()
        right1 = right5 = 0
        loss = 0.0
        done = 0
        for images in self._photos:
            wanted = self._truth[done : done + len(images)]
            done += len(images)
            with compute.precision(exact=exact):
                logits = model(compute.put(images)).float().cpu()
            best = logits.topk(min(5, logits.shape[1]), 1).indices == wanted[:, None]
            right1 += int(best[:, 0].sum())
            right5 += int(best.sum())
            loss += float(functional.cross_entropy(logits, wanted, reduction="sum"))
        return Score(100 * right1 / done, 100 * right5 / done, loss / done)


class PreparedPhotos:
    """Photos in batches N×3×H×W float32, prepared as at run time; with ``keep``, as many as fit into 512 MiB stay in memory."""

    def __init__(self, paths: Sequence[Path], spec: PreprocessSpec, *, keep: bool = True) -> None:
        self._paths, self._spec = paths, spec
        self._preprocess = Preprocessor(spec)
        self._room = _KEPT_BYTES if keep else 0
        self._kept: dict[int, Tensor] = {}

    def __iter__(self) -> Iterator[Tensor]:
        for start in range(0, len(self._paths), _BATCH):
            yield self._images(start)

    def _images(self, start: int) -> Tensor:
        if start in self._kept:
            return self._kept[start]
        paths = self._paths[start : start + _BATCH]
        prepared = np.empty((len(paths), *self._spec.tensor_shape), np.float32)
        for item, path in zip(prepared, paths, strict=True):
            self._preprocess.run(Frame.from_array(read_image(path)), item)
        images = torch.from_numpy(prepared)
        if prepared.nbytes <= self._room:
            self._kept[start] = images
            self._room -= prepared.nbytes
        return images
