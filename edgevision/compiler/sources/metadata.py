"""Preprocess spec and task spec inside an ONNX file, so that the file alone says how to use it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import onnx

from edgevision.errors import InputError, ModelFileError
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.base import TaskSpec
from edgevision.tasks.registry import DEFAULT_KIND, make_task

_PREFIX = "edgevision."
_VERSION = "2"


@dataclass(frozen=True)
class ModelMetadata:
    """How a model is used: how frames become its input, and how its outputs become results."""

    spec: PreprocessSpec
    task: TaskSpec


def write_metadata(model: onnx.ModelProto, metadata: ModelMetadata) -> None:
    """Put the metadata into ``model.metadata_props``, in place of what EdgeVision wrote there before."""
    values = {
        "version": _VERSION,
        "preprocess": json.dumps(metadata.spec.to_dict(), sort_keys=True),
        "task": json.dumps(metadata.task.to_dict(), sort_keys=True, ensure_ascii=False),
    }
    kept = {p.key: p.value for p in model.metadata_props if not p.key.startswith(_PREFIX)}
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {**kept, **{_PREFIX + key: value for key, value in values.items()}})


def read_metadata(model: onnx.ModelProto, name: str) -> ModelMetadata | None:
    """What ``write_metadata`` wrote, also that of version 1, or None. Raises ModelFileError for what is incomplete or
    wrong."""
    props = {p.key.removeprefix(_PREFIX): p.value for p in model.metadata_props if p.key.startswith(_PREFIX)}
    if not props:
        return None
    if props.get("version") not in ("1", _VERSION):
        raise ModelFileError(
            f"{name} has EdgeVision metadata of version {props.get('version')!r}, this EdgeVision reads {_VERSION!r}; "
            "install the EdgeVision that wrote it, or export the model again"
        )
    try:
        spec = PreprocessSpec.from_dict(json.loads(props["preprocess"]))
        task = _task_of_version_1(props) if props["version"] == "1" else TaskSpec.from_dict(json.loads(props["task"]))
        make_task(task)
    except (KeyError, ValueError, TypeError, RecursionError, InputError) as error:
        raise ModelFileError(
            f"the EdgeVision metadata in {name} is damaged ({error}); export the model again"
        ) from error
    return ModelMetadata(spec, task)


def _task_of_version_1(props: dict[str, str]) -> TaskSpec:
    """Version 1 knew one task, with one output, and wrote its labels and layout apart."""
    labels = [{"id": id, "name": text} for id, text in json.loads(props["labels"])]
    output = {"role": "scores", "name": "output", "layout": props["output"]}
    return TaskSpec.from_dict({"kind": DEFAULT_KIND, "labels": labels, "outputs": [output], "parameters": {}})
