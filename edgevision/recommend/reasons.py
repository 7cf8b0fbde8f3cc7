"""Why something is recommended, in plain words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgevision.gallery.products import GalleryProduct
from edgevision.recommend.baskets import Baskets
from edgevision.recommend.cold_start import LookAlikes
from edgevision.recommend.mixture import Mixture
from edgevision.recommend.shelf import Shelf
from edgevision.recommend.suggestions import Reason, Term

NOTHING_KNOWN = "nothing is known yet of what sells here"
_SMALLEST = 0.005  # a share that a person would read as 0 %


class Explainer:
    """Explains the products of one ranking. ``bought``: weights of the history; ``basket``: what lies in it; ``context``: what products may
    go with, with weights."""

    def __init__(
        self, shelf: Shelf, baskets: Baskets, look_alikes: LookAlikes, mixture: Mixture, *,
        bought: Mapping[int, float], basket: frozenset[int], context: Mapping[int, float],
    ) -> None:  # fmt: skip
        self._shelf, self._baskets, self._mixture = shelf, baskets, mixture
        self._basket, self._context = basket, context
        known = [(shelf.place[id], weight) for id, weight in bought.items() if id in shelf.place]
        self._had = np.array([place for place, _ in known], np.intp)
        self._had_weights = np.array([weight for _, weight in known])
        self._lenders = {int(place): row for row, place in enumerate(look_alikes.new)}
        self._look_alikes = look_alikes

    def reasons(self, place: int) -> tuple[Reason, ...]:
        """Of the product at ``place`` of the shelf, the largest share first; shares that would read as 0 % are left out."""
        found = []
        for term, share in self._mixture.shares_of(place).items():
            if share >= _SMALLEST:
                because = self._because(term, place)
                found.append(Reason(term, share, self._words(term, place, because), because))
        return tuple(sorted(found, key=lambda one: -one.share))

    def _because(self, term: Term, place: int) -> GalleryProduct | None:
        if term is Term.LOOKS:
            return self._most_alike(place)
        if term is Term.GOES_WITH:
            return self._best_companion(self._lender(place, place))
        if term is Term.POPULAR and place in self._lenders:
            return self._shelf.products[self._lender(place, place)]
        return None

    def _words(self, term: Term, place: int, because: GalleryProduct | None) -> str:
        if term is Term.AGAIN:
            return "you have bought it before"
        if term is Term.LOOKS:
            return (
                "it looks like what you like" if because is None else f"it looks like {because.name}, which you bought"
            )
        if term is Term.GOES_WITH:
            if because is None:
                return "it goes with what you buy"
            where = "in your basket" if because.id in self._basket else "which you bought"
            return f"others buy it together with {because.name}, {where}"
        if because is not None:
            return f"it is new, and looks like {because.name}, which sells here"
        if self._baskets.total == 0:
            return NOTHING_KNOWN
        return (
            "many here buy it"
            if self._baskets.count(self._shelf.products[place].id)
            else "few here buy it, or it is new"
        )

    def _lender(self, place: int, otherwise: int) -> int:
        """The known product that lends a new one most."""
        row = self._lenders.get(place)
        if row is None:
            return otherwise
        return int(self._look_alikes.places[row, int(self._look_alikes.weights[row].argmax())])

    def _most_alike(self, place: int) -> GalleryProduct | None:
        """Of what was bought, what adds most to the taste in this product's direction."""
        if not len(self._had):
            return None
        pulls = self._had_weights * (self._shelf.looks[self._had] @ self._shelf.looks[place])
        pulls[self._had == place] = 0.0  # itself is a reason of its own: bought again
        best = int(pulls.argmax())
        return self._shelf.products[int(self._had[best])] if pulls[best] > 0 else None

    def _best_companion(self, place: int) -> GalleryProduct | None:
        id = self._shelf.products[place].id
        together = self._baskets.together(id)
        best, most = None, 0.0
        for j, weight in self._context.items():
            at = self._shelf.place.get(j)
            value = weight * together.get(j, 0) / max(1, self._baskets.count(j))
            if at is not None and value > most:
                best, most = self._shelf.products[at], value
        return best


def whole_percents(shares: Mapping[Term, float]) -> dict[Term, int]:
    """Shares as percents that add up to 100: the largest remainders are rounded up.

    >>> [*whole_percents({Term.AGAIN: 1 / 3, Term.LOOKS: 1 / 3, Term.POPULAR: 1 / 3}).values()]
    [34, 33, 33]
    """
    exact = np.array([100 * share for share in shares.values()])
    floors = np.floor(exact).astype(int)
    for place in np.argsort(floors - exact, kind="stable")[: max(0, 100 - int(floors.sum()))]:
        floors[place] += 1
    return {term: int(percent) for term, percent in zip(shares, floors, strict=True)}
