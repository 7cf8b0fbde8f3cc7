"""softmax and top_k against NumPy in more than float32, and against sorting."""

from __future__ import annotations

import numpy as np
import pytest
from arrays import table, views

from edgevision.errors import InputError
from edgevision.tasks.postprocess import softmax, top_k

pytestmark = pytest.mark.requires("native")

DTYPES = [np.float32, np.float64]

COLUMNS = [1, 3, 4, 5, 15, 16, 17, 33, 81, 1000, 1040]  # around the widths of the SIMD loops


def reference_softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    wide = logits.astype(np.longdouble)  # more than float64 where the platform has it, for float64 is tested too
    powers = np.exp((wide - wide.max(axis=1, keepdims=True)) / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("temperature", [1.0, 0.3, 2.5])
@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_is_that_of_float64(columns, temperature, dtype):
    logits = table(7, columns, dtype, seed=columns)
    answer, expected = softmax(logits, temperature), reference_softmax(logits, temperature)
    assert answer.dtype == dtype
    # ln p, the exponent, is itself rounded: after subtracting, and as a product of two rounded factors.
    allowed = expected * np.finfo(dtype).eps * (4 + 2 * abs(np.log(expected))) + np.finfo(dtype).tiny
    assert (abs(answer - expected) <= allowed).all()
    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-6)


def test_every_exponent_of_float32():
    """Two columns, 0 and -x: the second probability is e⁻ˣ / (1 + e⁻ˣ)."""
    x = np.linspace(0, 120, 20001, dtype=np.float32)
    logits = np.stack([np.zeros_like(x), -x], axis=1)
    expected = reference_softmax(logits, 1.0)
    np.testing.assert_allclose(softmax(logits), expected, rtol=4e-7, atol=np.finfo(np.float32).tiny)


def test_a_long_row_does_not_lose_small_terms():
    logits = np.zeros((1, 1_000_003), np.float32)
    np.testing.assert_allclose(softmax(logits), 1 / 1_000_003, rtol=2e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        ([[5.0, -np.inf]], [[1, 0]]),
        ([[-np.inf] * 20 + [-3.0]], [[0] * 20 + [1]]),
        ([[1e30, 1e30]], [[0.5, 0.5]]),
        ([[-1e30, 1e30]], [[0, 1]]),
        ([[1e4, 0.0] * 10], [[0.1, 0] * 10]),
    ],
)
def test_extreme_logits(dtype, logits, expected):
    np.testing.assert_allclose(softmax(np.array(logits, dtype)), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [2, 40])
@pytest.mark.parametrize("bad", [np.nan, np.inf, "all -inf"])
@pytest.mark.parametrize("column", [0, 1, -1])
def test_softmax_names_the_row_it_refuses(dtype, columns, bad, column):
    logits = table(5, columns, dtype)
    logits[3, slice(None) if bad == "all -inf" else column] = -np.inf if bad == "all -inf" else bad
    with pytest.raises(InputError, match="row 3 "):
        softmax(logits)


@pytest.mark.parametrize("temperature", [0, -1.0, np.nan, np.inf, 1e-60, 1e60, "1", True])
def test_softmax_refuses_a_temperature(temperature):
    with pytest.raises(InputError, match="temperature is a finite number above 0"):
        softmax(table(1, 3), temperature)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("count", [1, 2, 5, 32, 33, 100, 5000])
def test_top_k_is_a_stable_sort(dtype, columns, count):
    scores = table(6, columns, dtype, seed=columns)
    scores[1] = 0.5  # all equal
    scores[2] = np.arange(columns)  # each better than all before
    scores[3] = -np.arange(columns)
    scores[4] = np.random.default_rng(columns).integers(0, 4, columns)  # ties
    scores[5, ::2] = -np.inf
    indices, values = top_k(scores, count)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(values, np.take_along_axis(scores, expected, axis=1))
    assert indices.dtype == np.int64
    assert values.dtype == dtype


def test_zero_and_minus_zero_are_equal_scores():
    indices, _ = top_k(np.array([[-0.0, 0.0, -0.0, 0.0]]), 3)
    assert indices.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 40, 100])
@pytest.mark.parametrize("column", [0, 39, 40, 70, -1])
def test_top_k_names_the_row_with_nan(dtype, count, column):
    scores = table(4, 100, dtype)
    scores[2, column] = np.nan
    with pytest.raises(InputError, match="row 2 holds NaN"):
        top_k(scores, count)


@pytest.mark.parametrize("count", [0, -1, 1.0, True, None])
def test_top_k_refuses_a_count(count):
    with pytest.raises(InputError, match="count is a whole number from 1"):
        top_k(table(1, 3), count)


@pytest.mark.parametrize("function", [softmax, lambda array: top_k(array, 2)], ids=["softmax", "top_k"])
@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3), np.float16), "float32 or float64; got float16"),
        (np.zeros((2, 3), np.int64), "got int64"),
        (np.zeros((2, 3), np.dtype(np.float32).newbyteorder()), "got [<>]f4"),
        (np.zeros(3, np.float32), r"got shape \(3,\)"),
        (np.zeros((1, 2, 3), np.float32), r"got shape \(1, 2, 3\)"),
        ([[0.0, 1.0]], "got list"),
    ],
)
def test_tables_of_another_kind_are_refused(function, array, message):
    with pytest.raises(InputError, match=message):
        function(array)


@pytest.mark.parametrize("shape", [(0, 5), (4, 0), (0, 0)])
def test_empty_tables(shape):
    empty = np.zeros(shape, np.float32)
    assert softmax(empty).shape == shape
    indices, values = top_k(empty, 3)
    assert indices.shape == values.shape == (shape[0], min(3, shape[1]))


@pytest.mark.parametrize("view", ["every second", "reversed", "fortran", "unaligned", "in records", "read-only"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_layout_gives_the_same_answer(view, dtype):
    array = table(6, 35, dtype)
    other = views(array)[view]
    np.testing.assert_array_equal(softmax(other), softmax(array))
    for a, b in zip(top_k(other, 4), top_k(array, 4), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(other, array)  # left as it was
