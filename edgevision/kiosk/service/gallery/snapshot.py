"""A gallery as it was at one moment, with what the service makes of it once and asks often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from edgevision.errors import MissingExtraError
from edgevision.gallery.gallery import Gallery
from edgevision.tasks.results import Label

if TYPE_CHECKING:
    from edgevision.gallery.search import Searcher


class Snapshot:
    """``gallery``: never changes, and threads share it. ``labels``: its products as the classes that a recogniser knows. ``examples``: how
    many each product has, by its id. ``path``: its file, beside which what is learnt of words is kept.

    Making one makes it ready for its first question too: the index, and what tells known from unknown.
    """

    def __init__(self, gallery: Gallery, path: Path | None = None) -> None:
        self.gallery = gallery
        self._path = path
        self.labels = tuple(Label(one.id, one.name) for one in gallery.products)
        self.examples: Mapping[int, int] = Counter(one.product for one in gallery.examples)
        if gallery.examples:
            gallery.match(gallery.vectors[:1], top=1)

    @cached_property
    def searcher(self) -> Searcher:
        """What finds products by words; made when first asked for. By what words mean where ``edgevision[text]`` is installed, else by their
        letters alone."""
        from edgevision.gallery.search import Searcher
        from edgevision.gallery.text.kept import open_meanings
        from edgevision.gallery.text.minilm import open_minilm

        if not self.gallery.products:
            return Searcher(self.gallery)
        try:
            encoder = open_minilm()
        except MissingExtraError:
            return Searcher(self.gallery)
        return Searcher(self.gallery, open_meanings(self.gallery, encoder, self._path))
