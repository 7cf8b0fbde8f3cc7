"""Embed: one vector for each picture, whose direction says what the picture shows. Which product that is, a gallery says."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.errors import EngineError, InputError, UnreadableOutputError
from edgevision.tasks.base import GoldenResult, OutputRole, TaskSpec, View
from edgevision.tasks.embedding import Embedding
from edgevision.tasks.registry import ModelFacts, TaskType
from edgevision.tasks.results import Label, Timing
from edgevision.tensors import Outputs, TensorInfo

KIND = "embed"
EMBEDDING = "embedding"  # the role of the one output, and its name in digests
VECTORS = "vectors"  # the one layout: [n, d], of any length; the task makes them unit vectors
LEAST_DIMENSION, MOST_DIMENSION = 16, 2048
LEAST_LENGTH = (
    1e-12  # of a vector: a shorter one is rounding, and points nowhere (torch.nn.functional.normalize has the same)
)

# Of the golden frames: the angle in radians between a vector and the stored one. A vector that turns by the angle a changes its
# cosine to any other vector by at most a, so these are also the most that a similarity in a gallery may move.
SAME_DEVICE_ANGLE = (
    0.02  # same variant, same instruction set: only the order of sums differs, and steps of int8 that lie on an edge
)
OTHER_DEVICE_ANGLE = (
    0.2  # 11°; two int8 engines turned Lite0's vectors by 0.035, at most 0.054 (benchmarks/headless_embedder.py)
)


class EmbedTask:
    """How an embedder's output tensor becomes results. Immutable, and so shared by threads.

    The one output plays the role ``embedding`` in the layout ``vectors``: [n, d] numbers, d of 16…2048, of any length; every
    digest and result is a unit vector. ``spec.labels`` may be empty: an embedder knows no classes, and those of the
    products that it was trained on change nothing. There are no parameters.

    >>> task = EmbedTask(embed_spec("output"))
    >>> task.digest({"output": np.array([[3.0, 4.0] + 14 * [0.0]])})["embedding"][0, :2].round(3).tolist()
    [0.6000000238418579, 0.800000011920929]
    """

    def __init__(self, spec: TaskSpec) -> None:
        if len(spec.outputs) != 1:
            raise InputError(f"an embedder has one output, got {len(spec.outputs)}")
        output = spec.output(EMBEDDING)
        if output.layout != VECTORS:
            raise InputError(f"the output of an embedder is '{VECTORS}', got {output.layout!r}")
        if spec.parameters:
            raise InputError(f"an embedder has no parameters, got {sorted(spec.parameters)}")
        self.spec = spec
        self._name = output.name

    def check(self, outputs: Sequence[TensorInfo]) -> None:
        """See ``Task``: one output of its name, [n, d]."""
        if len(outputs) != 1:
            raise EngineError(
                f"an embedder's graph has one output, [batch, dimension], got {len(outputs)}: {_shown(outputs)}; export only "
                "that one"
            )
        (vectors,) = outputs
        if vectors.name != self._name:
            raise EngineError(
                f"the graph's output is called '{vectors.name}', its task spec speaks of '{self._name}'; compile the model again"
            )
        if problem := _misfit(vectors):
            raise EngineError(problem)

    def digest(self, outputs: Outputs) -> dict[str, npt.NDArray[Any]]:
        """See ``Task``: ``embedding`` [n, d] float32, read-only, each of length 1.

        Raises UnreadableOutputError as ``unit_vectors`` does.
        """
        return {EMBEDDING: unit_vectors(outputs[self._name])}

    def decode(self, outputs: Outputs, views: Sequence[View], timing: Timing) -> list[Embedding]:
        """See ``Task``. Raises UnreadableOutputError as ``unit_vectors`` does."""
        started = time.perf_counter()
        vectors = unit_vectors(outputs[self._name])
        if len(views) != len(vectors):
            raise InputError(f"expected one view for each of {len(vectors)} vectors, got {len(views)}")
        timing = replace(timing, decode_ms=1e3 * (time.perf_counter() - started))
        return [Embedding(vector, timing, view.frame) for vector, view in zip(vectors, views, strict=True)]

    def compare(self, reference: Outputs, stored: Outputs, now: Outputs, *, same_device: bool) -> GoldenResult:
        """See ``Task``. ``worst``: the largest angle between a vector and the stored one, in radians.

        ``same_device``: at most 0.02. Otherwise: at most 0.2, and each vector is nearer to float's of its own frame than to float's
        of another, wherever float's two are further apart than twice that angle.
        """
        float_, expected, found = (digest[EMBEDDING] for digest in (reference, stored, now))
        if not float_.shape == expected.shape == found.shape or found.ndim != 2 or not len(found):
            raise InputError(
                f"golden frames: expected three arrays [n, dimension] of one shape, got {float_.shape}, {expected.shape}, "
                f"{found.shape}; the bundle's golden outputs do not belong to this model"
            )
        turned = angles(expected, found)
        worst, frame, count = float(turned.max()), int(turned.argmax()), len(found)
        allowed = SAME_DEVICE_ANGLE if same_device else OTHER_DEVICE_ANGLE
        if worst > allowed:
            place = "where it was compiled" if same_device else "on another engine or device"
            message = (
                f"golden frame {frame + 1} of {count}: the vector is turned by {worst:.3g} radians from the stored one, "
                f"{allowed:g} is allowed {place}"
            )
            return GoldenResult(False, worst, message)
        taken = [] if same_device else _taken_for_another(float_, found)
        if taken:
            message = (
                f"golden frame {taken[0] + 1} of {count}: the vector is nearer to float's of another frame than to float's of its "
                "own, though those two are far apart"
            )
            return GoldenResult(False, worst, message)
        return GoldenResult(
            True,
            worst,
            f"{count} golden frames agree: vectors turned by at most {worst:.2g} radians, allowed {allowed:g}",
        )


def embed_spec(output_name: str = "output", labels: Sequence[Label] = ()) -> TaskSpec:
    """The spec of an embedder whose one output is called ``output_name``. ``labels``: the products that it was trained on, where they
    are to be known; they change no answer.

    >>> embed_spec("embedding").outputs
    (OutputRole(role='embedding', name='embedding', layout='vectors'),)
    """
    return TaskSpec(KIND, tuple(labels), (OutputRole(EMBEDDING, output_name, VECTORS),))


def unit_vectors(vectors: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """``vectors`` [n, d] of any length → float32 [n, d] of length 1, a new, read-only array. Lengths are computed in float64.

    Raises UnreadableOutputError for another number of axes, NaN, infinite numbers, and vectors of no length, which have no
    direction.

    >>> unit_vectors([[0.0, 2.0]]).tolist()
    [[0.0, 1.0]]
    """
    values = np.array(vectors, dtype=np.float64)
    if values.ndim != 2:
        raise UnreadableOutputError(f"the network's output has shape {values.shape}, expected (n, dimension): vectors")
    if not np.isfinite(values).all():
        raise UnreadableOutputError(
            "the network's output holds NaN or infinite values; the graph or its input is broken"
        )
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    if (lengths < LEAST_LENGTH).any():
        item = int(lengths[:, 0].argmin())
        raise UnreadableOutputError(
            f"the network's vector {item + 1} of {len(values)} is zero, which has no direction; the graph or its input is broken"
        )
    values /= lengths
    unit = values.astype(np.float32)
    unit.flags.writeable = False
    return unit


def angles(a: npt.ArrayLike, b: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The angle in radians, 0…π, between each unit vector of ``a`` and its partner of ``b``, [n, d] each: [n].

    2·atan2(|a - b|, |a + b|), which stays exact where the angle is small and the cosine's last bits are lost (W. Kahan, "How
    Futile are Mindless Assessments of Roundoff in Floating-Point Computation?", 2006, section 12).

    >>> angles([[1.0, 0.0]], [[0.0, 1.0]]).round(4).tolist()
    [1.5708]
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    apart, along = np.linalg.norm(first - second, axis=1), np.linalg.norm(first + second, axis=1)
    return np.asarray(2.0 * np.arctan2(apart, along))


def _taken_for_another(float_: npt.NDArray[Any], found: npt.NDArray[Any]) -> list[int]:
    """The frames whose vector is nearer to float's of another frame, of those that float keeps far apart."""
    reference, here = float_.astype(np.float64), found.astype(np.float64)
    far = reference @ reference.T < np.cos(2 * OTHER_DEVICE_ANGLE)
    similar = here @ reference.T
    own = np.diagonal(similar)[:, None]
    return [int(frame) for frame in np.flatnonzero((far & (similar > own)).any(axis=1))]


def _misfit(output: TensorInfo) -> str:
    """Why these cannot be vectors; empty where they can."""
    shape = output.shape
    if len(shape) != 2:
        return (
            f"the output '{output.name}' has shape {_shape(shape)}, and an embedder gives [batch, dimension]: one vector for each "
            "picture; export the network with its pooling"
        )
    if shape[1] is None:
        return f"the output '{output.name}' has shape {_shape(shape)}; export the network with a fixed dimension"
    if not LEAST_DIMENSION <= shape[1] <= MOST_DIMENSION:
        return (
            f"the vectors of the output '{output.name}' have {shape[1]} numbers, and an embedder's have "
            f"{LEAST_DIMENSION}…{MOST_DIMENSION}"
        )
    return ""


def _shape(shape: Sequence[int | None]) -> str:
    return "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"


def _shown(outputs: Sequence[TensorInfo]) -> str:
    return ", ".join(f"'{output.name}' {_shape(output.shape)}" for output in outputs) or "none"


def _resolve(facts: ModelFacts) -> TaskSpec:
    """The spec of a network with these outputs, of which there is one, [n, d]."""
    if facts.layout not in (None, VECTORS):
        raise InputError(f"--output of an embedder is {VECTORS}, got {facts.layout!r}")
    if len(facts.outputs) != 1:
        raise InputError(
            f"an embedder has one output, [batch, dimension], got {len(facts.outputs)}: {_shown(facts.outputs)}; export only that one"
        )
    (output,) = facts.outputs
    if problem := _misfit(output):
        raise InputError(problem)
    return embed_spec(output.name, facts.labels)


TASK = TaskType(KIND, EmbedTask, _resolve, (VECTORS,), labels_required=False, has_classes=False, from_features=True)
