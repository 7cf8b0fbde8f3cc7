"""The task seam, its half in the runtime: how a graph's outputs become results.

A *task* is classify, detect, embed, … Its other half, the metric that compares two models, is ``evaluate.base`` and is
no part of the runtime. ``registry`` knows the tasks by their kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.preprocess.geometry import Placement, Region
from edgevision.tasks.results import FrameId, Label, Timing
from edgevision.tensors import Outputs, TensorInfo

Result = TypeVar("Result")


@dataclass(frozen=True)
class OutputRole:
    """What one output of the graph is for. ``role``: the task's word for it, such as ``scores``; ``name``: the output's in
    the graph; ``layout``: how its numbers are to be read, such as ``logits``."""

    role: str
    name: str
    layout: str


@dataclass(frozen=True)
class TaskSpec:
    """Everything that turns a model's outputs into results, as plain values: in checkpoint, ONNX metadata and manifest.

    ``kind``: the task's name in the registry. ``labels``: in the order of the network's classes. ``outputs``: which output
    plays which role. ``parameters``: the task's numbers, such as ``temperature`` and ``threshold``; those that were
    fitted for one variant are merged in by ``with_parameters``.

    >>> spec = TaskSpec("classify", (Label(7, "apple"), Label(9, "pear")), (OutputRole("scores", "output", "logits"),))
    >>> TaskSpec.from_dict(spec.to_dict()) == spec
    True
    """

    kind: str
    labels: tuple[Label, ...]
    outputs: tuple[OutputRole, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def output(self, role: str) -> OutputRole:
        """The output that plays ``role``. Raises InputError where none does."""
        found = next((output for output in self.outputs if output.role == role), None)
        if found is None:
            roles = [output.role for output in self.outputs]
            raise InputError(f"expected an output for the role '{role}' of a model that can {self.kind}, got {roles}")
        return found

    def with_parameters(self, parameters: Mapping[str, Any]) -> TaskSpec:
        """The spec with ``parameters`` in place of its own of the same names."""
        return replace(self, parameters={**self.parameters, **parameters})

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; ``from_dict`` gives the spec back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: object) -> TaskSpec:
        """Check what ``to_dict`` gave, as JSON brings it back. Raises InputError, naming what is wrong."""
        if not isinstance(data, dict) or set(data) != {"kind", "labels", "outputs", "parameters"}:
            got = sorted(data) if isinstance(data, dict) else type(data).__name__
            raise InputError(f"a task spec has the keys kind, labels, outputs and parameters, got {got}")
        if not isinstance(data["kind"], str) or not data["kind"]:
            raise InputError(f"the kind of a task is a word, such as 'classify', got {data['kind']!r}")
        if not isinstance(data["parameters"], dict) or not all(isinstance(key, str) for key in data["parameters"]):
            raise InputError("the parameters of a task are an object")
        labels = [_fields(Label, entry, (int, str), "a label") for entry in _entries(data, "labels")]
        if len({label.id for label in labels}) != len(labels):
            raise InputError(f"labels have different ids; got {len(labels)} labels, some with the same id")
        outputs = [_fields(OutputRole, entry, (str, str, str), "an output") for entry in _entries(data, "outputs")]
        return cls(data["kind"], tuple(labels), tuple(outputs), dict(data["parameters"]))


@dataclass(frozen=True)
class View:
    """How a tensor's pixels lie in the caller's frame: what ``decode`` needs to answer in the frame's pixels.

    ``height``, ``width``: of the frame; ``region``: the part of it that was prepared; ``placement``: where that part,
    resized, lies in the tensor, which has ``tensor_height`` × ``tensor_width`` pixels.
    """

    frame: FrameId
    height: int
    width: int
    region: Region
    placement: Placement
    tensor_height: int
    tensor_width: int

    def to_frame(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Points [..., 2] as (x, y) in the tensor's pixels → the same places in the frame's pixels.

        Coordinates are continuous: pixel ``i`` covers ``i … i + 1`` in both. Points in the padding lie outside ``region``.

        >>> view = View(FrameId(), 1080, 1920, Region(0, 0, 1920, 1080), Placement(360, 640, 140, 0), 640, 640)
        >>> view.to_frame([320.0, 320.0]).tolist()
        [960.0, 540.0]
        """
        scale, offset, origin = self._mapping()
        return np.asarray((np.asarray(points, np.float64) - offset) * scale + origin)

    def to_tensor(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The other way: points [..., 2] in the frame's pixels → the same places in the tensor's pixels."""
        scale, offset, origin = self._mapping()
        return np.asarray((np.asarray(points, np.float64) - origin) / scale + offset)

    def _mapping(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """(x, y) each: frame pixels for a tensor pixel, where the picture begins in the tensor, and in the frame."""
        scale = np.array([self.region.width / self.placement.width, self.region.height / self.placement.height])
        offset = np.array([self.placement.left, self.placement.top], np.float64)
        origin = np.array([self.region.x, self.region.y], np.float64)
        return scale, offset, origin


@dataclass(frozen=True)
class GoldenResult:
    """What the golden frames showed. ``worst``: largest difference from what is stored, in the task's own measure."""

    passed: bool
    worst: float
    message: str


class Task(Protocol[Result]):
    """How outputs become results. Immutable, and so shared by threads. Made of a spec by ``registry.make_task``."""

    @property
    def spec(self) -> TaskSpec:
        """What it was made of."""

    def check(self, outputs: Sequence[TensorInfo]) -> None:
        """Raise EngineError, with what was expected, what came and what to do, unless a graph with these outputs fits."""

    def decode(self, outputs: Outputs, views: Sequence[View], timing: Timing) -> list[Result]:
        """One result for each item, in pixels of its frame. ``timing.decode_ms`` is filled in here.

        Raises UnreadableOutputError for outputs that cannot be an answer, such as NaN; so does ``compare``.
        """

    def digest(self, outputs: Outputs) -> Outputs:
        """What is kept of each item, by role: enough to compare two models, and bounded in size.

        Each array has the items as its first of two to four axes, the same further axes for every batch (pad to a fixed
        number), and finite numbers; about 3 kB an item is plenty. It must not depend on parameters that
        ``TaskEvaluator.fit`` gives: they are fitted on digests.
        """

    def compare(self, reference: Outputs, stored: Outputs, now: Outputs, *, same_device: bool) -> GoldenResult:
        """Compare what this device gives for the golden frames. All three are digests: ``reference`` of the float model and
        ``stored`` of this variant, both where it was compiled; ``now`` of this variant here. ``same_device``: engine
        version and instruction set are those of the compiler, so that only the order of sums may differ.
        """


@runtime_checkable
class GoldenKeeper(Protocol):
    """What a ``Task`` may have besides: it knows which part of a digest ``compare`` looks at."""

    def golden(self, digest: Outputs) -> Outputs:
        """What a bundle stores of a digest of golden frames: the same roles and frames, less of each."""


def golden_part(task: Task[Any], digest: Outputs) -> Outputs:
    """See ``GoldenKeeper``; all of the digest, of a task that does not choose."""
    return task.golden(digest) if isinstance(task, GoldenKeeper) else digest


def number(parameters: Mapping[str, Any], name: str, default: float, low: float, high: float) -> float:
    """A task's parameter as a float. Raises InputError where it is no number, or outside ``low`` … ``high``.

    >>> number({"threshold": 0.5}, "threshold", 0.0, 0.0, 1.0)
    0.5
    """
    value = parameters.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -math.inf < value < math.inf:
        raise InputError(f"{name} is a finite number, got {value!r}")
    if not low <= value <= high:
        raise InputError(f"{name} is within {low:g}…{high:g}, got {value!r}")
    return float(value)


def _entries(data: dict[str, Any], key: str) -> list[Any]:
    if not isinstance(data[key], (list, tuple)):
        raise InputError(f"the {key} of a task are a list, got {type(data[key]).__name__}")
    return list(data[key])


def _fields(kind: type[Any], entry: object, types: tuple[type, ...], what: str) -> Any:
    """An instance of the dataclass ``kind``, whose fields have ``types``."""
    names = list(kind.__dataclass_fields__)
    if not isinstance(entry, dict) or set(entry) != set(names):
        raise InputError(f"{what} of a task has the keys {names}, got {entry!r}")
    for name, expected in zip(names, types, strict=True):
        if type(entry[name]) is not expected:
            raise InputError(f"{what} of a task has as {name} a {expected.__name__}, got {entry[name]!r}")
    return kind(**entry)
