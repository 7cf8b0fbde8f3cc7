import math
from types import SimpleNamespace

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.gallery.examples import Example
from edgevision.gallery.products import GalleryProduct
from edgevision.recommend.shelf import Shelf


def products(*ids):
    return [GalleryProduct(id, f"product {id}") for id in ids]


def test_a_gallery_gives_each_product_the_mean_of_its_examples():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((5, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    owners = [30, 10, 30, 10, 30]
    gallery = SimpleNamespace(
        products=products(10, 20, 30), examples=[Example(id, "00", "2026-11-28") for id in owners], vectors=vectors
    )
    shelf = Shelf.of_gallery(gallery)
    for id in (10, 30):
        mean = vectors[[place for place, owner in enumerate(owners) if owner == id]].astype(np.float64).mean(axis=0)
        assert shelf.vector_of(id) == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    assert shelf.vector_of(20) is None
    assert shelf.vector_of(99) is None


def test_what_all_have_in_common_tells_nothing():
    """Cosines of raw vectors are all near 1 here; those of looks are those of what differs."""
    rng = np.random.default_rng(1)
    own = rng.standard_normal((40, 16))
    own[:, 0] = 0
    shelf = Shelf(products(*range(40)), own + 20 * np.eye(16)[0])
    raw = (shelf.vectors @ shelf.vectors.T)[np.triu_indices(40, 1)]
    looks = (shelf.looks @ shelf.looks.T)[np.triu_indices(40, 1)]
    unit = own / np.linalg.norm(own, axis=1, keepdims=True)
    assert raw.min() > 0.9
    assert np.corrcoef(looks, (unit @ unit.T)[np.triu_indices(40, 1)])[0, 1] > 0.98


def test_it_cannot_be_changed():
    shelf = Shelf(products(1, 2), np.eye(2))
    with pytest.raises(ValueError, match="read-only"):
        shelf.vectors[0, 0] = 2.0


@pytest.mark.parametrize(
    ("ids", "vectors", "message"),
    [
        ((1, 2), np.zeros((3, 4)), "each of 2 products"),
        ((1,), np.zeros(4), "shape"),
        ((1,), np.array([[math.nan, 1.0]]), "finite"),
        ((1, 1), np.eye(2), "same id"),
    ],
)
def test_bad_vectors_are_refused(ids, vectors, message):
    with pytest.raises(InputError, match=message):
        Shelf(products(*ids), vectors)
