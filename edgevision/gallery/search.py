"""Products that are like a picture, that answer some words, or that a filter names; or all three at once, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.gallery.examples import Example
from edgevision.gallery.filters import Filter, field_of
from edgevision.gallery.found import By, Found, Reason, SearchResult
from edgevision.gallery.gallery import Gallery
from edgevision.gallery.matches import Match
from edgevision.gallery.text.bm25 import Bm25
from edgevision.gallery.text.encoder import check_query
from edgevision.gallery.text.fusion import Scores, fuse
from edgevision.gallery.text.meanings import Meanings
from edgevision.gallery.vectors import Vectors

MAX_TOP = 1000
_PICTURE_RANKS = 1000  # products that a picture ranks, where words rank them too

# How much each ranking counts where there are several; benchmarks/gallery_text.py measured them.
WEIGHTS: Mapping[str, float] = {"picture": 1.0, "words": 1.0, "meaning": 1.0, "looks": 0.5}


@dataclass(frozen=True, eq=False)
class _Gathered:
    """What a search knows. ``matches``: how the picture is like each product, by the product's place. ``views``: [examples], how
    much each looks like the words; NaN where nobody knows. ``rankings``: [products] each, NaN is not found by it."""

    query: str | None
    matches: Mapping[int, Match]
    known: bool | None
    views: Scores
    rankings: dict[By, Scores] = field(default_factory=dict)


class Searcher:
    """A gallery, prepared for many searches. Immutable; threads may share it.

    ``meanings``: what an encoder makes of the products; None searches words by letters alone, in any language.
    """

    def __init__(self, gallery: Gallery, meanings: Meanings | None = None) -> None:
        self.gallery = gallery
        self.meanings = meanings
        self._words = Bm25(gallery.products)
        self._place_of = {product.id: place for place, product in enumerate(gallery.products)}

    def search(
        self, *, picture: Vectors | None = None, text: str | None = None, where: Filter | None = None, top: int = 5
    ) -> SearchResult:
        """The ``top`` products that answer what is given, best first.

        ``picture``: [dimension] float32, an embedder's vector. ``text``: words. ``where``: only products that it allows. At least one
        of them. Raises InputError for nothing, for an empty text, and for a filter that fits no product's fields.

        >>> searcher.search(text="green apple", where=read_filter("price < 3")).top[0].product.name  # doctest: +SKIP
        'Granny Smith'
        """
        if not 1 <= top <= MAX_TOP:
            raise InputError(f"expected 1…{MAX_TOP} products to find, got {top}")
        if picture is None and text is None and where is None:
            raise InputError("nothing to search for: give a picture, a text or a filter")
        if where is not None:
            where.check(self.gallery.products)
        # Of a picture alone the best are enough; beside words a product may be far down, and still be the best of all.
        wide = top if text is None else max(top, _PICTURE_RANKS)
        gathered = self._gather(picture, None if text is None else check_query(text), where, wide)
        allowed = np.array([where is None or where(product) for product in self.gallery.products], bool)
        found = [self._found(place, score, gathered, where) for place, score in _ranked(gathered, allowed)[:top]]
        return SearchResult(tuple(found), gathered.known)

    def _gather(self, picture: Vectors | None, query: str | None, where: Filter | None, wide: int) -> _Gathered:
        matches, known = self._like_picture(picture, where, wide)
        rankings: dict[By, Scores] = {}
        count = len(self.gallery.products)
        views = np.full(len(self.gallery.examples), np.nan)
        if picture is not None:
            rankings["picture"] = np.full(count, np.nan)
            for place, match in matches.items():
                rankings["picture"][place] = match.similarity
        if query is not None:
            words = self._words.scores(query)
            rankings["words"] = np.where(words > 0, words, np.nan)
        if query is not None and self.meanings is not None:
            encoded = self.meanings.encoder.encode([query])[0]
            rankings["meaning"] = self.meanings.of_texts(encoded)
            views = self.meanings.of_pictures(encoded)
            if self.meanings.projection is not None:
                rankings["looks"] = best_of_each(views, self.gallery.product_of, count)
        return _Gathered(query, matches, known, views, rankings)

    def _like_picture(
        self, picture: Vectors | None, where: Filter | None, wide: int
    ) -> tuple[Mapping[int, Match], bool | None]:
        if picture is None:
            return {}, None
        matches = self.gallery.match(picture, top=wide, where=where)[0]
        return {self._place_of[match.product.id]: match for match in matches.top}, matches.known

    def _found(self, place: int, score: float, gathered: _Gathered, where: Filter | None) -> Found:
        shown = self._shown(place, gathered)
        reasons = tuple(self._reasons(place, gathered, shown, where))
        return Found(self.gallery.products[place], score, shown, reasons, gathered.matches.get(place))

    def _shown(self, place: int, gathered: _Gathered) -> Example | None:
        """The example to show: the one like the picture, else the one that looks most like the words, else the first."""
        if place in gathered.matches:
            return gathered.matches[place].example
        own = np.flatnonzero(self.gallery.product_of == place)
        if not len(own):
            return None
        views = np.nan_to_num(gathered.views[own], nan=-np.inf)
        return self.gallery.examples[int(own[views.argmax()])]

    def _reasons(
        self, place: int, gathered: _Gathered, shown: Example | None, where: Filter | None
    ) -> Iterator[Reason]:
        product = self.gallery.products[place]
        values = {
            name: float(scores[place]) for name, scores in gathered.rankings.items() if not np.isnan(scores[place])
        }
        if "picture" in values and shown is not None:
            yield Reason("picture", f"like {called(shown)}: {values['picture']:.2f}", values["picture"])
        if "words" in values and gathered.query is not None:
            yield Reason("words", self._words_told(gathered.query, place), values["words"])
        if "meaning" in values:
            yield Reason("meaning", f"its texts mean the like: {values['meaning']:.2f}", values["meaning"])
        if "looks" in values and shown is not None:
            yield Reason("looks", f"{called(shown)} looks like the words: {values['looks']:.2f}", values["looks"])
        for condition in where.conditions() if where is not None else ():
            if condition.holds(product):
                yield Reason("filter", f"{condition} (it is {field_of(product, condition.field)})")

    def _words_told(self, query: str, place: int) -> str:
        """``sour in description; apples (as apple) in kind``."""
        told = []
        for one in self._words.matches(query, place):
            as_found = "" if one.found == one.word else f" (as {one.found})"
            told.append(f"{one.word}{as_found} in {one.field}")
        return "; ".join(told)


def search(
    gallery: Gallery, *, picture: Vectors | None = None, text: str | None = None, where: Filter | None = None, top: int = 5,
    meanings: Meanings | None = None,
) -> SearchResult:  # fmt: skip
    """One search; for many of one gallery, keep a ``Searcher``, whose method ``search`` says what comes in and out.

    >>> search(gallery, text="sour apple").top[0].why[0].text  # doctest: +SKIP
    'apple in kind; sour in description'
    """
    return Searcher(gallery, meanings).search(picture=picture, text=text, where=where, top=top)


def _ranked(gathered: _Gathered, allowed: npt.NDArray[np.bool_]) -> list[tuple[int, float]]:
    """(place, score) of all that is found, best first. A picture alone: as the gallery matches it, with its chances."""
    if list(gathered.rankings) == ["picture"]:
        return [(place, match.score) for place, match in gathered.matches.items()]
    total = _total(gathered, len(allowed))
    found = allowed & _is_ranked(gathered, len(allowed))
    return [(int(place), float(total[place])) for place in np.argsort(-total, kind="stable") if found[place]]


def _total(gathered: _Gathered, products: int) -> Scores:
    """[products]: what they are sorted by."""
    if not gathered.rankings:  # a filter alone: all that it allows, in the gallery's order
        return np.ones(products)
    rankings = [_filled(name, scores) for name, scores in gathered.rankings.items()]
    return fuse(rankings, [WEIGHTS[name] for name in gathered.rankings])


def _filled(name: By, scores: Scores) -> Scores:
    """Without NaN: what has no score is as the worst that has one; of words, has none of them."""
    worst = 0.0 if name == "words" or np.isnan(scores).all() else float(np.nanmin(scores))
    return np.nan_to_num(scores, nan=worst)


def _is_ranked(gathered: _Gathered, products: int) -> npt.NDArray[np.bool_]:
    """[products]: whether anything speaks for it; a filter alone speaks for all."""
    if not gathered.rankings:
        return np.ones(products, bool)
    return np.asarray(~np.all([np.isnan(scores) for scores in gathered.rankings.values()], axis=0), bool)


def best_of_each(scores: Scores, product_of: npt.NDArray[np.int64], products: int) -> Scores:
    """[products]: the best score of each one's examples, NaN where it has none. ``scores``, ``product_of``: [examples]."""
    best = np.full(products, -np.inf)
    np.maximum.at(best, product_of, scores)
    return np.where(np.isneginf(best), np.nan, best)


def called(example: Example) -> str:
    """What people call an example: its note, else the start of its picture's hash."""
    return example.note or f"picture {example.source[:8]}"
