"""Which of a network's outputs are used: ``--output-name``, for those that also give what no task reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx

from edgevision.compiler.sources.graph import remove_unused_nodes, shape_of
from edgevision.compiler.sources.parity import ONLY_OUTPUT
from edgevision.errors import InputError

Array = npt.NDArray[np.float32]


def choose_outputs(outputs: Mapping[str, Array], names: Sequence[str], file: str) -> dict[str, Array]:
    """Those of ``outputs`` that are called one of ``names``; all of them where no names are given. An only one left is
    called ``output``. Raises InputError, with a list, for a name that none has."""
    if not names:
        return dict(outputs)
    _refuse_unknown(names, {name: (None, *array.shape[1:]) for name, array in outputs.items()}, file)
    chosen = {name: array for name, array in outputs.items() if name in names}
    return {ONLY_OUTPUT: next(iter(chosen.values()))} if len(chosen) == 1 else chosen


def keep_outputs(model: onnx.ModelProto, names: Sequence[str], file: str) -> None:
    """Take all outputs but these from the graph, in place, and the nodes that served only the others. Nothing happens
    where no names are given. Raises InputError, with a list, for a name that none has."""
    if not names:
        return
    graph = model.graph
    _refuse_unknown(names, {value.name: shape_of(value) for value in graph.output}, file)
    for value in [value for value in graph.output if value.name not in names]:
        graph.output.remove(value)
    remove_unused_nodes(graph)


def advice(shapes: Mapping[str, tuple[int | None, ...] | None]) -> str:
    """How to choose one of several outputs, which are listed; nothing to say of an only one."""
    if len(shapes) < 2:
        return ""
    return f". Its outputs are {_listed(shapes)}: choose with --output-name NAME"


def _refuse_unknown(names: Sequence[str], shapes: Mapping[str, tuple[int | None, ...] | None], file: str) -> None:
    for name in names:
        if name not in shapes:
            raise InputError(f"{file} has no output {name!r} for --output-name; it has {_listed(shapes)}")


def _listed(shapes: Mapping[str, tuple[int | None, ...] | None]) -> str:
    return ", ".join(f"{name!r} {written(shape)}" for name, shape in shapes.items())


def written(shape: tuple[int | None, ...] | None) -> str:
    """A shape for people: ``[?, 3, 224, 224]``."""
    return "unknown" if shape is None else "[" + ", ".join("?" if s is None else str(s) for s in shape) + "]"
