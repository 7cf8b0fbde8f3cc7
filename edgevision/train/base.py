"""What a training run teaches, and how well it is learnt: the trainer's part of the task seam.

``trainer`` has the loop, the clock and the state; what depends on the task is asked of a ``Training``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar

from torch import Tensor, nn

from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.base import TaskSpec
from edgevision.train.checkpoint import PhotoPack
from edgevision.train.data import TrainingData
from edgevision.train.progress import EpochScore


class Batch(Protocol):
    """What a loss is computed on."""

    @property
    def images(self) -> Tensor:
        """N×3×S×S float32, channels last, prepared as the spec says."""


AnyBatch = TypeVar("AnyBatch", bound=Batch)


class Training(Protocol[AnyBatch]):
    """A task as it is taught. Made of a run's options, which it reads the photos by."""

    @property
    def data(self) -> TrainingData:
        """The photos."""

    @property
    def spec(self) -> PreprocessSpec:
        """How the network wants its pictures; they are square."""

    @property
    def sizes(self) -> tuple[float, ...]:
        """Sides of the training pictures over the run, as shares of the network's size."""

    @property
    def task(self) -> TaskSpec:
        """What the trained network does."""

    def new_network(self) -> nn.Module:
        """The network before the first step, on the CPU."""

    def kept(self, network: nn.Module) -> nn.Module:
        """The part of the network that the checkpoint holds: without what only training needs."""

    def head_parameters(self, network: nn.Module) -> Iterable[nn.Parameter]:
        """What begins with random weights: learns at ``head_lr``, and alone at first."""

    def set_mode(self, network: nn.Module, *, head_only: bool) -> None:
        """Before a step: which layers learn, and whether batch norms keep their statistics."""

    def rehearse(self, network: nn.Module) -> None:
        """One step that changes nothing. Raises InputError with the option that helps where it cannot work."""

    def make_batch(self, number: int, size: int, progress: float) -> AnyBatch:
        """Batch ``number``, of pictures ``size`` pixels wide and high, at ``progress`` 0…1 of the run. Called in another thread;
        a function of the seed and these numbers alone."""

    def loss(self, network: nn.Module, batch: AnyBatch) -> Tensor:
        """A number to make small."""

    def score(self, network: nn.Module, *, exact: bool = False) -> EpochScore:
        """How well the network does on the ``val`` photos; in float32 where ``exact``, else in the precision it trains in."""

    def score_of(self, metrics: Mapping[str, float]) -> EpochScore:
        """The score that has these metrics: of a run that goes on."""

    def pack(self) -> PhotoPack:
        """Photos for the checkpoint."""

    def fingerprint(self) -> dict[str, Any]:
        """What has to be the same for a run to go on, beside options and photos."""

    def record(self) -> dict[str, Any]:
        """What else the checkpoint's record says."""
