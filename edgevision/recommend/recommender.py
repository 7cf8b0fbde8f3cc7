"""Ranks the products of a shelf for one shopper, and says why."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.recommend.baskets import Baskets
from edgevision.recommend.cold_start import find_look_alikes
from edgevision.recommend.mixture import Mixture, mixed, without
from edgevision.recommend.options import RecommendOptions
from edgevision.recommend.profile import Profile
from edgevision.recommend.reasons import Explainer
from edgevision.recommend.rules import Rule
from edgevision.recommend.shelf import Shelf
from edgevision.recommend.suggestions import Suggestion, Term
from edgevision.recommend.terms import (
    again_term,
    chances_of,
    counts_of,
    goes_with_term,
    looks_term,
    popularity_term,
    scaled,
)
from edgevision.recommend.variety import varied

CONTEXT = 30
"""Of so many products of the history it is asked what goes with them: a bound of the time."""


class Recommender:
    """``baskets`` may go on counting: rankings follow. Which products are new, and what they look like, is found when this is made;
    make another one now and then. Several threads may ask; none may add to ``baskets`` meanwhile.

    >>> from edgevision.gallery.products import GalleryProduct
    >>> shelf = Shelf([GalleryProduct(1, "Pasta"), GalleryProduct(2, "Pesto"), GalleryProduct(3, "Soap")], np.eye(3))
    >>> baskets = Baskets(floor=1)
    >>> for ids in ([1, 2], [1, 2], [3]):
    ...     baskets.add(ids)
    >>> best = Recommender(shelf, baskets).suggest(basket=[1], top=1)[0]
    >>> best.product.name, best.reasons[0].words
    ('Pesto', 'others buy it together with Pasta, in your basket')
    """

    def __init__(self, shelf: Shelf, baskets: Baskets, options: RecommendOptions | None = None) -> None:
        self.shelf, self.baskets, self.options = shelf, baskets, options or RecommendOptions()
        self._counted = (baskets.total, counts_of(shelf, baskets))
        known = self._counted[1] > 0
        self._look_alikes = find_look_alikes(shelf, known, self.options.warmth)

    def suggest(
        self, profile: Profile | None = None, *, now_s: float | None = None, basket: Collection[int] = (), top: int = 10,
        rules: Sequence[Rule] = (), relevance: Mapping[int, float] | None = None,
    ) -> list[Suggestion]:  # fmt: skip
        """The best products for what is known, best first; fewer than ``top`` where the rules leave fewer.

        ``now_s``: seconds since 1970 (default: the profile's newest event); ``basket``: ids of what lies in it: never recommended;
        ``relevance``: candidates of a search with their scores, by id: they alone are ranked. Raises InputError.
        """
        if top < 1:
            raise InputError(f"top is 1 or more, got {top}")
        bought, mixture, context = self._weighed(profile, now_s, basket)
        chances = without(mixture, self._allowed(basket, rules), self._relevance(relevance))
        places = varied(chances, self.shelf.looks, top, self.options.variety)
        explainer = Explainer(
            self.shelf, self.baskets, self._look_alikes, mixture, bought=bought, basket=frozenset(basket), context=context
        )  # fmt: skip
        return [Suggestion(self.shelf.products[at], float(chances[at]), explainer.reasons(at)) for at in places]

    def rank(
        self, profile: Profile | None = None, *, now_s: float | None = None, basket: Collection[int] = (), top: int = 10
    ) -> list[int]:
        """Ids alone, of ``suggest`` without rules: quicker."""
        _, mixture, _ = self._weighed(profile, now_s, basket)
        chances = without(mixture, self._allowed(basket, ()), None)
        return [self.shelf.products[at].id for at in varied(chances, self.shelf.looks, top, self.options.variety)]

    def mixture(self, profile: Profile | None, *, now_s: float | None = None, basket: Collection[int] = ()) -> Mixture:
        """Every product's chance, and each term's part in it."""
        return self._weighed(profile, now_s, basket)[1]

    def _weighed(
        self, profile: Profile | None, now_s: float | None, basket: Collection[int]
    ) -> tuple[dict[int, float], Mixture, dict[int, float]]:
        """What was bought, the mixture, and what products may go with."""
        options, shelf = self.options, self.shelf
        bought, interest, evidence = self._history(profile, now_s)
        # For each of its products the present basket weighs as much as all of the history, of which the most bought tell enough.
        often = sorted(bought.items(), key=lambda pair: -pair[1])[:CONTEXT]
        context = scaled(often) | dict.fromkeys(basket, 1.0)
        counts = self._look_alikes.lend(self._counts(), options.newness)
        goes_with = goes_with_term(shelf, self.baskets, context, options.damping, options.shrink)
        terms = {
            Term.AGAIN: again_term(shelf, bought),
            Term.LOOKS: looks_term(shelf, interest, options.warmth),
            Term.GOES_WITH: chances_of(self._look_alikes.lend(goes_with, options.newness)),
            Term.POPULAR: popularity_term(counts),
        }
        return bought, mixed(terms, evidence + len(basket), options), context

    def _counts(self) -> npt.NDArray[np.float64]:
        """Baskets with each product [n]; gathered anew only after one came."""
        total = self.baskets.total
        if self._counted[0] != total:
            self._counted = (total, counts_of(self.shelf, self.baskets))
        return self._counted[1]

    def _history(
        self, profile: Profile | None, now_s: float | None
    ) -> tuple[dict[int, float], npt.NDArray[np.float64], float]:
        """What was bought, the interest and the number of baskets, as of now."""
        if profile is None or profile.last_s is None:
            return {}, np.zeros(self.shelf.dimension), 0.0
        if profile.dimension != self.shelf.dimension:
            raise InputError(
                f"this profile's vectors have {profile.dimension} numbers, the products' {self.shelf.dimension}: they were made by "
                "different bundles; begin a new profile"
            )
        at_s = profile.last_s if now_s is None else now_s
        return profile.products(at_s), profile.interest(at_s), profile.baskets(at_s)

    def _allowed(self, basket: Collection[int], rules: Sequence[Rule]) -> npt.NDArray[np.bool_]:
        allowed = np.ones(len(self.shelf), np.bool_)
        for id in basket:
            place = self.shelf.place.get(id)
            if place is not None:
                allowed[place] = False
        for rule in rules:
            for left in np.flatnonzero(allowed).tolist():
                allowed[left] = rule(self.shelf.products[left])
        return allowed

    def _relevance(self, relevance: Mapping[int, float] | None) -> npt.NDArray[np.float64] | None:
        if relevance is None:
            return None
        values = np.zeros(len(self.shelf))
        for id, score in relevance.items():
            if id not in self.shelf.place:
                raise InputError(f"the product {id} is not in the gallery")
            if not 0 <= score < float("inf"):
                raise InputError(f"a relevance is 0 or more, got {score} for the product {id}")
            values[self.shelf.place[id]] = score
        return values
