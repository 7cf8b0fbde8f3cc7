"""Which vectors are nearest to a query: exactly, or among very many in a fraction of the time."""

from edgevision.gallery.index.base import VectorIndex
from edgevision.gallery.index.exact import ExactIndex
from edgevision.gallery.index.lists import ListIndex
from edgevision.gallery.index.making import make_index

__all__ = ["ExactIndex", "ListIndex", "VectorIndex", "make_index"]
