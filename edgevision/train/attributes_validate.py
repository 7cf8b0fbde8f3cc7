"""How well a network tells attributes while it trains, on photos prepared exactly as at run time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from edgevision.evaluate.tasks.attributes_scores import NOT_KNOWN, AttributesScores, accuracies, mean_accuracy
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.attributes import Head
from edgevision.train.compute import Compute
from edgevision.train.masked_loss import attributes_loss
from edgevision.train.validate import PreparedPhotos

_OF = "accuracy of "  # before an attribute's name, in metrics


@dataclass(frozen=True)
class AttributesScore:
    """``accuracy``: the mean over the attributes, in percent, where they are known; ``heads``: that of each. ``loss``: the mean of their
    cross-entropies in nats."""

    accuracy: float
    loss: float
    heads: Mapping[str, float] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, float]:
        """Every figure by its name."""
        return {"accuracy": self.accuracy, "loss": self.loss, **{f"{_OF}{n}": share for n, share in self.heads.items()}}

    @classmethod
    def of(cls, metrics: Mapping[str, float]) -> AttributesScore:
        """The score that has these metrics."""
        heads = {name.removeprefix(_OF): value for name, value in metrics.items() if name.startswith(_OF)}
        return cls(metrics["accuracy"], metrics["loss"], heads)

    @property
    def headline(self) -> str:
        """The figure that says most."""
        return f"accuracy {self.accuracy:5.2f} %"

    def better_than(self, other: AttributesScore | None) -> bool:
        """A higher mean accuracy; where it is the same, a smaller loss."""
        return other is None or (self.accuracy, -self.loss) > (other.accuracy, -other.loss)


class AttributesValidation:
    """Photos with what is known of them (int64 [n, heads]), prepared when they are first needed."""

    def __init__(
        self, paths: Sequence[Path], values: npt.NDArray[np.int64], spec: PreprocessSpec, heads: Sequence[Head]
    ) -> None:
        self._photos = PreparedPhotos(paths, spec)
        self._values, self._heads = values, heads

    @torch.no_grad()
    def score(self, model: nn.Module, compute: Compute, *, exact: bool = False) -> AttributesScore:
        """Score ``model``; in float32 where ``exact``, else in the precision it trains in."""
        model.eval()
        parts = []
        for images in self._photos:
            with compute.precision(exact=exact):
                parts.append(model(compute.put(images)).float().cpu())
        logits = torch.cat(parts)
        best = np.stack([logits[:, head.columns].argmax(1).numpy() for head in self._heads], axis=1)
        right = (best == self._values) & (self._values != NOT_KNOWN)
        shares = accuracies(AttributesScores(right, np.zeros(right.shape), self._values))
        plain = [torch.ones(len(head.values)) for head in self._heads]
        loss = attributes_loss(logits, torch.from_numpy(self._values), self._heads, plain, 0.0)
        named = {
            head.name: share for head, share in zip(self._heads, shares[0].tolist(), strict=True) if not np.isnan(share)
        }
        return AttributesScore(float(mean_accuracy(shares)[0]), float(loss), named)
