"""The exact index against looking at every vector in float64."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from made_vectors import by_float64, clustered, unit

from edgevision import _native
from edgevision.errors import InputError
from edgevision.gallery.index import ExactIndex

pytestmark = pytest.mark.requires("native")


def random_unit(count, dimension, seed=0):
    return unit(np.random.default_rng(seed).normal(size=(count, dimension)))


TABLES = {
    "one": random_unit(1, 16),
    "odd dimension": random_unit(77, 19),
    "a group and one": random_unit(33, 32),
    "no structure": random_unit(700, 24),
    "products": clustered(2000, 256),
    "close together": clustered(1500, 128, spread=0.01),
    "2048 numbers": clustered(200, 2048),
}


def check_same(index, vectors, queries, k, allowed=None):
    """Where float64's sums and ours round a similarity to two neighbouring float32 numbers, the order of these may differ."""
    places, similarities = index.search(queries, k, allowed)
    expected_places, expected = by_float64(vectors, queries, k, allowed)
    assert places.dtype == np.int64
    assert similarities.dtype == np.float32
    assert places.shape == similarities.shape == expected.shape
    np.testing.assert_allclose(similarities, expected, rtol=0, atol=2e-7)
    exact = np.einsum("qd,qkd->qk", queries.astype(np.float64), vectors[places].astype(np.float64))
    np.testing.assert_allclose(similarities, exact, rtol=0, atol=6e-8)
    assert (np.diff(similarities, axis=1) <= 0).all()
    for row, expected_row in zip(places, expected_places, strict=True):
        assert len(set(row.tolist())) == len(row)
        assert len(set(row.tolist()) - set(expected_row.tolist())) <= 1


@pytest.mark.parametrize("scan", _native.available_scans())
@pytest.mark.parametrize("name", TABLES)
def test_every_scan_finds_what_float64_finds(name, scan):
    vectors = TABLES[name]
    index = ExactIndex(vectors, scan)
    random = np.random.default_rng(1)
    near = unit(vectors[random.integers(0, len(vectors), 9)] + 0.05 * random_unit(9, vectors.shape[1], 2))
    for k in (1, 5, len(vectors) + 3):
        check_same(index, vectors, near, k)
    check_same(index, vectors, near[:1], 5, random.random(len(vectors)) < 0.2)


@pytest.mark.parametrize("name", TABLES)
def test_scans_give_the_same_bits(name):
    answers = [ExactIndex(TABLES[name], scan).search(TABLES[name][:11], 7) for scan in _native.available_scans()]
    for places, similarities in answers:
        assert places.tobytes() == answers[-1][0].tobytes()
        assert similarities.tobytes() == answers[-1][1].tobytes()


def test_equal_vectors_come_by_place():
    vectors = np.repeat(random_unit(20, 48), 5, axis=0)[np.random.default_rng(3).permutation(100)]
    index = ExactIndex(vectors)
    for query in vectors[:20]:
        same = np.flatnonzero((vectors == query).all(axis=1))
        places, similarities = index.search(query[None], 5)
        assert places.tolist() == [same.tolist()]
        assert len(set(similarities[0].tolist())) == 1


def test_vectors_that_int8_cannot_tell_apart_are_told_apart():
    """They differ by a hundredth of a step of the int8 copy, more with every place."""
    base = random_unit(1, 64)[0].astype(np.float64)
    aside = np.linalg.qr(np.stack([base, random_unit(1, 64, 5)[0]]).T)[0].T[1]
    turns = np.arange(500)[::-1] * 1e-4
    vectors = (np.cos(turns)[:, None] * base + np.sin(turns)[:, None] * aside).astype(np.float32)
    query = (np.cos(-0.3) * base + np.sin(-0.3) * aside).astype(np.float32)
    places, _ = ExactIndex(vectors).search(query[None], 10)
    assert places[0].tolist() == list(range(499, 489, -1))


def test_several_queries_find_what_each_finds_alone():
    vectors = clustered(900, 96)
    index = ExactIndex(vectors)
    queries = vectors[np.random.default_rng(0).integers(0, 900, 131)]
    together = index.search(queries, 6)
    for i, query in enumerate(queries):
        alone = index.search(query[None], 6)
        np.testing.assert_array_equal(together[0][i], alone[0][0])
        np.testing.assert_array_equal(together[1][i], alone[1][0])


@pytest.mark.parametrize("kept", [0, 1, 3, 40])
def test_a_mask_leaves_only_what_it_allows(kept):
    vectors = clustered(500, 32)
    allowed = np.zeros(500, bool)
    allowed[np.random.default_rng(kept).permutation(500)[:kept]] = True
    places, similarities = ExactIndex(vectors).search(vectors[:3], 8, allowed)
    assert places.shape == similarities.shape == (3, min(8, kept))
    assert allowed[places].all()
    check_same(ExactIndex(vectors), vectors, vectors[:3], 8, allowed)


def test_more_neighbours_than_vectors_gives_them_all():
    vectors = random_unit(7, 16)
    places, _ = ExactIndex(vectors).search(vectors[:2], 50)
    assert [sorted(row) for row in places.tolist()] == [list(range(7))] * 2


def test_no_vectors_and_no_queries():
    nothing = np.zeros((0, 16), np.float32)
    assert ExactIndex(nothing).search(random_unit(2, 16), 3)[0].shape == (2, 0)
    assert ExactIndex(random_unit(5, 16)).search(nothing, 3)[0].shape == (0, 3)


@pytest.mark.parametrize("steps", [(0, 1, 2, 40), (1000, 1001, 1060, 2500), (1500, 1501, 1502)])
def test_an_index_that_grew_is_as_one_made_at_once(steps):
    vectors = clustered(2500, 40)
    index = ExactIndex(vectors[: steps[0]])
    for count in steps[1:]:
        index = index.extended(vectors[:count])
    whole = ExactIndex(vectors[: steps[-1]])
    queries = vectors[::50]
    for found, expected in zip(index.search(queries, 5), whole.search(queries, 5), strict=True):
        np.testing.assert_array_equal(found, expected)
    before = ExactIndex(vectors[: steps[0]])
    assert before.search(queries[:1], 3)[0].shape[1] == min(3, steps[0])  # the one that grew is another


def test_the_copy_takes_about_a_quarter():
    vectors = clustered(4096, 256)
    index = ExactIndex(vectors)
    assert index.vectors is vectors
    assert index.bytes / len(vectors) == 256 + 12


def test_threads_share_an_index():
    vectors = clustered(3000, 64)
    index = ExactIndex(vectors)
    expected = index.search(vectors[:40], 5)[0]
    wrong: list[int] = []

    def ask():
        for _ in range(20):
            if not np.array_equal(index.search(vectors[:40], 5)[0], expected):
                wrong.append(1)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


QUERY = random_unit(1, 16)
TEN = random_unit(10, 16)


@pytest.mark.parametrize(
    ("queries", "k", "allowed", "words"),
    [
        (QUERY.astype(np.float64), 1, None, "queries"),
        (QUERY[0], 1, None, "queries"),
        (QUERY[:, :8], 1, None, "one bundle"),
        (QUERY * 2, 1, None, "length 2"),
        (QUERY * np.nan, 1, None, "length nan"),
        (QUERY * 0, 1, None, "length 0"),
        (QUERY, 0, None, "from 1"),
        (QUERY, True, None, "from 1"),
        (QUERY, 1.0, None, "from 1"),
        (QUERY, 1, np.ones(9, bool), "allowed"),
        (QUERY, 1, np.ones(10, np.uint8), "allowed"),
        (QUERY, 1, [True] * 10, "allowed"),
    ],
)
def test_what_a_search_refuses(queries, k, allowed, words):
    with pytest.raises(InputError, match=words):
        ExactIndex(TEN).search(queries, k, allowed)


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        (TEN.tolist(), "float32"),
        (TEN.astype(np.float16), "float32"),
        (TEN[:, :0], "at least one"),
        (np.concatenate([TEN, 3 * TEN[:1]]), "vector 10 has length 3"),
        (np.concatenate([TEN, TEN[:1] * np.inf]), "vector 10"),
    ],
)
def test_what_an_index_is_not_made_of(vectors, words):
    with pytest.raises(InputError, match=words):
        ExactIndex(vectors)


@pytest.mark.parametrize("more", [TEN[:9], TEN[:, :8], TEN.astype(np.float64), np.concatenate([TEN, 2 * TEN])])
def test_what_an_index_does_not_grow_to(more):
    with pytest.raises(InputError):
        ExactIndex(TEN).extended(more)


def array(dtype, *shape):
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("offsets", "places", "centre"),
    [
        ([1, 10], range(10), 16),
        ([0, 9], range(10), 16),
        ([0, 11], range(10), 16),
        ([0, 7, 5, 10], range(10), 16),
        ([0, -3, 10], range(10), 16),
        ([], range(10), 16),
        ([0, 10], [*range(9), 10], 16),
        ([0, 10], [*range(9), -1], 16),
        ([0, 10], range(9), 16),
        ([0, 10], range(10), 15),
    ],
)
def test_the_kernel_refuses_what_would_leave_its_memory(offsets, places, centre):
    with pytest.raises(ValueError, match="expected"):
        _native.CodedRows(TEN, array(np.float32, centre), np.array(offsets, np.int64), np.array(list(places), np.int64))


@pytest.mark.parametrize(
    ("allowed", "blocks", "places", "similarities"),
    [
        (array(bool, 9), None, (1, 3), (1, 3)),
        (None, [[1]], (1, 3), (1, 3)),
        (None, [[-1]], (1, 3), (1, 3)),
        (None, [[0], [0]], (1, 3), (1, 3)),
        (None, None, (1, 11), (1, 11)),
        (None, None, (2, 3), (2, 3)),
        (None, None, (1, 3), (1, 4)),
    ],
)
def test_the_kernel_refuses_a_search_that_would_leave_its_memory(allowed, blocks, places, similarities):
    rows = _native.CodedRows(TEN, array(np.float32, 16), np.array([0, 10], np.int64), np.arange(10, dtype=np.int64))
    given = None if blocks is None else np.array(blocks, np.int64)
    with pytest.raises(ValueError, match="expected"):
        rows.search(QUERY, allowed, given, array(np.int64, *places), array(np.float32, *similarities))
