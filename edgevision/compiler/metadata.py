"""Preprocess spec, labels and output kind inside an ONNX file, so that the file alone says how to use it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import onnx

from edgevision.errors import InputError, ModelFileError
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.classify import OUTPUTS
from edgevision.tasks.results import Label

_PREFIX = "edgevision."
_VERSION = "1"


@dataclass(frozen=True)
class ModelMetadata:
    """``labels`` in the order of the outputs; ``output`` is one of ``OUTPUTS``."""

    spec: PreprocessSpec
    labels: tuple[Label, ...]
    output: str


def write_metadata(model: onnx.ModelProto, metadata: ModelMetadata) -> None:
    """Put the metadata into ``model.metadata_props``, in place of what EdgeVision wrote there before."""
    values = {
        "version": _VERSION,
        "preprocess": json.dumps(metadata.spec.to_dict(), sort_keys=True),
        "labels": json.dumps([[label.id, label.name] for label in metadata.labels], ensure_ascii=False),
        "output": metadata.output,
    }
    kept = {p.key: p.value for p in model.metadata_props if not p.key.startswith(_PREFIX)}
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {**kept, **{_PREFIX + key: value for key, value in values.items()}})


def read_metadata(model: onnx.ModelProto, name: str) -> ModelMetadata | None:
    """What ``write_metadata`` wrote, or None. Raises ModelFileError when it is incomplete or wrong."""
    props = {p.key.removeprefix(_PREFIX): p.value for p in model.metadata_props if p.key.startswith(_PREFIX)}
    if not props:
        return None
    if props.get("version") != _VERSION:
        raise ModelFileError(
            f"{name} has EdgeVision metadata of version {props.get('version')!r}, this EdgeVision reads {_VERSION!r}; "
            "install the EdgeVision that wrote it, or export the model again"
        )
    try:
        spec = PreprocessSpec.from_dict(json.loads(props["preprocess"]))
        labels = tuple(Label(id, text) for id, text in json.loads(props["labels"]))
        output = props["output"]
        if output not in OUTPUTS or not labels or any(type(x.id) is not int or type(x.name) is not str for x in labels):
            raise ValueError(f"output {output!r} with {len(labels)} labels")
    except (KeyError, ValueError, TypeError, RecursionError, InputError) as error:
        raise ModelFileError(
            f"the EdgeVision metadata in {name} is damaged ({error}); export the model again"
        ) from error
    return ModelMetadata(spec, labels, output)
