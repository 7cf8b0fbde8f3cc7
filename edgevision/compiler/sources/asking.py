"""What a model file does not say of itself, taken from the options; and what is said when it is in neither."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgevision.compiler.sources.metadata import ModelMetadata
from edgevision.compiler.sources.weights import ARCH_HELP
from edgevision.errors import InputError, ModelFileError
from edgevision.evaluate.data.labels import read_labels, read_output_labels
from edgevision.preprocess.spec import PRESETS, Layout, PreprocessSpec, TensorDtype, preset
from edgevision.tasks.base import TaskSpec
from edgevision.tasks.registry import DEFAULT_KIND, ModelFacts, task_type
from edgevision.tasks.results import Label

Shape = tuple[int | None, ...]
_DEFAULT_SIDE = 224
_MAX_SPEC_BYTES = 2**20


@dataclass(frozen=True)
class SourceOptions:
    """What the user says of a model file that does not say it itself.

    ``arch``: see ``weights.ARCH_HELP``, for state dicts. ``preprocess``: a spec, a preset's name, or a JSON file.
    ``labels``: the labels in the order of the outputs, or a labels file; where the model carries its own, these only
    explain the photos. ``task``: its kind, None = ``tasks.registry.DEFAULT_KIND``; another one than the file's where that one takes
    features (``tasks.registry.TaskType.from_features``). ``output``: how the outputs are to be read, one of the task's
    layouts. ``trust``: run code that stands in the file. ``output_names``: which of the network's outputs are used; none
    named = all.
    """

    arch: str | None = None
    preprocess: PreprocessSpec | str | Path | None = None
    labels: Path | str | Sequence[Label] | None = None
    output: str | None = None
    trust: bool = False
    task: str | None = None
    output_names: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The task's, where the file does not say it."""
        return self.task or DEFAULT_KIND


@dataclass(frozen=True)
class Described:
    """What is known of a model before it has run: the preprocess spec; and the task, or what it will be made of when the
    outputs are known."""

    spec: PreprocessSpec
    task: TaskSpec | None
    labels: tuple[Label, ...]


def resolve_metadata(
    name: str, carried: ModelMetadata | None, options: SourceOptions, shape: Shape | None, classes: int | None,
    written: Mapping[str, str] | None = None, *, headless: bool = False,
) -> Described:  # fmt: skip
    """Spec, labels and task: what the file carries, else what the options say. Nothing is guessed.

    ``shape``: of the model's input with the batch axis, where the file fixes it. ``classes``: its outputs, likewise.
    ``written``: what its exporter wrote into it. ``headless``: its last layer was taken off for another task, that of ``options``.
    Raises ModelFileError with a command and a template to fill in when something is in neither; InputError when the
    options contradict the file, or cannot be read.
    """
    spec = None if options.preprocess is None else _read_spec(name, options.preprocess, shape)
    kind = task_type(options.kind if carried is None or headless else carried.task.kind)
    if options.output is not None and options.output not in kind.layouts:
        if not kind.layouts:
            raise InputError(f"the outputs of models that {kind.kind} are read in one way only; leave out --output")
        raise InputError(f"--output is one of {list(kind.layouts)}, got {options.output!r}")
    if carried is not None:
        if isinstance(options.labels, (str, Path)):
            read_labels(options.labels)  # it explains the photos, not the outputs; but it has to be a labels file
        _refuse_contradiction(name, carried, options, spec, headless)
        result = Described(carried.spec, None if headless else carried.task, carried.task.labels)
    else:
        labels = None if options.labels is None else _read_labels(options.labels)
        spec = spec or kind.preprocess(written or {})
        silent = (labels is None and kind.labels_required) or (options.output is None and kind.layout_required)
        if spec is None or silent:
            raise missing(name, options, shape, classes)
        result = Described(spec, None, labels or ())
    check_spec(name, result.spec, shape)
    return result


def _refuse_contradiction(
    name: str, carried: ModelMetadata, options: SourceOptions, spec: PreprocessSpec | None, headless: bool
) -> None:
    layouts = {output.layout for output in carried.task.outputs}
    contradictions = {
        "--preprocess": spec is not None and spec != carried.spec,
        "--output": options.output is not None and layouts != {options.output} and not headless,
        "--task": options.task is not None and options.task != carried.task.kind and not headless,
        "--output-name": bool(options.output_names),
    }
    for option, contradicts in contradictions.items():
        if contradicts:
            raise InputError(f"{name} carries its own {option.lstrip('-')}, and {option} says otherwise; leave it out")


def resolve_task(name: str, kind: str, facts: ModelFacts) -> TaskSpec:
    """The task of a network of which these facts are known. Raises ModelFileError where it fits none, or more than one reading."""
    try:
        return task_type(kind).resolve(facts)
    except InputError as error:
        raise ModelFileError(f"{name}: {error}") from None


def check_spec(name: str, spec: PreprocessSpec, shape: Shape | None) -> None:
    """Raise InputError when the spec's tensor is not what the model takes."""
    if spec.dtype is not TensorDtype.FLOAT32:
        raise InputError(f"the preprocess spec of {name} gives {spec.dtype.value}; models to compile take float32")
    if shape is not None and any(
        want not in (None, got) for want, got in zip(shape[1:], spec.tensor_shape, strict=True)
    ):
        expected = ["any" if size is None else size for size in shape[1:]]
        raise InputError(
            f"the preprocess spec gives tensors of {list(spec.tensor_shape)} ({spec.layout.value}), {name} takes "
            f"{expected}; change height, width, color or layout in it"
        )


def missing(
    name: str, options: SourceOptions, shape: Shape | None, classes: int | None, *, arch: bool = False
) -> ModelFileError:
    """The error that says what is missing, with a command and templates to fill in. ``arch``: that is missing too."""
    lacks = ["which network it belongs to"] if arch else []
    lacks += ["how a photo becomes its input"] if options.preprocess is None else []
    kind = task_type(options.kind)
    needs_labels = kind.labels_required and options.labels is None
    lacks += ["what its classes are called"] if needs_labels else []
    needs_layout = kind.layout_required and options.output is None
    lacks += ["what its outputs are"] if needs_layout else []
    command = ["edgevision compile", name]
    if arch or options.arch:
        command.append(f"--arch {options.arch or 'torchvision:NAME'}")
    command.append(
        f"--preprocess {options.preprocess if isinstance(options.preprocess, (str, Path)) else 'preprocess.json'}"
    )
    if kind.has_classes:
        command.append(f"--labels {options.labels if isinstance(options.labels, (str, Path)) else 'labels.txt'}")
    if options.task is not None:
        command.append(f"--task {options.task}")
    command += [f"--output-name {output}" for output in options.output_names]
    if options.output is not None or kind.layout_required:
        command.append(f"--output {options.output or '|'.join(kind.layouts)}")
    lacking = " or ".join([part for part in (", ".join(lacks[:-1]), lacks[-1]) if part])
    lines = [f"{name} does not say {lacking}, and that is never guessed. Say it:", "  " + " ".join(command)]
    if arch:
        lines.append(f"--arch: {ARCH_HELP}")
    if options.preprocess is None:
        template = json.dumps(_sized("imagenet", shape).to_dict())
        lines.append(
            f"preprocess.json, changed to what the model was trained with (or --preprocess {'|'.join(PRESETS)}):"
        )
        lines.append("  " + template)
    if options.labels is None and kind.has_classes:
        lines.append(
            f"labels.txt: one class name a line, in the order of the outputs ({classes or 'as many as outputs'})"
        )
    return ModelFileError("\n".join(lines))


def takes_any_size(shape: Shape | None) -> bool:
    """Whether the model's input is known to be of any height or width."""
    return shape is not None and None in _size(shape)


def _is_nhwc(shape: Shape | None) -> bool:
    return shape is not None and shape[1] not in (1, 3) and shape[3] in (1, 3)


def _size(shape: Shape) -> Shape:
    """Height and width."""
    return shape[1:3] if _is_nhwc(shape) else shape[2:4]


def _sized(preset_name: str, shape: Shape | None) -> PreprocessSpec:
    """A preset with the size and layout of the model's input, where the file fixes them."""
    height, width = (None, None) if shape is None else _size(shape)
    spec = preset(preset_name, height or _DEFAULT_SIDE, width or _DEFAULT_SIDE)
    return replace(spec, layout=Layout.NHWC) if _is_nhwc(shape) else spec


def _read_spec(name: str, given: PreprocessSpec | str | Path, shape: Shape | None) -> PreprocessSpec:
    if isinstance(given, PreprocessSpec):
        return given
    if given in PRESETS:
        spec = _sized(str(given), shape)
        if takes_any_size(shape):
            raise InputError(
                f"{name} takes pictures of any size, and --preprocess {given} says none. Give a JSON file with the height and "
                f"width that it was trained with:\n  {json.dumps(spec.to_dict())}"
            )
        return spec
    path = Path(given)
    try:
        if path.stat().st_size > _MAX_SPEC_BYTES:
            raise InputError(f"--preprocess {path} is too large to be a preprocess spec; give its JSON file")
        spec = PreprocessSpec.from_dict(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        raise InputError(f"--preprocess is {'|'.join(PRESETS)} or a JSON file; there is no file {path}") from None
    except OSError as error:
        raise InputError(f"cannot read --preprocess {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"--preprocess {path}: {error}") from error
    if all(value < 1 for value in (*spec.mean, *spec.std)):
        mean, std = ([round(255 * value, 3) for value in values] for values in (spec.mean, spec.std))
        raise InputError(
            f"mean and std are in pixel units, 0…255, and those in {path} look like units of 0…1: "
            f'"mean": {mean}, "std": {std} would be 255 times that'
        )
    return spec


def _read_labels(given: Path | str | Sequence[Label]) -> tuple[Label, ...]:
    return read_output_labels(given) if isinstance(given, (str, Path)) else tuple(given)
