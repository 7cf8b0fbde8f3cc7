"""What may be wrong with a gallery: look-alikes, examples that help nobody, duplicates, examples under the wrong name."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.gallery.evidence import Evidence, gather_evidence
from edgevision.gallery.examples import Example
from edgevision.gallery.gallery import Gallery
from edgevision.gallery.products import GalleryProduct

FEW = 3  # examples, below which a product is hard to recognise
DUPLICATE = 0.995  # cosine of two examples that are nearly one picture
CONFUSED = 0.2  # share of a product's examples that are taken for one other product
_NEIGHBOURS = 3
_MAJORITY = 2
_OUTLIER_QUANTILE = 0.02
_MOST_FINDINGS = 500  # of a kind
_PORTION = 1 << 24  # similarities in memory at once


class Kind(str, Enum):
    """What a finding is about; the worst first."""

    SAME_PICTURE = "the same picture under two products"
    WRONG_PRODUCT = "probably under the wrong product"
    ALIKE = "products that look alike"
    OUTLIER = "an example that is like nothing"
    NEAR_DUPLICATE = "examples that are nearly the same"
    NO_EXAMPLES = "a product without examples"
    FEW_EXAMPLES = "a product with few examples"
    SAME_NAME = "products of the same name"


@dataclass(frozen=True)
class Finding:
    """``says``: what was found, with its figures. ``suggestion``: what to do about it, in words or as a command, where GALLERY stands
    for the file. ``weight``: how bad it is among its kind, more is worse."""

    kind: Kind
    says: str
    suggestion: str
    products: tuple[GalleryProduct, ...]
    examples: tuple[Example, ...] = ()
    weight: float = field(default=0.0, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "kind": self.kind.name.lower(),
            "says": self.says,
            "suggestion": self.suggestion,
            "products": [product.id for product in self.products],
            "examples": [example.source for example in self.examples],
        }


def audit(gallery: Gallery, path: str = "GALLERY") -> list[Finding]:
    """Everything that may be wrong, the worst first. ``path``: of the gallery, for the commands that are suggested.

    Every example is compared with every other: 20,000 of 256 numbers take about 10 s and little memory.
    """
    command = f"edgevision gallery {{verb}} {shlex.quote(path)}"
    examiner = _Examiner(gallery, command)
    return sorted(examiner.findings(), key=lambda one: (list(Kind).index(one.kind), -one.weight))


@dataclass
class _Confusion:
    """Of two products: how many examples they have, how many are taken for the other, and how near those come to it."""

    examples: int
    mistaken: int = 0
    nearest: float = -1.0

    @property
    def share(self) -> float:
        return self.mistaken / self.examples


class _Examiner:
    def __init__(self, gallery: Gallery, command: str) -> None:
        self._gallery = gallery
        self._command = command
        self._evidence: Evidence | None = None
        if len(gallery.examples):
            self._evidence = gather_evidence(
                gallery.vectors, gallery.product_of, len(gallery.products), most=len(gallery.examples)
            )

    def findings(self) -> Iterator[Finding]:
        yield from self._same_names()
        yield from self._few()
        yield from self._same_pictures()
        if self._evidence is None:
            return
        suspects = self._wrong_places(self._evidence)
        alike = self._alike_pairs(suspects)
        # Of products that look alike, many examples seem to belong to the other: that is no mistake of whoever added them.
        wrong = [(place, product) for place, product in suspects if self._pair(place, product) not in alike]
        yield from (self._wrong(place, product) for place, product in wrong[:_MOST_FINDINGS])
        yield from (self._alike(pair, confusion) for pair, confusion in alike.items())
        yield from self._outliers(self._evidence, {place for place, _ in wrong})
        yield from self._duplicates()

    # ---- products ----

    def _same_names(self) -> Iterator[Finding]:
        by_name: dict[str, list[GalleryProduct]] = defaultdict(list)
        for product in self._gallery.products:
            by_name[product.name.casefold()].append(product)
        for first, *others in by_name.values():
            if others:
                ids = ", ".join(str(one.id) for one in (first, *others))
                says = f"{len(others) + 1} products are called {first.name!r}: {ids}"
                advice = f"if they are one: {self._do('merge', others[0], into=first)}; else give them different names"
                yield Finding(Kind.SAME_NAME, says, advice, (first, *others))

    def _few(self) -> Iterator[Finding]:
        counts = np.bincount(self._gallery.product_of, minlength=len(self._gallery.products))
        for product, count in zip(self._gallery.products, counts.tolist(), strict=True):
            if count == 0:
                says = f"{_named(product)} has no examples and is never recognised"
                advice = f"add photos of it, or: {self._do('remove', product)}"
                yield Finding(Kind.NO_EXAMPLES, says, advice, (product,))
            elif count < FEW:
                says = f"{_named(product)} has {count} of at least {FEW} examples"
                yield Finding(Kind.FEW_EXAMPLES, says, "add photos of its other sides", (product,), weight=-count)

    def _same_pictures(self) -> Iterator[Finding]:
        by_source: dict[str, list[Example]] = defaultdict(list)
        for example in self._gallery.examples:
            by_source[example.source].append(example)
        for same in by_source.values():
            if len(same) > 1:
                products = tuple(self._gallery.find(one.product) for one in same)
                says = f"{_called(same[0])} is an example of {' and of '.join(map(_named, products))}"
                advice = f"keep it under one: {self._do('remove', products[1], example=same[1])}"
                yield Finding(Kind.SAME_PICTURE, says, advice, products, tuple(same))

    def _pair(self, place: int, product: int) -> tuple[int, int]:
        own = int(self._gallery.product_of[place])
        return min(own, product), max(own, product)

    def _alike_pairs(self, suspects: list[tuple[int, int]]) -> dict[tuple[int, int], _Confusion]:
        """Pairs of products that are taken for each other, even without the ``suspects``: one example in the wrong place makes its
        neighbours look wrong too."""
        gallery = self._gallery
        directions = {(int(gallery.product_of[place]), product) for place, product in suspects}
        mutual = {(one, other) for one, other in directions if (other, one) in directions}
        left = [place for place, product in suspects if (int(gallery.product_of[place]), product) not in mutual]
        kept = np.delete(np.arange(len(gallery.examples)), left)
        evidence = gather_evidence(
            gallery.vectors[kept], gallery.product_of[kept], len(gallery.products), most=len(kept)
        )
        asked = np.bincount(evidence.product, minlength=len(gallery.products))
        found: dict[tuple[int, int], _Confusion] = {}
        for row in np.flatnonzero(~evidence.right & (evidence.first_product >= 0) & evidence.has_own).tolist():
            one, other = int(evidence.product[row]), int(evidence.first_product[row])
            pair = (min(one, other), max(one, other))
            confusion = found.setdefault(pair, _Confusion(int(asked[one] + asked[other])))
            confusion.mistaken += 1
            confusion.nearest = max(confusion.nearest, float(evidence.first[row]))
        return {pair: one for pair, one in found.items() if one.share >= CONFUSED}

    def _alike(self, pair: tuple[int, int], confusion: _Confusion) -> Finding:
        products = (self._gallery.products[pair[0]], self._gallery.products[pair[1]])
        says = (
            f"{_named(products[0])} and {_named(products[1])}: {confusion.mistaken} of their {confusion.examples} examples {_be(confusion.mistaken)} taken "
            f"for the other (cosine up to {confusion.nearest:.3f})"
        )
        advice = f"add photos of the sides that differ; if they are one product: {self._do('merge', products[1], into=products[0])}"
        return Finding(Kind.ALIKE, says, advice, products, weight=confusion.share)

    # ---- examples ----

    def _wrong_places(self, evidence: Evidence) -> list[tuple[int, int]]:
        """(example, the product that it seems to be): the nearest are mostly of one other product, and nearer than its own."""
        gallery = self._gallery
        found = []
        for row in np.flatnonzero(~evidence.right & (evidence.first_product >= 0) & evidence.has_own).tolist():
            place = int(evidence.example[row])
            similarity = gallery.vectors @ gallery.vectors[place]
            similarity[place] = -np.inf
            near = np.argsort(-similarity, kind="stable")[:_NEIGHBOURS]
            product, votes = Counter(gallery.product_of[near].tolist()).most_common(1)[0]
            if product != gallery.product_of[place] and votes >= _MAJORITY and self._fits(place, product, similarity):
                found.append((float(evidence.first[row] - evidence.own[row]), place, product))
        return [(place, product) for _, place, product in sorted(found, reverse=True)]

    def _fits(self, place: int, product: int, similarity: npt.NDArray[np.float32]) -> bool:
        """Whether the example stands out among its own, and is to the other product what that's own examples are to each other."""
        gallery = self._gallery
        others = np.flatnonzero(gallery.product_of == product)
        own = np.flatnonzero((gallery.product_of == gallery.product_of[place]) & (np.arange(len(similarity)) != place))
        within = gallery.vectors[others] @ gallery.vectors[others].T
        np.fill_diagonal(within, -np.inf)
        usual = float(within.max(axis=1).min()) if len(others) > 1 else 1.0
        return bool(similarity[others].mean() > similarity[own].mean() and similarity[others].max() >= usual)

    def _wrong(self, place: int, product: int) -> Finding:
        example = self._gallery.examples[place]
        now, better = self._gallery.find(example.product), self._gallery.products[product]
        says = f"{_called(example)} stands under {_named(now)}, and is more like {_named(better)}"
        advice = f"look at it; if so: {self._do('merge', now, into=better, example=example)}"
        return Finding(Kind.WRONG_PRODUCT, says, advice, (now, better), (example,))

    def _outliers(self, evidence: Evidence, without: set[int]) -> Iterator[Finding]:
        """Examples that are far from their own product, further than nearly all others are, and like no other product either."""
        has = evidence.has_own
        if has.sum() < 2 * _NEIGHBOURS:
            return
        middle = float(np.median(evidence.own[has]))
        spread = float(np.median(np.abs(evidence.own[has] - middle))) * 1.4826  # as a standard deviation
        limit = min(float(np.quantile(evidence.own[has], _OUTLIER_QUANTILE)), middle - 3 * max(spread, 1e-6))
        rows = np.flatnonzero(has & (evidence.own <= limit))
        for row in rows[np.argsort(evidence.own[rows])][:_MOST_FINDINGS].tolist():
            place = int(evidence.example[row])
            if place in without:
                continue
            example = self._gallery.examples[place]
            product = self._gallery.find(example.product)
            says = (
                f"{_called(example)} of {_named(product)} is like none of its other examples (cosine {evidence.own[row]:.3f}; "
                f"usual is {middle:.3f})"
            )
            advice = f"look at it; if it does not show the product: {self._do('remove', product, example=example)}"
            yield Finding(Kind.OUTLIER, says, advice, (product,), (example,), weight=-float(evidence.own[row]))

    def _duplicates(self) -> Iterator[Finding]:
        """Within products: of each group that is nearly one picture, all but the first are of no use."""
        gallery = self._gallery
        for number, product in enumerate(gallery.products):
            places = np.flatnonzero(gallery.product_of == number)
            if len(places) < 2 or len(places) ** 2 > _PORTION:
                continue
            alike = gallery.vectors[places] @ gallery.vectors[places].T >= DUPLICATE
            spare = np.flatnonzero(np.tril(alike, -1).any(axis=1))
            if not len(spare):
                continue
            examples = tuple(gallery.examples[place] for place in places[spare])
            says = f"{len(spare)} of the {len(places)} examples of {_named(product)} {_be(len(spare))} nearly the same as one before"
            advice = f"they do no harm, and add nothing: {self._do('remove', product, example=examples[0])}"
            yield Finding(Kind.NEAR_DUPLICATE, says, advice, (product,), examples, weight=len(spare) / len(places))

    def _do(
        self, verb: str, product: GalleryProduct, *, into: GalleryProduct | None = None, example: Example | None = None
    ) -> str:
        """A command."""
        words = [self._command.format(verb=verb), f"--id {product.id}"]
        if into is not None:
            words.append(f"--into {into.id}")
        if example is not None:
            words.append(f"--example {example.source[:12]}")
        return " ".join(words)


def _named(product: GalleryProduct) -> str:
    return f"{product.name} ({product.id})"


def _called(example: Example) -> str:
    return f"{example.note} [{example.source[:8]}]" if example.note else f"the example {example.source[:8]}"


def _be(count: int) -> str:
    return "is" if count == 1 else "are"
