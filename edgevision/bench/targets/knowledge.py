"""How a model file that is no bundle is used: its preprocess spec and its task, from its own metadata or from a bundle."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgevision.bench.targets.address import TargetAddress, existing_file, number_option
from edgevision.errors import InputError
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.base import Task, TaskSpec
from edgevision.tasks.registry import ModelFacts, claimed_kind, make_task, task_type
from edgevision.tensors import TensorInfo

_OURS = "edgevision."
_VERSION = "2"


# A graph's outputs with their shapes, for frames prepared so.
OutputsOf = Callable[[PreprocessSpec], Sequence[TensorInfo]]


@dataclass(frozen=True, eq=False)
class Knowledge:
    """``spec``: how frames become the input. ``task``: how outputs become results. ``source``: who said so, for the notes."""

    spec: PreprocessSpec
    task: Task[Any]
    source: str


def find_knowledge(
    address: TargetAddress, metadata: Mapping[str, str], outputs_of: OutputsOf, size: tuple[int, int] | None
) -> Knowledge | None:
    """What ``@as=BUNDLE`` says, else what the file's metadata do (ours, or those of a task that claims them); None where neither
    does: then only the engine can be measured.

    ``outputs_of(spec)``: the graph's outputs, asked where the graph itself leaves their sizes open; ``size``: height and width of its input, where fixed. ``@conf=`` and ``@iou=`` replace a detector's
    thresholds. Raises InputError where what is said does not fit, EngineError where the task does not take these outputs.
    """
    if "as" in address.options:
        spec, task, source = _from_bundle(address)
    elif f"{_OURS}task" in metadata and metadata.get(f"{_OURS}version") == _VERSION:
        spec, task = _from_ours(metadata, address)
        source = "the file's own metadata, of EdgeVision"
    else:
        kind = claimed_kind(metadata)
        found = None if kind is None else task_type(kind).preprocess(metadata)
        if kind is None or found is None:
            _refuse_thresholds(address)
            return None
        spec = found if size is None else replace(found, height=size[0], width=size[1])
        facts = ModelFacts(tuple(outputs_of(spec)), (), None, (spec.height, spec.width), metadata)
        task = task_type(kind).resolve(facts)
        source = f"the file's own metadata, of {metadata.get('author', 'its exporter')}"
    if size is not None and (spec.height, spec.width) != size:
        raise InputError(
            f"'{address.text}': its input has {size[0]}×{size[1]} pixels, {source} says {spec.height}×{spec.width}; give the bundle of the same model"
        )
    outputs = outputs_of(spec)
    made = make_task(_with_thresholds(_with_names(task, outputs), address))
    made.check(outputs)
    return Knowledge(spec, made, source)


def _with_names(task: TaskSpec, outputs: Sequence[TensorInfo]) -> TaskSpec:
    """The task of a graph whose only output has another name: compiling names outputs anew. Of several, names alone tell which is which."""
    if len(task.outputs) != 1 or len(outputs) != 1:
        return task
    return replace(task, outputs=(replace(task.outputs[0], name=outputs[0].name),))


def knowledge_of(address: TargetAddress, spec: PreprocessSpec, task: TaskSpec, source: str) -> Knowledge:
    """The same of a spec and a task that were read already."""
    return Knowledge(spec, make_task(_with_thresholds(task, address)), source)


def bundle_specs(address: TargetAddress) -> tuple[PreprocessSpec, TaskSpec]:
    """Preprocess spec and task spec of the bundle that ``@as=`` names."""
    spec, task, _ = _from_bundle(address)
    return spec, task


def _from_bundle(address: TargetAddress) -> tuple[PreprocessSpec, TaskSpec, str]:
    """The float variant's task where there is one: peers run float graphs, and thresholds were fitted to each."""
    from edgevision.bundle.reader import open_bundle

    path = existing_file(address.options["as"], address)
    bundle = open_bundle(path)
    try:
        manifest = bundle.manifest
        floats = [one for one in manifest.variants if manifest.graphs[one.graph].precision == "float32"]
        task = manifest.task_of(floats[0]) if floats else manifest.task
        return manifest.preprocess, task, f"the bundle {path.name}"
    finally:
        bundle.close()


def _from_ours(metadata: Mapping[str, str], address: TargetAddress) -> tuple[PreprocessSpec, TaskSpec]:
    try:
        spec = PreprocessSpec.from_dict(json.loads(metadata[f"{_OURS}preprocess"]))
        return spec, TaskSpec.from_dict(json.loads(metadata[f"{_OURS}task"]))
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"'{address.text}': the EdgeVision metadata in it are damaged ({error}); export it again"
        ) from None


def _with_thresholds(task: TaskSpec, address: TargetAddress) -> TaskSpec:
    asked = {"threshold": "conf", "iou": "iou"}
    given = {name: number_option(address, key, 0.0) for name, key in asked.items() if key in address.options}
    if not given:
        return task
    if not task_type(task.kind).finds_boxes:
        _refuse_thresholds(address)
    if "threshold" in given:
        return task.with_parameters({**given, "thresholds": None})
    return task.with_parameters(given)


def _refuse_thresholds(address: TargetAddress) -> None:
    if given := [key for key in ("conf", "iou") if key in address.options]:
        raise InputError(
            f"'{address.text}': {given[0]} is for a detector, and nothing says that this is one; leave it out, or add as=BUNDLE"
        )
