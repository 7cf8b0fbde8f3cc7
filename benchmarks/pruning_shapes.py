"""Smaller forms of a network that ``pruning`` compares: fewer channels, fewer blocks, a smaller picture."""

from __future__ import annotations

import copy
import re
from argparse import ArgumentTypeError
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import nn

from edgevision.compiler.answers import AnswerMeasure
from edgevision.compiler.prune.statistics import outputs_of
from edgevision.train.efficientnet_lite import InvertedResidual

_PARTS = {
    "size": re.compile(r"[1-9]\d{1,3}"),
    "blocks": re.compile(r"([1-9])b"),
    "ratio": re.compile(r"0\.\d+"),
}


@dataclass(frozen=True)
class Shape:
    """``ratio``: share of the channels that go. ``blocks``: how many are left out. ``size``: side of the picture in pixels (None = as it was)."""

    ratio: float = 0.0
    blocks: int = 0
    size: int | None = None

    @classmethod
    def parse(cls, text: str) -> Shape:
        """Of parts joined with "+", each kind at most once.

        >>> Shape.parse("224+2b+0.3")
        Shape(ratio=0.3, blocks=2, size=224)
        >>> str(Shape.parse("0.3+224"))
        '224+0.3'
        """
        found: dict[str, str] = {}
        for part in text.split("+"):
            kind = next((name for name, pattern in _PARTS.items() if pattern.fullmatch(part)), None)
            if kind is None or kind in found:
                raise ArgumentTypeError(f"a shape is such as 0.4, 2b, 224 or 224+2b+0.4, got {text!r}")
            found[kind] = part.rstrip("b")
        size = int(found["size"]) if "size" in found else None
        return cls(float(found.get("ratio", 0)), int(found.get("blocks", 0)), size)

    def __str__(self) -> str:
        """As ``parse`` reads it; "unpruned" for the network as it was."""
        parts = [str(self.size) if self.size else "", f"{self.blocks}b" if self.blocks else ""]
        return "+".join(part for part in (*parts, f"{self.ratio:g}" if self.ratio else "") if part) or "unpruned"

    @property
    def kind(self) -> str:
        """Which of the three it changes."""
        changed = [name for name in ("size", "blocks", "ratio") if getattr(self, name)]
        words = {"size": "resolution", "blocks": "depth", "ratio": "channels"}
        return words[changed[0]] if len(changed) == 1 else "several" if changed else "unpruned"


UNPRUNED = Shape()


def without_blocks(
    network: nn.Module, count: int, photos: npt.NDArray[np.float32], measure: AnswerMeasure
) -> tuple[nn.Module, list[str]]:
    """A copy in which ``count`` blocks give their input, and the names of these: one after the other, the block without which the answers
    for ``photos`` [n, c, h, w] are nearest to the whole network's.

    Only blocks that add to their input can go: what comes after them takes the same shape. Raises ValueError for more than there are.
    """
    smaller = copy.deepcopy(network).eval()
    reference = measure.digest_of_array(outputs_of(network, photos))
    gone: list[str] = []
    for _ in range(count):
        trials = {}
        for name, block in _removable(smaller).items():
            _put(smaller, name, nn.Identity())
            trials[name] = measure.divergence(reference, measure.digest_of_array(outputs_of(smaller, photos)))
            _put(smaller, name, block)
        if not trials:
            raise ValueError(f"{count} blocks were to go, but only {len(gone)} add to their input")
        gone.append(min(trials, key=lambda name: trials[name]))
        _put(smaller, gone[-1], nn.Identity())
    return smaller, gone


def _removable(network: nn.Module) -> dict[str, InvertedResidual]:
    blocks = {name: layer for name, layer in network.named_modules() if isinstance(layer, InvertedResidual)}
    return {name: block for name, block in blocks.items() if block.residual}


def _put(network: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(network.get_submodule(parent), own, layer)
