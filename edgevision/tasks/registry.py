"""The tasks by kind. A task of your own becomes one of them by ``register_task``, or by an entry point.

``pyproject.toml`` of a package that brings a task::

    [project.entry-points."edgevision.tasks"]
    count = "my_package.count:TASK"

Its entry point gives a ``TaskType``, and is loaded when a bundle or a compile asks for that kind.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgevision.errors import InputError
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.base import Task, TaskSpec
from edgevision.tasks.results import Label
from edgevision.tensors import TensorInfo

if TYPE_CHECKING:
    from importlib import metadata  # importing it takes as long as the rest of the runtime: inside functions

ENTRY_POINTS = "edgevision.tasks"
DEFAULT_KIND = "classify"  # of models that do not say what they do

# Tasks of ours, imported when first asked for: kind → module that has a TASK.
_OWN = {
    "classify": "edgevision.tasks.classify",
    "detect": "edgevision.tasks.detect.resolve",
    "embed": "edgevision.tasks.embed",
}
_registered: dict[str, TaskType] = {}


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model file that has no task spec: for ``TaskType.resolve``.

    ``outputs``: names, types and shapes. ``labels``: the classes. ``layout``: what the user named as ``--output``, or None.
    ``tensor_size``: height and width of its input in pixels. ``metadata``: what its exporter wrote into the file, as text.
    """

    outputs: tuple[TensorInfo, ...]
    labels: tuple[Label, ...]
    layout: str | None = None
    tensor_size: tuple[int, int] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


def _claims_nothing(metadata: Mapping[str, str]) -> bool:
    return False


def _says_nothing(metadata: Mapping[str, str]) -> PreprocessSpec | None:
    return None


@dataclass(frozen=True)
class TaskType:
    """A kind of task. ``make`` makes a task of a spec, and raises InputError for one that does not fit.

    ``resolve`` says which of a network's outputs plays which role. Where the facts leave more than one reading it raises
    InputError, which lists them; nothing is guessed. ``layouts``: what ``--output`` may be. ``layout_required``: whether
    outputs alone never tell, so that a file which does not say it needs ``--output``. ``labels_required``: whether
    the network's classes have names; ``has_classes``: whether it has any. ``from_features``: whether a network that was made for another
    task serves this one without its last layer, by what that layer gets. ``finds_boxes``: whether results have ``boxes``, as ``Detections`` do, so that such a
    model can be the first of a cascade. ``claims``: whether a file with this metadata is one of the task's, so that nobody
    has to say ``--task``. ``preprocess``: how pictures become the input, where the metadata say it.
    """

    kind: str
    make: Callable[[TaskSpec], Task[Any]]
    resolve: Callable[[ModelFacts], TaskSpec]
    layouts: tuple[str, ...] = ()
    layout_required: bool = False
    labels_required: bool = True
    has_classes: bool = True
    from_features: bool = False
    finds_boxes: bool = False
    claims: Callable[[Mapping[str, str]], bool] = _claims_nothing
    preprocess: Callable[[Mapping[str, str]], PreprocessSpec | None] = _says_nothing


def register_task(task: TaskType) -> None:
    """Make a task known. The same kind again replaces it; kinds of ours cannot be replaced (InputError)."""
    if task.kind in _OWN:
        raise InputError(f"the task '{task.kind}' is edgevision's own; give yours another kind")
    _registered[task.kind] = task


def task_kinds() -> tuple[str, ...]:
    """The kinds that are known here: ours, those registered, those of installed packages."""
    from importlib import metadata

    installed = (point.name for point in metadata.entry_points(group=ENTRY_POINTS))
    return tuple(dict.fromkeys((*_OWN, *_registered, *installed)))


def find_task(kind: str) -> TaskType | None:
    """The task of this kind, or None where nobody brings it."""
    if kind in _registered:
        return _registered[kind]
    if kind in _OWN:
        task: TaskType = importlib.import_module(_OWN[kind]).TASK
    else:
        from importlib import metadata

        point = next(iter(metadata.entry_points(group=ENTRY_POINTS, name=kind)), None)
        if point is None:
            return None
        task = load_entry_point(point, ENTRY_POINTS)
        if not isinstance(task, TaskType) or task.kind != kind:
            raise InputError(f"the entry point '{kind}' of {ENTRY_POINTS} is to give a TaskType '{kind}', got {task!r}")
    _registered[kind] = task
    return task


def task_type(kind: str) -> TaskType:
    """The task of this kind. Raises InputError where nobody brings it, naming those that are known."""
    task = find_task(kind)
    if task is None:
        raise InputError(
            f"nothing here knows the task '{kind}'; known are {', '.join(task_kinds())}. Install the package that brings "
            "it, or call edgevision.tasks.registry.register_task before"
        )
    return task


def claimed_kind(metadata: Mapping[str, str]) -> str | None:
    """The kind of task that a file with this metadata is for, or None where they do not say it to any task of ours, or
    registered one."""
    kinds = (kind for kind in dict.fromkeys((*_OWN, *_registered)) if task_type(kind).claims(metadata))
    return next(kinds, None)


def load_entry_point(point: metadata.EntryPoint, group: str) -> Any:
    """What the entry point gives. Raises InputError where its package cannot be imported."""
    try:
        return point.load()
    except Exception as error:  # whatever a foreign package raises
        raise InputError(
            f"the entry point '{point.name}' of {group} cannot be loaded ({type(error).__name__}: {error}); install its "
            "package again"
        ) from error


def make_task(spec: TaskSpec) -> Task[Any]:
    """The task that ``spec`` describes. Raises InputError for an unknown kind, or a spec that does not fit it."""
    return task_type(spec.kind).make(spec)
