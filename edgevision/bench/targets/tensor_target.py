"""A target made of an engine that takes a tensor: preprocessing with OpenCV before it, our task's reading of outputs after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.bench.targets.base import Answer, Identity
from edgevision.bench.targets.knowledge import Knowledge
from edgevision.bench.targets.opencv import OpenCvPreprocess, decode_jpeg, difference_of
from edgevision.bench.targets.reading import answer_of, tensors_answer
from edgevision.errors import InputError
from edgevision.preprocess.spec import Fit, PreprocessSpec, TensorDtype
from edgevision.tasks.results import Timing

Tensor = npt.NDArray[Any]
# A tensor [n, …] → outputs by name, [n, …] each.
Run = Callable[[Tensor], Mapping[str, Tensor]]

MAX_TENSORS = 2048  # that are made beforehand where only the engine is measured
_NO_TIME = Timing(0.0, 0.0, 0.0)


class TensorTarget:
    """``knowledge``: of the model; None: only the engine is measured, with tensors that are made when a frame is first seen.
    ``fixed_batch``: of the graph, None where it takes any."""

    parallel = False

    def __init__(
        self, identity: Identity, run: Run, knowledge: Knowledge | None, spec: PreprocessSpec, fixed_batch: int | None = None,
        close: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self.identity = identity
        self._run_engine = run
        self._knowledge = knowledge
        self._prepare = OpenCvPreprocess(spec, identity.threads)
        self._batch = fixed_batch
        self._close = close
        self._tensors: dict[int, tuple[Any, Tensor]] = {}  # with its frame, so that the id stays that frame's

    def answer(self, frames: Sequence[Any], stages: dict[str, int] | None) -> Sequence[Any]:  # noqa: D102 - as in Target, and so are those below
        if self._batch is None or self._batch == len(frames):
            return self._answer(frames, stages)
        return [
            result
            for start in range(0, len(frames), self._batch)
            for result in self._answer(frames[start : start + self._batch], stages)
        ]

    def read(self, result: Any) -> Answer:  # noqa: D102
        if self._knowledge is None:
            return tensors_answer(result)
        return answer_of(result, self._knowledge.task.spec.labels)

    def close(self) -> None:  # noqa: D102
        self._tensors.clear()
        if self._close is not None:
            self._close()

    def _answer(self, frames: Sequence[Any], stages: dict[str, int] | None) -> Sequence[Any]:
        if self._knowledge is None:
            return self._engine_only(frames, stages)
        began = time.perf_counter_ns()
        pictures = [decode_jpeg(frame) if isinstance(frame, bytes) else frame for frame in frames]
        decoded = time.perf_counter_ns()
        tensor, views = self._prepare.run(pictures)
        prepared = time.perf_counter_ns()
        outputs = self._run(tensor, len(frames))
        ran = time.perf_counter_ns()
        results = self._knowledge.task.decode(outputs, views, _NO_TIME)
        if stages is not None:
            if isinstance(frames[0], bytes):
                _add(stages, "decode", decoded - began)
            _add(stages, "preprocess", prepared - decoded)
            _add(stages, "infer", ran - prepared)
            _add(stages, "post", time.perf_counter_ns() - ran)
        return results

    def _engine_only(self, frames: Sequence[Any], stages: dict[str, int] | None) -> Sequence[Any]:
        tensors = [self._tensor_of(frame) for frame in frames]
        tensor = tensors[0] if len(tensors) == 1 else np.concatenate(tensors)
        began = time.perf_counter_ns()
        outputs = self._run(tensor, len(frames))
        if stages is not None:
            _add(stages, "infer", time.perf_counter_ns() - began)
        return [{name: array[place : place + 1] for name, array in outputs.items()} for place in range(len(frames))]

    def _tensor_of(self, frame: Any) -> Tensor:
        """Made when the frame is first seen, which is before any clock runs: each frame is answered once first."""
        kept = self._tensors.get(id(frame))
        if kept is None:
            if len(self._tensors) >= MAX_TENSORS:
                raise InputError(
                    f"only the engine is measured, with tensors of at most {MAX_TENSORS} frames; take fewer"
                )
            picture = decode_jpeg(frame) if isinstance(frame, bytes) else frame
            kept = self._tensors[id(frame)] = (frame, self._prepare.run([picture])[0])
        return kept[1]

    def _run(self, tensor: Tensor, count: int) -> Mapping[str, Tensor]:
        """A graph whose batch is larger than the frames gets zeros for the rest."""
        if self._batch is not None and count < self._batch:
            tensor = np.concatenate([tensor, np.zeros((self._batch - count, *tensor.shape[1:]), tensor.dtype)])
        outputs = self._run_engine(tensor)
        if len(tensor) == count:
            return outputs
        return {name: array[:count] for name, array in outputs.items()}


def plain_spec(shape: Sequence[int | None], dtype: str, what: str) -> PreprocessSpec:
    """How frames become the input of a graph of which nothing is known: stretched, RGB, 0…1. Its answers mean nothing, its time does.

    ``shape``: of the input, None for an axis that is not fixed. Raises InputError unless it is [batch, 3, height, width].
    """
    sides = list(shape)
    if len(sides) != 4 or sides[1] != 3 or not isinstance(sides[2], int) or not isinstance(sides[3], int):
        raise InputError(
            f"{what} takes {dtype} of shape {['?' if side is None else side for side in sides]}, and nothing in it says how frames become "
            "that; give the bundle of the same model with @as=BUNDLE, or export it with a fixed [batch, 3, height, width]"
        )
    known = {one.value for one in TensorDtype}
    if dtype not in known:
        raise InputError(f"{what} takes {dtype}; expected one of {', '.join(sorted(known))}")
    return PreprocessSpec(sides[2], sides[3], fit=Fit.STRETCH, dtype=TensorDtype(dtype))


def notes_of(knowledge: Knowledge | None, spec: PreprocessSpec) -> tuple[str, ...]:
    """What a reader should know of how it was asked."""
    if knowledge is None:
        return (
            "only the engine is measured: nothing says how frames become its input or what its outputs mean, so tensors are made "
            "beforehand and outputs are not read (give @as=BUNDLE)",
        )
    notes = [f"preprocessing by OpenCV, outputs read by EdgeVision's task, both as {knowledge.source} says"]
    difference = difference_of(spec)
    return (*notes, difference) if difference else tuple(notes)


def task_name(knowledge: Knowledge | None) -> str:
    """The kind of task, "" where nobody knows it."""
    return "" if knowledge is None else knowledge.task.spec.kind


def _add(stages: dict[str, int], name: str, nanoseconds: int) -> None:
    stages[name] = stages.get(name, 0) + nanoseconds
