"""Indexes of very many vectors: recall, what they hand to the exact search, growth, and the file of their lists."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from made_vectors import by_float64, clustered, unit

from edgevision.errors import CacheWarning
from edgevision.gallery.index import ExactIndex, ListIndex, make_index
from edgevision.gallery.index.cache import read_lists, write_lists
from edgevision.gallery.index.clusters import find_clusters, nearest_cluster
from edgevision.gallery.index.making import list_count

pytestmark = pytest.mark.requires("native")

COUNT = 6000


@pytest.fixture(scope="module")
def vectors():
    return clustered(COUNT, 48, views=6, spread=0.6)


@pytest.fixture(scope="module")
def index(vectors):
    return make_index(vectors, exact_up_to=1000)


def test_up_to_a_bound_every_search_is_exact(vectors):
    assert isinstance(make_index(vectors), ExactIndex)
    assert isinstance(make_index(vectors, exact_up_to=COUNT), ExactIndex)
    assert isinstance(make_index(vectors, exact_up_to=COUNT - 1), ListIndex)


def test_beyond_it_the_share_that_was_promised_is_found_in_fewer_lists(vectors, index):
    """With queries that are not of the gallery: other views of its products."""
    assert 1 <= index.lists.probes <= len(index.lists.centres) / 2
    random = np.random.default_rng(7)
    queries = unit(vectors[random.integers(0, COUNT, 400)] + 0.3 / 48**0.5 * random.normal(size=(400, 48)))
    found = index.search(queries, 5)[0]
    nearest = by_float64(vectors, queries, 5)[0]
    assert (found[:, 0] == nearest[:, 0]).mean() >= 0.97
    assert np.mean([len(np.intersect1d(a, b)) / 5 for a, b in zip(found, nearest, strict=True)]) >= 0.97


def test_what_it_finds_is_in_order_and_true(vectors, index):
    places, similarities = index.search(vectors[:50], 9)
    exact = np.einsum("qd,qkd->qk", vectors[:50].astype(np.float64), vectors[places].astype(np.float64))
    np.testing.assert_allclose(similarities, exact, rtol=0, atol=6e-8)
    assert (np.diff(similarities, axis=1) <= 0).all()
    np.testing.assert_array_equal(places[:, 0], np.arange(50))


@pytest.mark.parametrize("share", [0.001, 0.3])
def test_with_a_mask_it_is_exact(vectors, index, share):
    allowed = np.random.default_rng(1).random(COUNT) < share
    np.testing.assert_array_equal(
        index.search(vectors[:20], 5, allowed)[0], by_float64(vectors, vectors[:20], 5, allowed)[0]
    )


def test_where_the_nearest_lists_hold_too_few_all_are_searched(vectors, index):
    places, similarities = index.search(vectors[:3], COUNT)
    assert [len(set(row)) for row in places.tolist()] == [COUNT] * 3
    assert np.isfinite(similarities).all()


def test_vectors_without_structure_are_searched_exactly():
    """In many dimensions, and nothing but noise, no list is nearer than the others."""
    noise = unit(np.random.default_rng(0).normal(size=(3000, 256)))
    assert isinstance(make_index(noise, exact_up_to=100), ExactIndex)


def test_one_that_grew_finds_what_came(vectors):
    index = make_index(vectors[:5000], exact_up_to=1000, recall=0.9)
    grown = index.extended(vectors[:5001]).extended(vectors)
    np.testing.assert_array_equal(grown.search(vectors[4990:], 1)[0][:, 0], np.arange(4990, COUNT))
    np.testing.assert_array_equal(grown.lists.list_of[5000:], nearest_cluster(vectors[5000:], grown.lists.centres)[0])
    assert len(index.vectors) == len(index.lists.list_of) == 5000


def test_each_cluster_is_the_middle_of_what_is_nearest_to_it():
    middles = unit(np.random.default_rng(0).normal(size=(8, 32)))
    vectors = unit(np.repeat(middles, 60, axis=0) + 0.02 * np.random.default_rng(1).normal(size=(480, 32)))
    some = vectors[::2].copy()
    found = find_clusters(some, 8)  # no more vectors than it takes: none is left out
    nearest, similarities = nearest_cluster(some, found)
    own = unit(np.stack([some[nearest == place].sum(axis=0) for place in range(8)]))
    np.testing.assert_allclose(found, own, atol=1e-5)
    chosen = some[np.random.default_rng(2).choice(240, 8, replace=False)]
    assert similarities.mean() > nearest_cluster(some, chosen)[1].mean()


@pytest.mark.parametrize("exact", [False, True])
def test_a_pickled_one_answers_the_same(vectors, index, exact):
    before = ExactIndex(vectors) if exact else index
    again = pickle.loads(pickle.dumps(before))
    for found, expected in zip(again.search(vectors[:5], 3), before.search(vectors[:5], 3), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_it_is_made_the_same_each_time(vectors, index):
    again = make_index(vectors, exact_up_to=1000)
    np.testing.assert_array_equal(again.lists.list_of, index.lists.list_of)
    assert again.lists.probes == index.lists.probes


@pytest.mark.parametrize(("count", "expected"), [(20_000, 156), (100_000, 781), (1_000_000, 4000), (100, 2)])
def test_the_number_of_lists(count, expected):
    assert list_count(count) == expected


# ---- the file ----


@pytest.fixture
def file(tmp_path, vectors, index):
    path = tmp_path / "shop.evg.lists"
    write_lists(path, vectors, index.lists)
    return path


def same(lists, others):
    return (
        np.array_equal(lists.centres, others.centres)
        and np.array_equal(lists.list_of, others.list_of)
        and lists.probes == others.probes
    )


def test_kept_lists_are_taken_up(file, vectors, index, monkeypatch):
    assert same(read_lists(file, vectors), index.lists)
    monkeypatch.setattr("edgevision.gallery.index.making.find_clusters", None)  # it would fail
    again = make_index(vectors, exact_up_to=1000, cache=file)
    for found, expected in zip(again.search(vectors[:9], 5), index.search(vectors[:9], 5), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_kept_lists_serve_a_gallery_that_grew(file, vectors):
    more = np.concatenate([vectors, clustered(100, 48, seed=9)])
    index = make_index(more, exact_up_to=1000, cache=file)
    assert len(index.lists.list_of) == len(more)
    np.testing.assert_array_equal(index.search(more[-5:], 1)[0][:, 0], np.arange(len(more) - 5, len(more)))


def test_one_that_doubled_gets_new_lists(file, vectors):
    more = np.concatenate([vectors, clustered(COUNT + 1, 48, seed=9)])
    make_index(more, exact_up_to=1000, cache=file)
    assert len(read_lists(file, more).list_of) == len(more)


def other(vectors):
    changed = vectors.copy()
    changed[3, 0] = np.nextafter(changed[3, 0], np.float32(2))
    return changed


@pytest.mark.parametrize("change", [other, lambda rows: rows[:-1].copy(), lambda rows: rows[::-1].copy()])
def test_lists_of_other_vectors_are_not_taken_up(file, vectors, change):
    assert read_lists(file, change(vectors)) is None


def test_a_damaged_file_counts_as_not_there(file, vectors):
    whole = file.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(40):
        place, bit = int(random.integers(len(whole))), 1 << int(random.integers(8))
        file.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
        assert read_lists(file, vectors) is None
    for length in (0, 7, 71, 72, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        assert read_lists(file, vectors) is None
    file.write_bytes(whole + b"x")
    assert read_lists(file, vectors) is None
    file.unlink()
    assert read_lists(file, vectors) is None


def test_lists_that_cannot_be_kept_are_told_and_serve(tmp_path, vectors):
    with pytest.warns(CacheWarning, match="cannot be kept"):
        index = make_index(vectors, exact_up_to=1000, cache=tmp_path / "missing" / "lists")
    assert isinstance(index, ListIndex)


def test_nothing_is_told_where_they_can(tmp_path, vectors):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_index(vectors, exact_up_to=1000, cache=tmp_path / "lists")
