"""What a model file does not say of itself, taken from the options; and what is said when it is in neither."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgevision.compiler.metadata import ModelMetadata
from edgevision.compiler.weights import ARCH_HELP
from edgevision.errors import InputError, ModelFileError
from edgevision.evaluate.labels import read_labels, read_output_labels
from edgevision.preprocess.spec import PRESETS, Layout, PreprocessSpec, TensorDtype, preset
from edgevision.tasks.classify import OUTPUTS
from edgevision.tasks.results import Label

Shape = tuple[int | None, ...]
_DEFAULT_SIDE = 224
_MAX_SPEC_BYTES = 2**20


@dataclass(frozen=True)
class SourceOptions:
    """What the user says of a model file that does not say it itself.

    ``arch``: see ``weights.ARCH_HELP``, for state dicts. ``preprocess``: a spec, a preset's name, or a JSON file.
    ``labels``: the labels in the order of the outputs, or a labels file; where the model carries its own, these only
    explain the photos. ``output``: "logits" or "probabilities".
    ``trust``: run code that stands in the file.
    """

    arch: str | None = None
    preprocess: PreprocessSpec | str | Path | None = None
    labels: Path | str | Sequence[Label] | None = None
    output: str | None = None
    trust: bool = False


def complete(
    name: str, carried: ModelMetadata | None, options: SourceOptions, shape: Shape | None, classes: int | None
) -> ModelMetadata:
    """Spec, labels and output kind: what the file carries, else what the options say. Nothing is guessed.

    ``shape``: of the model's input with the batch axis, where the file fixes it. ``classes``: its outputs, likewise.
    Raises ModelFileError with a command and a template to fill in when something is in neither; InputError when the
    options contradict the file, or cannot be read.
    """
    spec = None if options.preprocess is None else _read_spec(options.preprocess, shape)
    if options.output is not None and options.output not in OUTPUTS:
        raise InputError(f"--output is one of {list(OUTPUTS)}, got {options.output!r}")
    if carried is not None:
        if isinstance(options.labels, (str, Path)):
            read_labels(options.labels)  # it explains the photos, not the outputs; but it has to be a labels file
        for option, given, own in (("--preprocess", spec, carried.spec), ("--output", options.output, carried.output)):
            if given is not None and given != own:
                raise InputError(
                    f"{name} carries its own {option.lstrip('-')}, and {option} says otherwise; leave it out"
                )
        result = carried
    else:
        labels = None if options.labels is None else _read_labels(options.labels)
        if spec is None or labels is None or options.output is None:
            raise missing(name, options, shape, classes)
        result = ModelMetadata(spec, labels, options.output)
    check_spec(name, result.spec, shape)
    return result


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


def check_labels(name: str, labels: Sequence[Label], classes: int) -> None:
    """Raise ModelFileError when there is not one label for each output."""
    if len(labels) != classes:
        raise ModelFileError(
            f"{name} has {classes} outputs, and there are {len(labels)} labels; give one label for each output, "
            "in the order of the outputs"
        )


def missing(
    name: str, options: SourceOptions, shape: Shape | None, classes: int | None, *, arch: bool = False
) -> ModelFileError:
    """The error that says what is missing, with a command and templates to fill in. ``arch``: that is missing too."""
    lacks = ["which network it belongs to"] if arch else []
    lacks += ["how a photo becomes its input"] if options.preprocess is None else []
    lacks += ["what its classes are called"] if options.labels is None else []
    lacks += ["what its outputs are"] if options.output is None else []
    command = ["edgevision compile", name]
    if arch or options.arch:
        command.append(f"--arch {options.arch or 'torchvision:NAME'}")
    command.append(
        f"--preprocess {options.preprocess if isinstance(options.preprocess, (str, Path)) else 'preprocess.json'}"
    )
    command.append(f"--labels {options.labels if isinstance(options.labels, (str, Path)) else 'labels.txt'}")
    command.append(f"--output {options.output or '|'.join(OUTPUTS)}")
    lacking = " or ".join([part for part in (", ".join(lacks[:-1]), lacks[-1]) if part])
    lines = [f"{name} does not say {lacking}, and that is never guessed. Say it:", "  " + " ".join(command)]
    if arch:
        lines.append(f"--arch: {ARCH_HELP}")
    if options.preprocess is None:
        template = json.dumps(_template(shape).to_dict())
        lines.append(
            f"preprocess.json, changed to what the model was trained with (or --preprocess {'|'.join(PRESETS)}):"
        )
        lines.append("  " + template)
    if options.labels is None:
        lines.append(
            f"labels.txt: one class name a line, in the order of the outputs ({classes or 'as many as outputs'})"
        )
    return ModelFileError("\n".join(lines))


def _template(shape: Shape | None) -> PreprocessSpec:
    return _sized("imagenet", shape)


def _sized(name: str, shape: Shape | None) -> PreprocessSpec:
    """A preset with the size and layout of the model's input, where the file fixes them."""
    nhwc = shape is not None and shape[1] not in (1, 3) and shape[3] in (1, 3)
    height, width = (None, None) if shape is None else shape[1:3] if nhwc else shape[2:4]
    spec = preset(name, height or _DEFAULT_SIDE, width or _DEFAULT_SIDE)
    return replace(spec, layout=Layout.NHWC) if nhwc else spec


def _read_spec(given: PreprocessSpec | str | Path, shape: Shape | None) -> PreprocessSpec:
    if isinstance(given, PreprocessSpec):
        return given
    if given in PRESETS:
        return _sized(str(given), shape)
    path = Path(given)
    try:
        if path.stat().st_size > _MAX_SPEC_BYTES:
            raise InputError(f"--preprocess {path} is too large to be a preprocess spec; give its JSON file")
        return PreprocessSpec.from_dict(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        raise InputError(f"--preprocess is {'|'.join(PRESETS)} or a JSON file; there is no file {path}") from None
    except OSError as error:
        raise InputError(f"cannot read --preprocess {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"--preprocess {path}: {error}") from error


def _read_labels(given: Path | str | Sequence[Label]) -> tuple[Label, ...]:
    return read_output_labels(given) if isinstance(given, (str, Path)) else tuple(given)
