"""Losses that draw pictures of one product together, and keep products apart by a margin. Computed in float32.

Each product that is learnt has a *centre*: a direction that learns with the network. The losses look at angles alone, as those
who compare vectors later do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

ARCFACE, PROXY_ANCHOR = "arcface", "proxy-anchor"
_LEAST_SINE2 = 1e-7  # below it the slope of the square root is no use


@dataclass(frozen=True)
class Sharpness:
    """``scale``: what cosines are multiplied by; ``margin``: an angle in radians of ArcFace, a cosine of Proxy Anchor."""

    scale: float
    margin: float


# Proxy Anchor's are its paper's. ArcFace's paper has 64 and 0.5, for millions of faces; fewer classes take less.
DEFAULTS = {ARCFACE: Sharpness(30.0, 0.3), PROXY_ANCHOR: Sharpness(32.0, 0.1)}


def margin_loss(kind: str, vectors: Tensor, centres: Tensor, products: Tensor, sharpness: Sharpness) -> Tensor:
    """The loss called ``kind``, one of ``DEFAULTS``. See ``arcface_loss`` for the other arguments."""
    losses = {ARCFACE: arcface_loss, PROXY_ANCHOR: proxy_anchor_loss}
    return losses[kind](vectors, centres, products, sharpness)


def arcface_loss(vectors: Tensor, centres: Tensor, products: Tensor, sharpness: Sharpness) -> Tensor:
    """Cross-entropy of scale·cos θ, with the margin added to the angle of the right centre (Deng et al. 2019, arXiv 1801.07698).

    ``vectors`` [n, d] and ``centres`` [products, d] of any lengths, ``products`` int64 [n]. Past θ = π - margin, where the cosine
    would rise again, the logit goes on as cos θ - margin·sin margin, so that more angle always costs more.
    """
    cosines = all_cosines(vectors, centres)
    margin = sharpness.margin
    right = cosines.gather(1, products[:, None]).squeeze(1)
    sines = (1 - right.square()).clamp(min=_LEAST_SINE2).sqrt()
    turned = right * math.cos(margin) - sines * math.sin(margin)
    turned = torch.where(right > -math.cos(margin), turned, right - margin * math.sin(margin))
    logits = cosines.scatter(1, products[:, None], turned[:, None])
    return functional.cross_entropy(sharpness.scale * logits, products)


def proxy_anchor_loss(vectors: Tensor, centres: Tensor, products: Tensor, sharpness: Sharpness) -> Tensor:
    """Each centre pulls the pictures of its product in the batch, the farthest most, and pushes all others, the nearest most.

    Kim et al. 2020, arXiv 2003.13911, equation 4: with s the cosine, α the scale and δ the margin, the mean over products in the batch of
    log(1 + Σ exp(-α(s-δ))) over their pictures, plus the mean over all products of log(1 + Σ exp(α(s+δ))) over other
    products' pictures. Arguments as of ``arcface_loss``.
    """
    cosines = all_cosines(vectors, centres)
    own = functional.one_hot(products, len(centres)).bool()
    pull = _log_one_plus_sum(-sharpness.scale * (cosines - sharpness.margin), own)
    push = _log_one_plus_sum(sharpness.scale * (cosines + sharpness.margin), ~own)
    return pull[own.any(0)].mean() + push.mean()


def all_cosines(vectors: Tensor, centres: Tensor) -> Tensor:
    """Cosines [n, products] of the angles between [n, d] and [products, d], in float32."""
    return functional.normalize(vectors.float()) @ functional.normalize(centres.float()).T


def _log_one_plus_sum(exponents: Tensor, counted: Tensor) -> Tensor:
    """log(1 + Σ exp) down each column of [n, products], over the rows that count; 0 where none does."""
    terms = exponents.masked_fill(~counted, -math.inf)
    one = torch.zeros_like(terms[:1])  # log 1
    return torch.cat([one, terms]).logsumexp(0)
