"""The four terms in one chance, of which each product's parts are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.recommend.options import RecommendOptions
from edgevision.recommend.suggestions import Term
from edgevision.recommend.terms import Chances


@dataclass(frozen=True, eq=False)
class Mixture:
    """``parts``: what each term adds to every product's chance, [n] each; ``shares``: how much of all each term has, together 1."""

    parts: Mapping[Term, Chances]
    shares: Mapping[Term, float]

    @property
    def chances(self) -> Chances:
        """[n], together 1."""
        return np.asarray(sum(self.parts.values()), np.float64)

    def shares_of(self, place: int) -> dict[Term, float]:
        """How much of one product's chance each term has, together 1."""
        parts = {term: float(part[place]) for term, part in self.parts.items()}
        whole = sum(parts.values())
        return {term: part / whole for term, part in parts.items()}


def mixed(terms: Mapping[Term, Chances], evidence: float, options: RecommendOptions) -> Mixture:
    """Weigh the terms. ``evidence``: how many baskets are known of the shopper, the present one included.

    Popularity is the prior, with the weight of ``trust_baskets`` baskets: its share is trust / (trust + evidence), so it falls as history
    grows (Dirichlet smoothing: Zhai & Lafferty, A Study of Smoothing Methods, 2004). The others divide the rest as the options say; a
    term of which nothing is known gives its share to the others.
    """
    asked = {Term.AGAIN: options.again, Term.LOOKS: options.looks, Term.GOES_WITH: options.goes_with}
    known = {term: share for term, share in asked.items() if share > 0 and terms[term].any()}
    total = sum(known.values())
    weight = options.trust_baskets + evidence
    popular = options.trust_baskets / weight if known and weight > 0 else 1.0
    shares = {term: (1 - popular) * share / total for term, share in known.items()}
    shares[Term.POPULAR] = popular
    return Mixture({term: share * terms[term] for term, share in shares.items()}, shares)


def without(mixture: Mixture, allowed: npt.NDArray[np.bool_], relevance: npt.NDArray[np.float64] | None) -> Chances:
    """The chances of what is allowed, others 0. With a ``relevance`` [n] of a search: chance times relevance, as Bayes has it (how likely
    is the query if this is meant), and scaled to add up to 1."""
    chances = np.where(allowed, mixture.chances, 0.0)
    if relevance is None:
        return chances
    posterior = chances * relevance
    total = posterior.sum()
    return posterior / total if total > 0 else posterior
