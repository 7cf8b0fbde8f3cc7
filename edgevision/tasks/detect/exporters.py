"""What exporters of detectors write into their files: class names, and which kind of head it is."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from edgevision.errors import InputError
from edgevision.preprocess.spec import Fit, PreprocessSpec, preset
from edgevision.tasks.results import Label

MAX_CLASSES = 10_000
_MAX_NAMES_CHARACTERS = 500_000
_MAX_NAME_CHARACTERS = 1_000


@dataclass(frozen=True)
class Ultralytics:
    """What Ultralytics wrote. ``head``: the class of the network's last module (``Detect``, ``RTDETRDecoder``), empty in
    older files; ``task``: its own word for it; ``finished``: whether the graph selects its boxes itself, by one box for
    each object (``end2end``) or by suppression in the graph (``nms``)."""

    head: str
    task: str
    finished: bool

    @property
    def transformer(self) -> bool:
        """Whether it is an RT-DETR."""
        return self.head == "RTDETRDecoder"


def read_ultralytics(metadata: Mapping[str, str]) -> Ultralytics | None:
    """What is said in a file that Ultralytics exported; None for other files.

    Files before the key ``head`` name an RT-DETR in their description.
    """
    if metadata.get("author") != "Ultralytics":
        return None
    head = metadata.get("head", "")
    if not head and "rtdetr" in metadata.get("description", "").lower().replace("-", ""):
        head = "RTDETRDecoder"
    arguments = _literal(metadata.get("args", ""))
    suppressed = isinstance(arguments, dict) and arguments.get("nms") is True
    return Ultralytics(head, metadata.get("task", ""), suppressed or metadata.get("end2end") == "True")


def read_rfdetr(metadata: Mapping[str, str]) -> dict[str, Any] | None:
    """The JSON object that RF-DETR writes; None for other files. Raises InputError where it is no JSON object."""
    text = metadata.get("rfdetr_inference")
    if text is None:
        return None
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"the file's metadata 'rfdetr_inference' is no JSON ({error}); export the model again"
        ) from None
    if not isinstance(data, dict):
        raise InputError("the file's metadata 'rfdetr_inference' is no JSON object; export the model again")
    return data


def names_detector(metadata: Mapping[str, str]) -> bool:
    """Whether the metadata say that the file is a detector.

    >>> names_detector({"author": "Ultralytics", "task": "detect"})
    True
    """
    if "rfdetr_inference" in metadata or "torchvision.head" in metadata:
        return True
    said = read_ultralytics(metadata) is not None or "libreyolo_version" in metadata
    return said and metadata.get("task") == "detect"


def preprocess_from_metadata(metadata: Mapping[str, str]) -> PreprocessSpec | None:
    """How Ultralytics prepares pictures for a file that it exported; None for other files.

    Its YOLOs letterbox, its RT-DETR stretches; both take RGB, 0…1. The size is ``imgsz``: height and width.

    >>> preprocess_from_metadata({"author": "Ultralytics", "imgsz": "[384, 640]"}).tensor_shape
    (3, 384, 640)
    """
    ultralytics = read_ultralytics(metadata)
    size = _literal(metadata.get("imgsz", ""))
    if (
        ultralytics is None
        or not isinstance(size, list)
        or len(size) != 2
        or any(type(side) is not int for side in size)
    ):
        return None
    spec = preset("yolo", *size)
    return replace(spec, fit=Fit.STRETCH) if ultralytics.transformer else spec


def labels_from_metadata(metadata: Mapping[str, str]) -> tuple[Label, ...] | None:
    """The classes that an exporter named, in the order of the network's outputs; None where it named none.

    Read are ``names`` of Ultralytics and YOLOv5, ``{0: 'apple', 1: 'pear'}`` or a list, the same of LibreYOLO, whose
    numbers are text, and ``class_id_to_name`` of RF-DETR, whose ids are its columns and may have gaps. Raises InputError
    for names that cannot be read.

    >>> labels_from_metadata({"names": "{0: 'apple', 1: 'pear'}"})
    (Label(id=0, name='apple'), Label(id=1, name='pear'))
    """
    rfdetr = read_rfdetr(metadata)
    if rfdetr is not None:
        named = rfdetr.get("class_id_to_name")
        return None if not named else _labels(_with_numbers(named), gaps=True)
    if "names" not in metadata:
        return None
    names = _literal(metadata["names"])
    if isinstance(names, list):
        names = dict(enumerate(names))
    if "libreyolo_version" in metadata:
        names = _with_numbers(names)
    return _labels(names, gaps=False)


def _labels(names: object, *, gaps: bool) -> tuple[Label, ...]:
    """``{0: 'apple', …}`` as labels. ``gaps``: whether numbers may be missing."""
    if not isinstance(names, dict) or not 0 < len(names) <= MAX_CLASSES:
        raise _unreadable()
    ids = sorted(names) if all(type(key) is int for key in names) else []
    if not ids or ids[0] < 0 or (not gaps and ids != list(range(len(names)))):
        raise _unreadable()
    if not all(isinstance(name, str) and len(name) <= _MAX_NAME_CHARACTERS for name in names.values()):
        raise _unreadable()
    return tuple(Label(i, names[i]) for i in ids)


def _with_numbers(names: object) -> object:
    """JSON's keys are text: the numbers they stand for."""
    if not isinstance(names, dict) or not all(key.isdecimal() and len(key) < 10 for key in names):
        return None
    return {int(key): name for key, name in names.items()}


def _literal(text: str) -> object:
    """A Python literal, as ``str`` of a dict gives it; None for anything else. Nothing is evaluated but constants."""
    if len(text) > _MAX_NAMES_CHARACTERS:
        return None
    try:
        value: object = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return value


def _unreadable() -> InputError:
    return InputError(
        "the class names in the file's metadata cannot be read: expected {0: 'name', 1: 'name', …}. Give them with --labels"
    )
