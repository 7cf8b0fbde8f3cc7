"""What calibration photos say about the channels of a network: how they vary together, and what the loss owes to them.

Both are taken where channels are used: at the inputs of the layers that mix them into others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgevision.compiler.prune.groups import ChannelGroup, weight_of

BATCH = 32
_PLACES_PER_PHOTO = 64  # neighbouring pixels say nearly the same
_MOST_TOGETHER = 4096  # inputs of a layer whose covariance fits well into memory: 128 MiB
_GRADIENT_BATCH = 8

Photos = npt.NDArray[np.float32]
Step = Callable[[int, int], None]  # batches done, batches to do


@dataclass(frozen=True, eq=False)
class InputStatistics:
    """Of a layer's input channels: ``mean`` [c], ``variance`` [c], and ``covariance`` [c, c] (shrunk, see ``shrink``),
    which is None for layers of more than 4096 inputs: flattened maps; all float64."""

    mean: Tensor
    variance: Tensor
    covariance: Tensor | None


def batches(photos: Photos, size: int = BATCH) -> Iterator[Tensor]:
    """``photos`` [n, c, h, w] float32, ``size`` at a time."""
    for start in range(0, len(photos), size):
        yield torch.from_numpy(np.ascontiguousarray(photos[start : start + size]))


def outputs_of(network: nn.Module, photos: Photos) -> npt.NDArray[np.float32]:
    """Raw outputs [n, k] of a network in eval mode."""
    with torch.no_grad():
        return np.concatenate([network(batch).float().numpy() for batch in batches(photos)])


def consumer_names(groups: Iterable[ChannelGroup]) -> tuple[str, ...]:
    """Layers that take channels of any group, each once."""
    return tuple(dict.fromkeys(member.layer for group in groups for member in group.consumers))


def input_statistics(
    network: nn.Module, layers: Sequence[str], photos: Photos, *, seed: int = 0, step: Step | None = None
) -> dict[str, InputStatistics]:
    """Means and covariances of the inputs of ``layers`` over ``photos`` [n, c, h, w].

    Of a convolution's input, up to 64 places of each photo are drawn at random. ``network``: a ``modular_copy``.
    """
    generator = torch.Generator().manual_seed(seed)
    counts = dict.fromkeys(layers, 0)
    sums: dict[str, Tensor] = {}
    squares: dict[str, Tensor] = {}
    products: dict[str, Tensor] = {}

    def take(name: str, x: Tensor) -> None:
        if x.ndim == 4:
            x = x.flatten(2)  # n × c × places
            if x.shape[2] > _PLACES_PER_PHOTO:
                x = x[:, :, torch.randint(x.shape[2], (_PLACES_PER_PHOTO,), generator=generator)]
            x = x.transpose(1, 2)
        x = x.reshape(-1, x.shape[-1])
        counts[name] += len(x)
        if name not in sums:
            sums[name] = torch.zeros(x.shape[1], dtype=torch.float64)
            squares[name] = torch.zeros(x.shape[1], dtype=torch.float64)
            if x.shape[1] <= _MOST_TOGETHER:
                products[name] = torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64)
        wide = x.double()
        sums[name] += wide.sum(0)
        squares[name] += wide.square().sum(0)
        if name in products:
            products[name].addmm_(wide.T, wide)

    with _inputs_of(network, layers, take), torch.no_grad():
        for done, batch in enumerate(batches(photos)):
            network(batch)
            if step:
                step(done + 1, -(-len(photos) // BATCH))
    found = {}
    for name in layers:
        mean = sums[name] / counts[name]
        variance = (squares[name] / counts[name] - mean**2).clamp(min=0)
        covariance = None
        if name in products:
            covariance = shrink(products.pop(name) / counts[name] - mean[:, None] * mean, counts[name])
        found[name] = InputStatistics(mean, variance, covariance)
    return found


def shrink(covariance: Tensor, samples: int) -> Tensor:
    """A covariance matrix [c, c] drawn towards its diagonal, as much as ``samples`` are few.

    The share is that of the oracle-approximating shrinkage estimator (Chen et al. 2010, eq. 23) for the correlations.
    Variances stay as they are, but for a millionth of their mean, with which the matrix can be inverted.
    """
    variance = covariance.diagonal().clamp(min=0)
    floor = 1e-6 * float(variance.mean()) + 1e-12
    alive = variance > floor
    deviation = torch.where(alive, variance, 1.0).sqrt()
    correlation = covariance / deviation / deviation[:, None]
    p = max(int(alive.sum()), 1)
    square, trace = float((correlation[alive][:, alive] ** 2).sum()), float(p)
    spread = (samples + 1 - 2 / p) * (square - trace**2 / p)
    share = 1.0 if spread <= 0 else min(1.0, ((1 - 2 / p) * square + trace**2) / spread)
    shrunk = (1 - share) * covariance
    shrunk[~alive] = 0
    shrunk[:, ~alive] = 0
    shrunk.diagonal().copy_(variance + floor)
    return shrunk


def loss_shares(
    network: nn.Module,
    layers: Sequence[str],
    photos: Photos,
    labels: npt.NDArray[np.int64] | None,
    *,
    seed: int = 0,
    step: Step | None = None,
) -> dict[str, Tensor]:
    """How much the loss would change without each input channel of ``layers``: float64 [channels in] by layer.

    First-order Taylor (Molchanov et al., CVPR 2019): the mean over portions of 8 photos of (Σ w·∂L/∂w)², the sum over
    the weights that read the channel, which is x·∂L/∂x. ``labels``: classes [n]; None = drawn from the network's own
    answers, which makes it the Fisher information (Theis et al. 2018). Of a grouped convolution the groups share their
    channels' figures.
    """
    generator = torch.Generator().manual_seed(seed)
    weights = {name: weight_of(network, name) for name in layers}
    total: dict[str, Tensor] = {}
    portions = -(-len(photos) // _GRADIENT_BATCH)
    for done, batch in enumerate(batches(photos, _GRADIENT_BATCH)):
        start = done * _GRADIENT_BATCH
        with torch.enable_grad():
            logits = network(batch)
            if labels is None:
                wanted = torch.multinomial(logits.detach().softmax(1), 1, generator=generator)[:, 0]
            else:
                wanted = torch.from_numpy(labels[start : start + len(batch)])
            loss = functional.cross_entropy(logits, wanted)
            gradients = torch.autograd.grad(loss, list(weights.values()))
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
            share = (weight.detach() * gradient).double()
            share = share.sum(tuple(i for i in range(share.ndim) if i != 1)).square() / portions
            groups = getattr(network.get_submodule(name), "groups", 1)
            total[name] = total.get(name, torch.zeros(())) + share.repeat(groups)
        if step:
            step(done + 1, portions)
    return total


@contextmanager
def _inputs_of(network: nn.Module, layers: Sequence[str], take: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Within, ``take`` is called with each layer's name and input whenever the network runs."""

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _layer, inputs: take(name, inputs[0].detach())

    handles = [network.get_submodule(name).register_forward_pre_hook(hook(name)) for name in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
