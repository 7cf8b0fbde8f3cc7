"""What every kind of detection head is turned into, before thresholds and non-maximum suppression; and how a head says so.

A *layout* is one way in which a network writes boxes into its outputs. Each has a module in ``layouts``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.tasks.registry import ModelFacts
from edgevision.tensors import Outputs, TensorInfo


@dataclass(frozen=True, eq=False)
class Candidates:
    """Boxes of one picture. ``boxes`` float32 [n, 4] as x1 y1 x2 y2 in pixels of the tensor, continuous (pixel ``i`` covers
    ``i … i + 1``); ``scores`` float32 [n], 0…1; ``classes`` int64 [n], places in the labels."""

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Head:
    """What a decoder is made of: number of ``classes``, ``height`` and ``width`` of the input tensor in pixels, and those of
    the spec's ``parameters`` that belong to the layout."""

    classes: int
    height: int
    width: int
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def allow_parameters(self, layout: str, *names: str) -> None:
        """Raise InputError for parameters that ``layout`` does not have; its own are called ``names``."""
        if unknown := set(self.parameters) - set(names):
            has = f"only {', '.join(names)}" if names else "none"
            raise InputError(f"of parameters of its own, the layout '{layout}' has {has}; got {sorted(unknown)}")


class Decoder(Protocol):
    """Reads one layout. Immutable."""

    @property
    def unique(self) -> bool:
        """Whether each object has one box already, so that nothing is left to suppress."""

    def check(self, outputs: Mapping[str, TensorInfo]) -> None:
        """Raise EngineError, with what was expected, what came and what to do, unless ``outputs`` (by role) have its shapes."""

    def candidates(self, outputs: Outputs, item: int, least_score: float) -> Candidates:
        """The boxes of one item with a score above ``least_score``, from ``outputs`` by role, each [n, …].

        Raises UnreadableOutputError for NaN, and for scores that are none.
        """


class Evidence(IntEnum):
    """What a reading rests on; more is stronger."""

    SHAPES = 1
    NAMES = 2
    METADATA = 3


@dataclass(frozen=True)
class Reading:
    """One way to understand a file's outputs. ``outputs``: role → name in the graph; ``parameters``: the layout's;
    ``text``: the reading in a few words, for the message that lists several."""

    layout: str
    outputs: Mapping[str, str]
    evidence: Evidence
    text: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """A kind of head. ``name``: what ``--output`` calls it. ``make``: a decoder; raises InputError for parameters that do not
    fit. ``recognise``: its reading of a file, or None where the file is no such head. Of a head with several levels, the
    roles end in the level's stride: ``scores_8``."""

    name: str
    make: Callable[[Head], Decoder]
    recognise: Callable[[ModelFacts], Reading | None]
