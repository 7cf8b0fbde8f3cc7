"""Pruning: a network with fewer channels, by trial of several ways to choose them.

``Pruner`` traces a network once, and then cuts it to any ratio. ``prune`` takes all steps: for each importance, cut, let
the channels left make up for the others, estimate batch norms anew, compare with the original; keep the one that
diverges least, and fine-tune it where the caller gives the means. ``search.search_ratio`` finds the ratio for a
latency.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edgevision.compiler.answers import AnswerMeasure
from edgevision.compiler.progress import silent
from edgevision.compiler.prune.cut import Gone, Price, channels_to_go, check_cut, cut, kept_in_norms
from edgevision.compiler.prune.groups import find_groups, modular_copy
from edgevision.compiler.prune.importance import IMPORTANCES, Ranking, rank
from edgevision.compiler.prune.norms import (
    NormInput,
    count_macs,
    count_parameters,
    macs_per_channel,
    norm_inputs,
    reestimate_norms,
)
from edgevision.compiler.prune.statistics import (
    InputStatistics,
    Photos,
    consumer_names,
    input_statistics,
    loss_shares,
    outputs_of,
)
from edgevision.errors import InputError
from edgevision.tensors import Outputs
from edgevision.train.channels import Channels, channel_counts

MAX_RATIO = 0.95
_HELD_OUT = 4  # every fourth photo compares, the others are learnt from

Labels = npt.NDArray[np.int64]
Progress = Callable[[str, int, int], None]  # step, done, total
Tune = Callable[[nn.Module, int, int], nn.Module]  # (network, step from 0, steps) → the same network, trained on


@dataclass(frozen=True)
class PruneOptions:
    """``ratio``: share of the channels of all prunable convolutions and linear layers that go, 0…0.95.

    ``multiple`` of channels that a pruned layer keeps: engines work on 8 or 16 at once. ``max_layer_ratio``: no layer
    loses a larger share of its channels. ``importances`` are tried one after the other, and ``prices``: a channel's harm
    is weighed by the channels or by the multiply-adds that go with it. ``make_up``: the channels left take over from
    those that go. ``steps`` of cutting and tuning. ``seed``: the same seed and photos give the same network.
    """

    ratio: float
    multiple: int = 8
    max_layer_ratio: float = 0.8
    importances: tuple[str, ...] = IMPORTANCES
    prices: tuple[Price, ...] = ("channels",)
    make_up: bool = True
    steps: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.ratio <= MAX_RATIO:
            raise InputError(f"the ratio to prune is within 0…{MAX_RATIO:g}, got {self.ratio:g}")
        if not 0 < self.max_layer_ratio < 1:
            raise InputError(f"max_layer_ratio is within 0…1, both excluded, got {self.max_layer_ratio:g}")
        if self.multiple < 1 or self.steps < 1:
            raise InputError(f"multiple and steps are at least 1, got {self.multiple} and {self.steps}")
        if not self.importances or set(self.importances) - set(IMPORTANCES):
            raise InputError(f"importances are some of {', '.join(IMPORTANCES)}, got {self.importances}")
        if not self.prices or set(self.prices) - {"channels", "macs"}:
            raise InputError(f"prices are 'channels', 'macs' or both, got {self.prices}")


@dataclass(frozen=True)
class PruneTrial:
    """One way to cut, and what it did. Ratios are of the original's channels; ``macs`` for one photo.

    ``divergence`` is that of the answers from the original's on calibration photos that nothing was learnt from,
    ``agreement`` the share of them with the same answer, ``accuracy`` the share that is right (None without
    labels); ``divergence_before`` is that before batch norms were estimated anew, the others after it.
    """

    ratio: float
    reached: float
    importance: str
    price: str
    parameters: int
    macs: int
    divergence_before: float
    divergence: float
    agreement: float
    accuracy: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class PruneResult:
    """The ``network`` in eval mode and its ``channels``; ``chosen`` is the trial that it comes from.

    ``original`` are parameters, macs, and accuracy on the photos compared. ``trials`` are those of all steps.
    ``tuned``: the same figures after fine-tuning, which may have learnt from the photos compared; None without.
    """

    network: nn.Module
    channels: Channels
    chosen: PruneTrial
    trials: tuple[PruneTrial, ...]
    original: Mapping[str, Any]
    tuned: PruneTrial | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a report; the network left out."""
        return {
            "chosen": self.chosen.to_dict(),
            "tuned": self.tuned and self.tuned.to_dict(),
            "trials": [trial.to_dict() for trial in self.trials],
            "original": dict(self.original),
            "channels": {name: list(counts) for name, counts in self.channels.items()},
        }


class Pruner:
    """A network traced and measured, ready to be cut.

    Args:
        network: a classifier that gives logits, in eval mode; left as it is.
        photos: calibration photos, prepared: [n, c, h, w] float32, at least 2. Every fourth only compares.
        measure: of the network's task.
        labels: their classes, int64 [n], or None.
        options: of which ``ratio`` matters to ``prune`` alone.
        original: what ``network`` was before any pruning, which shares of channels and divergences refer to; None =
            ``network`` itself.
        progress: called with (step, done, total).

    Raises InputError where the network cannot be pruned, MissingExtraError without torch-pruning.
    """

    def __init__(
        self,
        network: nn.Module,
        photos: Photos,
        measure: AnswerMeasure,
        labels: Labels | None = None,
        *,
        options: PruneOptions,
        original: nn.Module | None = None,
        progress: Progress = silent,
    ) -> None:
        _check_photos(photos, labels)
        if not isinstance(network, nn.Module) or isinstance(network, torch.jit.ScriptModule):
            raise InputError(
                "only a network of PyTorch layers can be pruned: a checkpoint, or a state dict with --arch"
            )
        self.options, self.progress, self._measure = options, progress, measure
        self.network = network.eval()
        self._original = network if original is None else original.eval()
        self._twin = modular_copy(network)
        held = np.arange(len(photos)) % _HELD_OUT == min(_HELD_OUT, len(photos)) - 1
        self._learn, self._compare = photos[~held], photos[held]
        self._learn_labels = None if labels is None else labels[~held]
        self._compare_labels = None if labels is None else labels[held]
        self._example = torch.from_numpy(np.ascontiguousarray(self._compare[:2]))
        progress("trace channels", 0, 1)
        self.groups = find_groups(self._twin, self._example)
        progress("trace channels", 1, 1)
        self._weights = [group.weight(self._twin) for group in self.groups]
        own = channel_counts(network)
        full = channel_counts(self._original)
        self.channels_now = sum(w * g.size for w, g in zip(self._weights, self.groups, strict=True))
        sizes = [_original_size(full, own, g.name, g.size) for g in self.groups]
        self.channels_at_first = sum(w * n for w, n in zip(self._weights, sizes, strict=True))
        self._least = [int(np.ceil(n * (1 - options.max_layer_ratio))) for n in sizes]
        self._rankings: dict[str, list[Ranking]] = {}
        self._check()

    def gone(self, ratio: float, importance: str, price: Price = "channels") -> dict[int, npt.NDArray[np.int64]]:
        """Which channels of each group go for ``ratio``."""
        target = self.channels_now - (1 - ratio) * self.channels_at_first
        prices = [float(w) for w in self._weights] if price == "channels" else self._macs
        return channels_to_go(
            self.groups, self._ranked(importance), self._weights, prices, target,
            multiple=self.options.multiple, least=self._least,
        )  # fmt: skip

    def reached(self, gone: Gone) -> float:
        """The share of the original's channels that is gone."""
        now = self.channels_now - sum(len(c) * self._weights[place] for place, c in gone.items())
        return 1 - now / self.channels_at_first

    def cut(self, ratio: float, importance: str | None = None, price: Price = "channels") -> nn.Module:
        """The network cut to ``ratio``, batch norms as they were: enough to measure its latency."""
        gone = self.gone(ratio, importance or self.options.importances[0], price)
        return cut(self.network, self.groups, gone, self._statistics if self.options.make_up else None)

    def attempt(self, ratio: float, importance: str, price: Price = "channels") -> tuple[PruneTrial, nn.Module]:
        """Cut, estimate batch norms anew, compare."""
        gone = self.gone(ratio, importance, price)
        network = cut(self.network, self.groups, gone, self._statistics if self.options.make_up else None)
        before = self.divergence(network)
        reestimate_norms(network, self._learn, self._norms, kept_in_norms(self.network, self.groups, gone))
        return self.compare(network, ratio, self.reached(gone), importance, price, before), network

    def divergence(self, network: nn.Module) -> float:
        """Of the network's answers from the original's, on the photos that compare."""
        return self._measure.divergence(self._reference, self._answers(network))

    def compare(
        self, network: nn.Module, ratio: float, reached: float, importance: str, price: str, before: float
    ) -> PruneTrial:
        """The trial's figures; ``before``: the divergence before batch norms were estimated anew."""
        answers, measure = self._answers(network), self._measure
        return PruneTrial(
            ratio, reached, importance, price, count_parameters(network), count_macs(network, self._example), before,
            measure.divergence(self._reference, answers), measure.agreement(self._reference, answers) / 100,
            self._accuracy(answers),
        )  # fmt: skip

    def original(self) -> dict[str, Any]:
        """The original's parameters, macs, and accuracy on the photos that compare."""
        return {
            "parameters": count_parameters(self._original),
            "macs": count_macs(self._original, self._example),
            "accuracy": self._accuracy(self._reference),
            "prunable_channels": self.channels_at_first,
        }

    # ---- measured when first needed ----

    @cached_property
    def _reference(self) -> Outputs:
        return self._answers(self._original)

    @cached_property
    def _statistics(self) -> dict[str, InputStatistics]:
        return input_statistics(
            self._twin, consumer_names(self.groups), self._learn, seed=self.options.seed,
            step=lambda done, total: self.progress("measure channels", done, total),
        )  # fmt: skip

    @cached_property
    def _shares(self) -> dict[str, Tensor]:
        return loss_shares(
            self._twin, consumer_names(self.groups), self._learn, self._learn_labels, seed=self.options.seed,
            step=lambda done, total: self.progress("measure gradients", done, total),
        )  # fmt: skip

    @cached_property
    def _norms(self) -> dict[str, NormInput]:
        return norm_inputs(self._twin, self._learn)

    @cached_property
    def _macs(self) -> list[float]:
        return macs_per_channel(self._twin, self.groups, self._example)

    def _ranked(self, importance: str) -> list[Ranking]:
        if importance not in self._rankings:
            statistics = self._statistics if importance in ("reconstruction", "activation") else {}
            shares = self._shares if importance == "taylor" else {}
            rankings = []
            for group, weight in zip(self.groups, self._weights, strict=True):
                ranking = rank(importance, group, self._twin, statistics, shares)
                if importance.startswith(("magnitude", "norm")):  # a mean of the group's layers, not a sum
                    ranking = Ranking(ranking.order, ranking.harm * weight)
                rankings.append(ranking)
            self._rankings[importance] = rankings
        return self._rankings[importance]

    def _check(self) -> None:
        """Cut something from every group that has enough, and see that the groups are right."""
        gone = {}
        for place, group in enumerate(self.groups):
            if len(group.atoms) > 1:
                gone[place] = np.sort(group.atoms[:: max(2, len(group.atoms) // 4)].reshape(-1))
        check_cut(self.network, self.groups, gone, self._compare[:2])

    def _answers(self, network: nn.Module) -> Outputs:
        return self._measure.digest_of_array(outputs_of(network, self._compare))

    def _accuracy(self, answers: Outputs) -> float | None:
        if self._compare_labels is None:
            return None
        return self._measure.accuracy(answers, self._compare_labels.tolist()) / 100


def prune(
    network: nn.Module,
    photos: Photos,
    measure: AnswerMeasure,
    options: PruneOptions,
    *,
    labels: Labels | None = None,
    tune: Tune | None = None,
    progress: Progress = silent,
) -> PruneResult:
    """Prune ``network`` by ``options.ratio``: see the module, and ``Pruner`` for what is taken and raised.

    ``tune`` fine-tunes what it is given, with the original as teacher (``train.finetune``), after each of the steps. At ratio 0 the
    network is given back as it is.
    """
    if not options.ratio:  # a network that is as it should be is not tuned either
        pruner = Pruner(network, photos, measure, labels, options=options, progress=progress)
        same = pruner.compare(pruner.network, 0.0, 0.0, options.importances[0], options.prices[0], 0.0)
        return PruneResult(pruner.network, channel_counts(network), same, (same,), pruner.original())
    first: Pruner | None = None
    current = network
    trials: list[PruneTrial] = []
    for step in range(options.steps):
        pruner = Pruner(current, photos, measure, labels, options=options, original=network, progress=progress)
        first = first or pruner
        ratio = options.ratio * (step + 1) / options.steps
        best: tuple[PruneTrial, nn.Module] | None = None
        ways = [(importance, price) for importance in options.importances for price in options.prices]
        for done, (importance, price) in enumerate(ways):
            progress(f"prune by {importance}", done, len(ways))
            trial, candidate = pruner.attempt(ratio, importance, price)
            trials.append(trial)
            if best is None or trial.divergence < best[0].divergence:
                best = trial, candidate
        assert best is not None
        chosen, current = best
        if tune is not None:
            progress("fine-tune", step, options.steps)
            current = tune(current, step, options.steps).eval()
    assert first is not None
    tuned = None
    if tune is not None:
        tuned = first.compare(
            current, chosen.ratio, chosen.reached, chosen.importance, chosen.price, chosen.divergence_before
        )
    return PruneResult(current, channel_counts(current), chosen, tuple(trials), first.original(), tuned)


def _original_size(full: Channels, own: Channels, name: str, size: int) -> int:
    """How many channels a group of a network already pruned had at first: its first layer lost its share."""
    return round(size * full[name][1] / own[name][1])


def _check_photos(photos: Photos, labels: Labels | None) -> None:
    if photos.ndim != 4 or photos.dtype != np.float32 or len(photos) < 2:
        raise InputError(
            f"pruning needs at least 2 prepared photos, float32 [n, c, h, w]; got {photos.dtype} {list(photos.shape)}"
        )
    if labels is not None and labels.shape != (len(photos),):
        raise InputError(f"pruning needs one class for each of the {len(photos)} photos, got {list(labels.shape)}")
