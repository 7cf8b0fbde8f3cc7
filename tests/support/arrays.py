"""Arrays in every layout, for the kernels behind the networks."""

from __future__ import annotations

import numpy as np


def table(rows: int, columns: int, dtype: type = np.float32, seed: int = 0, spread: float = 5.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, spread, (rows, columns)).astype(dtype)


def views(array: np.ndarray) -> dict[str, np.ndarray]:
    """The same values laid out in other ways."""
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    packed = np.zeros(array.nbytes + 1, np.uint8)
    unaligned = packed[1:].view(array.dtype).reshape(array.shape)
    unaligned[...] = array
    record = np.zeros(array.shape, [("flag", np.uint8), ("value", array.dtype)])
    record["value"] = array
    frozen = array.copy()
    frozen.setflags(write=False)
    return {
        "every second": wide[..., ::2],
        "reversed": np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1],
        "fortran": np.asfortranarray(array),
        "unaligned": unaligned,
        "in records": record["value"],  # strides that are no multiple of the item
        "read-only": frozen,
    }


def random_boxes(n: int, seed: int = 0, side: float = 640.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    center, size = rng.uniform(0, side, (n, 2)), rng.uniform(5, side / 4, (n, 2))
    return np.concatenate([center - size / 2, center + size / 2], axis=1).astype(np.float32)
