"""Which layout a file's outputs have: metadata is stronger than names, names than shapes. Nothing is guessed."""

from __future__ import annotations

from dataclasses import replace

from edgevision.errors import InputError
from edgevision.tasks.base import TaskSpec
from edgevision.tasks.detect.candidates import Reading
from edgevision.tasks.detect.exporters import labels_from_metadata, names_detector, preprocess_from_metadata
from edgevision.tasks.detect.layouts import LAYOUTS, find_layout
from edgevision.tasks.detect.task import KIND, DetectTask, detect_spec
from edgevision.tasks.registry import ModelFacts, TaskType
from edgevision.tasks.results import Label

MOST_CLASSES = 2000  # that a message proposes; larger sizes are those of grids


def resolve(facts: ModelFacts) -> TaskSpec:
    """The spec of a detector with these outputs. Labels that are not given are those that the exporter named.

    Raises InputError where the labels are missing, or do not match; where no reading fits; and where more than one does, with
    all of them and the option that chooses.
    """
    facts = replace(facts, labels=_labels(facts))
    if facts.tensor_size is None:
        raise InputError("the size of a detector's input has to be known; give it with --preprocess")
    readings = _readings(facts)
    if not readings:
        raise InputError(_nothing_fits(facts))
    if len(readings) > 1:
        lines = [f"  --output {reading.layout}: {reading.text}" for reading in readings]
        raise InputError(
            "\n".join([f"{_shown(facts)} can be read in {len(readings)} ways; say which is right:", *lines])
        )
    (reading,) = readings
    height, width = facts.tensor_size
    return detect_spec(
        facts.labels, reading.layout, reading.outputs, height=height, width=width, **reading.parameters
    )  # fmt: skip


def _labels(facts: ModelFacts) -> tuple[Label, ...]:
    """Those given, else those in the file. Raises InputError where there are none, or both and they differ in number."""
    written = labels_from_metadata(facts.metadata)
    if facts.labels and written is not None and len(facts.labels) != len(written):
        raise InputError(
            f"{len(facts.labels)} labels are given, and the file names {len(written)} classes: "
            f"{', '.join(repr(label.name) for label in written[:5])}, …. Give one label for each, in this order"
        )
    labels = facts.labels or written
    if not labels:
        raise InputError("the file does not say what its classes are called; give them with --labels")
    return labels


def _readings(facts: ModelFacts) -> list[Reading]:
    """Of the layouts that may be meant, the readings with the strongest evidence."""
    layouts = LAYOUTS.values() if facts.layout is None else (find_layout(facts.layout),)
    found = [reading for layout in layouts if (reading := layout.recognise(facts)) is not None]
    strongest = max((reading.evidence for reading in found), default=None)
    return [reading for reading in found if reading.evidence == strongest]


def _nothing_fits(facts: ModelFacts) -> str:
    asked = f"--output {facts.layout}" if facts.layout else f"any layout of detectors ({', '.join(LAYOUTS)})"
    text = f"{_shown(facts)} and an input of {facts.tensor_size} do not fit {asked} with {len(facts.labels)} labels"
    if other := _other_counts(facts):
        return f"{text}; with {other} labels they would. Give one label for each class the network knows"
    return f"{text}. The page 'Detect products' of the documentation shows them"


def _other_counts(facts: ModelFacts) -> str:
    """Numbers of labels that would make a reading possible, in words; empty where none would."""
    sizes = {size for output in facts.outputs for size in output.shape[1:] if size is not None}
    counts = sorted({size - extra for size in sizes for extra in (0, 1, 4, 5)})
    fitting = []
    for count in (count for count in counts if 0 < count <= MOST_CLASSES):
        labels = tuple(Label(i, str(i)) for i in range(count))
        if reading := _readings(replace(facts, labels=labels)):
            fitting.append(f"{count} ({', '.join(one.layout for one in reading)})")
    return " or ".join(fitting)


def _shown(facts: ModelFacts) -> str:
    return "the outputs " + ", ".join(
        f"'{output.name}' [{', '.join('?' if size is None else str(size) for size in output.shape)}]"
        for output in facts.outputs
    )


# Labels are in most files of detectors, and are asked for where they are not.
TASK = TaskType(
    KIND,
    DetectTask,
    resolve,
    tuple(LAYOUTS),
    labels_required=False,
    finds_boxes=True,
    claims=names_detector,
    preprocess=preprocess_from_metadata,
)
