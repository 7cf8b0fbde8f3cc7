"""BM25: how well the words of products answer a query, by words that both have. No model, any language.

Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009; with Lucene's logarithm, which is
never negative: in a shop of apples the word "apple" would count against a product else.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.text.wording import words_of

K1 = 1.2  # how soon a word that stands there again counts no more
B = 0.75  # how far long texts are held back
NAME_WEIGHT = 2  # a word of the name counts as if it stood there twice

# A query's word that no product has stands for those that begin alike: "apples" for "apple", "äpplen" for "äpple".
_ALIKE_LETTERS = 4  # that they share at least
_ALIKE_REST = 2  # letters that each may have more
_ALIKE_WEIGHT = 0.5


@dataclass(frozen=True)
class WordMatch:
    """A word of a query in a product. ``word``: as the query has it; ``found``: as the product has it; ``field``: where."""

    word: str
    found: str
    field: str


class Bm25:
    """An index over names and fields that are texts. Immutable; some 100 bytes for each word of each product.

    >>> index = Bm25([GalleryProduct(1, "Green apple"), GalleryProduct(2, "Pear")])
    >>> index.scores("apples").round(2).tolist()
    [0.42, 0.0]
    """

    def __init__(self, products: Sequence[GalleryProduct]) -> None:
        self._products = tuple(products)
        counts = [_counts(one) for one in self._products]
        lengths = np.array([sum(one.values()) for one in counts], np.float64)
        mean = float(lengths.mean()) if len(lengths) else 1.0
        self._brake = K1 * (1 - B + B * lengths / max(mean, 1e-9))  # [products]
        found: dict[str, list[tuple[int, int]]] = {}
        for place, words in enumerate(counts):
            for word, count in words.items():
                found.setdefault(word, []).append((place, count))
        self._postings = {word: np.array(pairs, np.int64) for word, pairs in found.items()}
        self._by_start: dict[str, list[str]] = {}
        for word in sorted(self._postings):
            if len(word) >= _ALIKE_LETTERS:
                self._by_start.setdefault(word[:_ALIKE_LETTERS], []).append(word)

    def scores(self, query: str) -> npt.NDArray[np.float64]:
        """[products], 0 for a product that has none of the words."""
        total = np.zeros(len(self._products))
        for word in dict.fromkeys(words_of(query)):
            variants = self._known_forms(word)
            if variants:
                # Of several forms of one word the best counts: a product that has both is no better.
                total += np.max([weight * self._scores_of(form) for form, weight in variants.items()], axis=0)
        return total

    def matches(self, query: str, place: int) -> tuple[WordMatch, ...]:
        """Which words of the query the product at ``place`` has, and where. For explanations."""
        forms = {form: word for word in words_of(query) for form in self._known_forms(word)}
        found: dict[tuple[str, str], WordMatch] = {}
        for field, text in _texts(self._products[place]).items():
            for own in words_of(text):
                if own in forms:
                    found.setdefault((own, field), WordMatch(forms[own], own, field))
        return tuple(found.values())

    def _scores_of(self, word: str) -> npt.NDArray[np.float64]:
        pairs = self._postings[word]
        rarity = math.log(1 + (len(self._products) - len(pairs) + 0.5) / (len(pairs) + 0.5))
        scores = np.zeros(len(self._products))
        counts = pairs[:, 1].astype(np.float64)
        scores[pairs[:, 0]] = rarity * counts * (K1 + 1) / (counts + self._brake[pairs[:, 0]])
        return scores

    def _known_forms(self, word: str) -> dict[str, float]:
        """Words of products that a query's word stands for, each with its weight."""
        if word in self._postings:
            return {word: 1.0}
        return {
            other: _ALIKE_WEIGHT for other in self._by_start.get(word[:_ALIKE_LETTERS], ()) if _begin_alike(word, other)
        }


def _begin_alike(one: str, other: str) -> bool:
    shared = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return shared >= _ALIKE_LETTERS and max(len(one), len(other)) - shared <= _ALIKE_REST


def _texts(product: GalleryProduct) -> Mapping[str, str]:
    """What is read of a product, by field; the name first."""
    fields = {field: value for field, value in product.fields.items() if isinstance(value, str)}
    return {"name": product.name, **{field: value for field, value in fields.items() if field != "name"}}


def _counts(product: GalleryProduct) -> Counter[str]:
    counts: Counter[str] = Counter()
    for field, text in _texts(product).items():
        words = words_of(text)
        counts.update(words * NAME_WEIGHT if field == "name" else words)
    return counts
