"""What serves the frames of a stream: a model, a cascade, or anything that answers like one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from edgevision.errors import InputError
from edgevision.frames import Frame

if TYPE_CHECKING:
    from edgevision.cascade import Cascade
    from edgevision.model import Model

_WARM_UP_RUNS = 3
_WARM_UP_S = 2.0
_MOST_LABELS = 5  # that a message names


class StreamModel(Protocol):
    """What the batcher needs of a model.

    ``id``: which model answered, in results. ``max_batch``: frames of one call at most. ``parallel``: calls that may run at once and
    gain by it; the batcher makes no more.
    """

    @property
    def id(self) -> str:
        """Which model it is."""

    @property
    def max_batch(self) -> int:
        """Frames of one call at most."""

    @property
    def parallel(self) -> int:
        """Calls that gain by running at once."""

    def predict_frames(self, frames: Sequence[Frame]) -> Sequence[Any]:
        """One result for each frame, in their order. Called from several threads at once where ``parallel`` is over 1."""


class ServedModel:
    """A ``Model`` or ``Cascade`` as the batcher sees it: ``model``. ``parts``: the one model, or the two. It stays its owner's to close."""

    def __init__(self, model: Model | Cascade) -> None:
        from edgevision.cascade import Cascade

        self.predict_frames: Callable[[Sequence[Frame]], Sequence[Any]]
        if isinstance(model, Cascade):
            self.parts: tuple[Model, ...] = (model.finder, model.recogniser)
            self.predict_frames = model.predict_frames
        else:
            self.parts = (model,)
            self.predict_frames = model.predict_items
        self.model = model
        first = self.parts[0]
        self.id = " → ".join(_id_of(part) for part in self.parts)
        self.max_batch = first.max_batch
        self.parallel = first.calls_at_once


def misfit(live: StreamModel, new: StreamModel, *, keep_labels: bool) -> str:
    """Why those who read the results of ``live`` could not read those of ``new``; empty where they can.

    Both have to do the same, such as detect. ``keep_labels``: and every label of the live model has to be known by the same id and name. A
    model of your own is not looked at: it does not tell.
    """
    if not isinstance(live, ServedModel) or not isinstance(new, ServedModel):
        return ""
    before, after = _kinds_of(live), _kinds_of(new)
    if before != after:
        return f"it can {after}, and the live model can {before}: those who read the results expect the same"
    if not keep_labels:
        return ""
    for old, part in zip(live.parts, new.parts, strict=True):
        names = {label.id: label.name for label in part.labels}
        lost = [label for label in old.labels if names.get(label.id) != label.name]
        if lost:
            shown = ", ".join(f"{label.name} ({label.id})" for label in lost[:_MOST_LABELS])
            more = f" and {len(lost) - _MOST_LABELS} more" if len(lost) > _MOST_LABELS else ""
            return f"it does not know these labels of the live model by the same id: {shown}{more}; to allow that, set keep_labels to false"
    return ""


def other_threshold(live: StreamModel, new: StreamModel) -> str:
    """The thresholds, in words, where both are the same bundles and only that of the first differs; empty where they are not."""
    if not isinstance(live, ServedModel) or not isinstance(new, ServedModel):
        return ""
    if [part.id for part in live.parts] != [part.id for part in new.parts]:
        return ""
    if any(before.labels != after.labels for before, after in zip(live.parts, new.parts, strict=True)):
        return ""  # of galleries
    before, after = live.parts[0].task.spec.parameters, new.parts[0].task.spec.parameters
    if all(before.get(name) == after.get(name) for name in ("threshold", "thresholds")):
        return ""
    return f"threshold {_threshold_in_words(after)} in place of {_threshold_in_words(before)}"


def _threshold_in_words(parameters: Mapping[str, Any]) -> str:
    if parameters.get("thresholds"):
        return "of each class"
    value = parameters.get("threshold")
    return "of its own" if value is None else f"{value:g}"


def _kinds_of(model: ServedModel) -> str:
    return ", then ".join(part.task.spec.kind for part in model.parts)


def _id_of(model: Model) -> str:
    return f"{model.manifest.name}@{model.id[:12]}"


def as_stream_model(model: Any) -> StreamModel:
    """``model`` itself where it answers already as the batcher needs it, else wrapped. Raises InputError for anything else."""
    from edgevision.cascade import Cascade
    from edgevision.model import Model

    if isinstance(model, (Model, Cascade)):
        return ServedModel(model)
    missing = [name for name in ("id", "max_batch", "parallel", "predict_frames") if not hasattr(model, name)]
    if missing:
        raise InputError(
            f"expected a model of edgevision.load, or an object with id, max_batch, parallel and predict_frames, got "
            f"{type(model).__name__} without {', '.join(missing)}"
        )
    for name in ("max_batch", "parallel"):
        count = getattr(model, name)
        if isinstance(count, bool) or not isinstance(count, Integral) or count < 1:
            raise InputError(f"{name} of a {type(model).__name__} is a whole number, at least 1, got {count!r}")
    served: StreamModel = model
    return served


def warm_up(model: StreamModel, max_batch: int) -> list[tuple[int, float]]:
    """Run black frames, alone, in a full batch and in batches between, so that no real one meets an engine that has yet to get ready.

    Returns (frames, seconds) of the quickest run of one frame and of a full batch: the seed of ``BatchCost``. The sizes between, powers
    of two, run once: engines with static shapes compile for each, and what is compiled in the middle of the day takes time and memory
    then. A batch is left out where it might take more than two seconds. A cascade finds nothing on black frames, and costs less than it
    will.
    """
    frame = Frame.from_array(np.zeros((64, 64, 3), np.uint8))
    measured: list[tuple[int, float]] = []
    between = [1 << power for power in range(1, max_batch.bit_length()) if 1 << power < max_batch]
    for size in sorted({1, *between, max_batch}):
        if measured and size * measured[0][1] > _WARM_UP_S:
            break
        if size in between:
            model.predict_frames([frame] * size)
            continue
        seconds: list[float] = []
        while not seconds or (len(seconds) < _WARM_UP_RUNS and sum(seconds) < _WARM_UP_S):
            started_s = time.perf_counter()
            model.predict_frames([frame] * size)
            seconds.append(time.perf_counter() - started_s)
        measured.append((size, min(seconds)))
    return measured
