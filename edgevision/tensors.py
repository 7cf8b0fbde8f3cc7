"""What goes into graphs and comes out of them: names, element types and shapes of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

# A graph's outputs by name, each [n, …] for n items.
Outputs: TypeAlias = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class TensorInfo:
    """Name, element type (NumPy's name) and shape of a graph's input or output; None = dynamic."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


def items_of(outputs: Outputs, items: slice) -> dict[str, npt.NDArray[Any]]:
    """The outputs of some of the items. Views, not copies.

    >>> items_of({"scores": np.array([[1], [2], [3]])}, slice(1, 3))["scores"].tolist()
    [[2], [3]]
    """
    return {name: array[items] for name, array in outputs.items()}


def joined(parts: list[dict[str, npt.NDArray[Any]]]) -> dict[str, npt.NDArray[Any]]:
    """Outputs of several batches, one after another. ``parts``: at least one; each has the same names.

    >>> joined([{"a": np.array([[1]])}, {"a": np.array([[2]])}])["a"].tolist()
    [[1], [2]]
    """
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def describe(outputs: Outputs) -> tuple[TensorInfo, ...]:
    """Name, type and shape of each output; the first axis, the items, is dynamic.

    >>> describe({"scores": np.zeros((2, 3), np.float32)})
    (TensorInfo(name='scores', dtype='float32', shape=(None, 3)),)
    """
    return tuple(TensorInfo(name, a.dtype.name, (None, *map(int, a.shape[1:]))) for name, a in outputs.items())
