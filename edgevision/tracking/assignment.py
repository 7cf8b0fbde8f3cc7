"""Which row goes with which column, so that the sum of their similarities is greatest.

SciPy has the same in C++, and is not used: its import takes a second and 50 MB, a frame with 30 products here less than a
millisecond.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Pairs = npt.NDArray[np.int64]


def assign(similarity: npt.NDArray[np.floating[Any]], least: float) -> Pairs:
    """The pairs (row, column), each row and column used at most once, that maximise the sum of ``similarity - least``.

    ``similarity`` [rows, columns], finite; pairs at or under ``least`` are never made. Returns int64 [pairs, 2], by row.
    The answer is exact.

    >>> assign(np.array([[0.9, 0.8], [0.8, 0.1]]), least=0.2).tolist()  # 0.8 + 0.8 is more than 0.9 alone
    [[0, 1], [1, 0]]
    """
    gain = np.maximum(similarity - least, 0.0).astype(np.float64)
    rows, columns = np.flatnonzero(gain.any(axis=1)), np.flatnonzero(gain.any(axis=0))
    if not len(rows):
        return np.empty((0, 2), np.int64)
    cost = -gain[np.ix_(rows, columns)]
    if len(rows) <= len(columns):
        pairs = np.stack([rows, columns[_least_cost(cost)]], axis=1)
    else:
        pairs = np.stack([rows[_least_cost(cost.T)], columns], axis=1)
        pairs = pairs[np.argsort(pairs[:, 0])]
    chosen: Pairs = pairs[gain[pairs[:, 0], pairs[:, 1]] > 0]
    return chosen


def _least_cost(cost: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The column of each row of ``cost`` [n, m], n ≤ m, so that the sum is least.

    Rows are added one by one, each along the shortest augmenting path in reduced costs (D. F. Crouse, "On implementing 2D
    rectangular assignment algorithms", IEEE Transactions on Aerospace and Electronic Systems 52(4), 2016, section III).
    """
    rows, columns = cost.shape
    row_price, column_price = cost.min(axis=1), np.zeros(columns)
    row_of, column_of = np.full(columns, -1), np.full(rows, -1)
    # Rows that alone want their cheapest column have it at once: in most frames, nearly all.
    wanted, first = np.unique(cost.argmin(axis=1), return_index=True)
    row_of[wanted], column_of[first] = first, wanted
    for start in np.flatnonzero(column_of < 0):
        distance = np.full(columns, np.inf)
        previous = np.full(columns, -1)  # the row from which the path came
        done = np.zeros(columns, bool)
        row, travelled = start, 0.0
        while True:
            through = travelled + cost[row] - row_price[row] - column_price
            nearer = ~done & (through < distance)
            distance[nearer], previous[nearer] = through[nearer], row
            column = int(np.argmin(np.where(done, np.inf, distance)))
            travelled = float(distance[column])
            done[column] = True
            if row_of[column] < 0:
                break
            row = row_of[column]
        # New prices: what lies on the path keeps a reduced cost of 0, nothing gets a negative one.
        saved = travelled - distance[done]
        owners = row_of[done]
        row_price[owners[owners >= 0]] += saved[owners >= 0]
        row_price[start] += travelled
        column_price[done] -= saved
        while True:  # every row on the path moves to the column that it reached
            row = previous[column]
            row_of[column] = row
            column_of[row], column = column, int(column_of[row])
            if row == start:
                break
    return column_of
