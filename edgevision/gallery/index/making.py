"""Which index for how many vectors: exact as long as that is quick, and lists whose recall was measured beyond."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from edgevision.gallery.index.base import Places, VectorIndex, checked_vectors
from edgevision.gallery.index.cache import read_lists, write_lists
from edgevision.gallery.index.clusters import find_clusters, nearest_cluster
from edgevision.gallery.index.exact import ExactIndex
from edgevision.gallery.index.lists import ListIndex, Lists
from edgevision.gallery.vectors import Vectors

EXACT_UP_TO = 20_000  # vectors
RECALL = 0.99

_SAMPLE = 256  # vectors that recall is measured with
_DEPTH = 5
_LIST = 128  # vectors to a list, at least: shorter ones are mostly padding
_MOST_GROWTH = 2.0  # of a gallery since its lists were made


def make_index(
    vectors: Vectors, *, exact_up_to: int = EXACT_UP_TO, recall: float = RECALL, cache: Path | None = None
) -> VectorIndex:
    """An index of ``vectors``, [n, d] float32 of length 1; they are kept, not copied, and not to be changed.

    Up to ``exact_up_to`` of them every search is exact. Beyond, a search looks into as many lists as it takes to find ``recall`` of the
    nearest vector, and of the five nearest, of a sample of the vectors themselves, each without itself. Where that takes more
    than half of the lists, every search is exact after all.

    ``cache``: a file that the lists are kept in, since finding them takes seconds. It is tied to the vectors by their hash, serves a gallery
    that grew, too, and may be deleted at any time. Warns CacheWarning where it cannot be written.

    >>> make_index(np.eye(16, dtype=np.float32)).search(np.eye(16, dtype=np.float32)[:1], 1)[0].tolist()
    [[0]]
    """
    rows = checked_vectors(vectors)
    if len(rows) <= exact_up_to:
        return ExactIndex(rows)
    lists = None if cache is None else read_lists(cache, rows)
    if lists is None or len(rows) > _MOST_GROWTH * len(lists.list_of):
        lists = _make_lists(rows, recall)
        if cache is not None:
            write_lists(cache, rows, lists)
    if 2 * lists.probes > len(lists.centres):
        return ExactIndex(rows)
    return ListIndex(rows[: len(lists.list_of)], lists).extended(rows)


def _make_lists(vectors: Vectors, recall: float) -> Lists:
    centres = find_clusters(vectors, list_count(len(vectors)))
    list_of = nearest_cluster(vectors, centres)[0].astype(np.int32)
    index = ListIndex(vectors, Lists(centres, list_of, len(centres)))
    return Lists(centres, list_of, probes_for(index, recall))


def list_count(vectors: int) -> int:
    """How many lists: looking for the nearest lists takes about as long as looking into them.

    >>> list_count(1_000_000)
    4000
    """
    return max(2, min(round(4 * math.sqrt(vectors)), vectors // _LIST))


def probes_for(index: ListIndex, recall: float) -> int:
    """How many lists ``recall`` takes, to an eighth; see ``make_index``."""
    sample = _Sample(index)
    most = len(index.lists.centres)
    low, high = 0, 1
    while high < most and sample.recall(high) < recall:
        low, high = high, min(most, 2 * high)
    while high - low > max(1, high // 8):
        middle = (low + high) // 2
        low, high = (middle, high) if sample.recall(middle) < recall else (low, middle)
    return high


class _Sample:
    """Vectors of an index, with the similarities of their nearest, and of their fifth nearest, among all the others."""

    def __init__(self, index: ListIndex, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        count = len(index.vectors)
        self._index = index
        self._chosen = np.sort(random.choice(count, min(_SAMPLE, count), replace=False))
        self._queries = index.vectors[self._chosen]
        self._k = min(_DEPTH + 1, count)
        self._nearest = self._others(*index.search_all(self._queries, self._k, None))

    def recall(self, probes: int) -> float:
        """The smaller of the two shares that are found in ``probes`` lists. What is as near as the last that was to be found
        counts as found."""
        found = self._others(*self._index.search_nearest(self._queries, self._k, probes))
        first = found[:, :1] >= self._nearest[:, :1]
        return min(float(first.mean()), float((found >= self._nearest[:, -1:]).mean()))

    def _others(self, places: Places, similarities: Vectors) -> Vectors:
        """The similarities without each vector's own; without the last, where equals have taken its place."""
        own = places == self._chosen[:, None]
        own[~own.any(axis=1), -1] = True
        others: Vectors = similarities[~own].reshape(len(places), -1)
        return others
