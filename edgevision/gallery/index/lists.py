"""Very many vectors: a query looks only into the lists that are nearest to it (an inverted file: Jégou, Douze and Schmid 2011,
"Product Quantization for Nearest Neighbor Search")."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision import _native
from edgevision.gallery.index.base import Mask, Places, check_found, checked_query, checked_vectors
from edgevision.gallery.index.clusters import coded_centres, nearest_cluster
from edgevision.gallery.index.exact import checked_more, mean_of
from edgevision.gallery.vectors import Vectors


@dataclass(frozen=True, eq=False)
class Lists:
    """Which vector is in which list. ``centres``: [m, d] float32, of length 1. ``list_of``: [n] int32, the place of the centre
    that each vector is nearest to. ``probes``: how many of the nearest lists a query looks into."""

    centres: Vectors
    list_of: npt.NDArray[np.int32]
    probes: int


class ListIndex:
    """Compares a query with the vectors of the nearest lists, and those exactly. See ``make_index``, which makes one.

    What ``allowed`` leaves is searched in all lists, and so exactly; likewise where the nearest lists hold fewer than ``k``.
    """

    def __init__(self, vectors: Vectors, lists: Lists) -> None:
        self._vectors = checked_vectors(vectors)
        self.lists = lists
        order = np.argsort(lists.list_of, kind="stable").astype(np.int64)
        sizes = np.bincount(lists.list_of, minlength=len(lists.centres))
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._rows = _native.CodedRows(self._vectors, mean_of(self._vectors), offsets, order)
        self._centres = coded_centres(lists.centres)

    @property
    def vectors(self) -> Vectors:
        """See ``VectorIndex``."""
        return self._vectors

    @property
    def bytes(self) -> int:
        """See ``VectorIndex``."""
        return self._rows.bytes + self._centres.bytes + self.lists.centres.nbytes + self.lists.list_of.nbytes

    def search(self, queries: Vectors, k: int, allowed: Mask | None = None) -> tuple[Places, Vectors]:
        """See ``VectorIndex``. Finds the share of the nearest that ``make_index`` measured."""
        queries, k, allowed = checked_query(queries, k, allowed, self._vectors)
        if allowed is not None:
            return self.search_all(queries, k, allowed)
        return self.search_nearest(queries, k, self.lists.probes)

    def search_nearest(self, queries: Vectors, k: int, probes: int) -> tuple[Places, Vectors]:
        """The same, in as many lists as ``probes`` says, and in all where these hold fewer than ``k``. Nothing is checked."""
        lists = np.empty((len(queries), probes), np.int64)
        check_found(self._centres.search(queries, None, None, lists, np.empty(lists.shape, np.float32)), queries)
        places = np.empty((len(queries), k), np.int64)
        similarities = np.empty(places.shape, np.float32)
        self._rows.search(queries, None, lists, places, similarities)
        if k and places[:, -1].min(initial=0) < 0:
            short = np.flatnonzero(places[:, -1] < 0)
            places[short], similarities[short] = self.search_all(queries[short], k, None)
        return places, similarities

    def search_all(self, queries: Vectors, k: int, allowed: Mask | None) -> tuple[Places, Vectors]:
        """The same in all lists, exactly. Nothing is checked."""
        places = np.empty((len(queries), k), np.int64)
        similarities = np.empty(places.shape, np.float32)
        check_found(self._rows.search(queries, allowed, None, places, similarities), queries)
        return places, similarities

    def extended(self, vectors: Vectors) -> ListIndex:
        """See ``VectorIndex``. The others go into the lists that are there."""
        new = checked_more(vectors, self._vectors)
        added, _ = nearest_cluster(new[len(self._vectors) :], self.lists.centres)
        more = ListIndex.__new__(ListIndex)
        more._vectors = new
        list_of = np.concatenate([self.lists.list_of, added.astype(np.int32)])
        more.lists = Lists(self.lists.centres, list_of, self.lists.probes)
        more._rows = self._rows.extended(new, added)
        more._centres = self._centres
        return more

    def __reduce__(self) -> tuple[type[ListIndex], tuple[object, ...]]:
        """Pickled by its vectors and lists."""
        return ListIndex, (self._vectors, self.lists)
