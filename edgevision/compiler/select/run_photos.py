"""Variants run over photos: each photo is decoded and prepared once for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.compiler.answers import AnswerMeasure
from edgevision.compiler.data.photos import CompilePhoto, prepared
from edgevision.compiler.progress import ProgressFn, silent
from edgevision.compiler.variants import Variant
from edgevision.engines.base import Engine
from edgevision.preprocess import PreprocessSpec
from edgevision.tensors import Outputs, joined


def answers_of(
    found: Sequence[Variant], photos: Sequence[CompilePhoto], spec: PreprocessSpec, measure: AnswerMeasure, threads: int,
    step: str, progress: ProgressFn = silent,
) -> dict[str, Outputs]:  # fmt: skip
    """The answers (digests) of every variant, by its id, in one pass over the photos."""
    engines: dict[str, Engine] = {}
    try:
        for variant in found:
            engines[variant.id] = variant.open(threads)
        return run_all(engines, _with_progress(prepared(photos, spec), len(photos), step, progress), measure)
    finally:
        for engine in engines.values():
            engine.close()


def run_all(
    engines: Mapping[str, Engine], tensors: Iterable[npt.NDArray[Any]], measure: AnswerMeasure
) -> dict[str, Outputs]:
    """Run every engine over the tensors [n, …], item by item as a camera would; answers to all items by engine."""
    slots = {name: engine.slots(1)[0] for name, engine in engines.items()}
    answers: dict[str, list[dict[str, npt.NDArray[Any]]]] = {name: [] for name in engines}
    for tensor in tensors:
        for name, engine in engines.items():
            slot = slots[name]
            for item in tensor:
                slot.inputs[engine.inputs[0].name][0] = item
                engine.run(slot)
                outputs = {output: np.array(array[:1]) for output, array in slot.outputs.items()}
                answers[name].append(measure.digest(outputs))
    return {name: joined(parts) for name, parts in answers.items()}


def _with_progress(
    tensors: Iterator[npt.NDArray[Any]], total: int, step: str, progress: ProgressFn
) -> Iterator[npt.NDArray[Any]]:
    done = 0
    for tensor in tensors:
        progress(step, done, total)
        yield tensor
        done += len(tensor)
    progress(step, total, total)
