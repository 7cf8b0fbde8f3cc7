"""A gallery as it was at one moment, with what the service makes of it once and asks often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from edgevision.gallery.gallery import Gallery
from edgevision.tasks.results import Label

if TYPE_CHECKING:
    from edgevision.gallery.search import Searcher


class Snapshot:
    """``gallery``: never changes, and threads share it. ``labels``: its products as the classes that a recogniser knows. ``examples``: how
    many each product has, by its id.

    Making one makes it ready for its first question too: the index, and what tells known from unknown.
    """

    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery
        self.labels = tuple(Label(one.id, one.name) for one in gallery.products)
        self.examples: Mapping[int, int] = Counter(one.product for one in gallery.examples)
        if gallery.examples:
            gallery.match(gallery.vectors[:1], top=1)

    @cached_property
    def searcher(self) -> Searcher:
        """What finds products by words; made when first asked for."""
        from edgevision.gallery.search import Searcher

        return Searcher(self.gallery)
