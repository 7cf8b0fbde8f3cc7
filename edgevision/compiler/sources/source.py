"""Model files, recognised by content: what is in them, and what is needed to compile them.

Our checkpoint, TorchScript, ``torch.export`` (.pt2), a state dict with its arch, ONNX, and with ``trust`` a pickled
module. Nothing in a file is executed without ``trust``.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from edgevision.compiler.sources import torchvision_detectors, ultralytics_detectors
from edgevision.compiler.sources.archives import Container, open_container, read_model_file
from edgevision.compiler.sources.asking import (
    Described,
    Shape,
    SourceOptions,
    missing,
    resolve_metadata,
    resolve_task,
    takes_any_size,
)
from edgevision.compiler.sources.exported import in_float32, input_shape, load_exported
from edgevision.compiler.sources.graph import to_bytes
from edgevision.compiler.sources.headless import headless
from edgevision.compiler.sources.metadata import ModelMetadata, read_metadata
from edgevision.compiler.sources.onnx_file import OnnxFile, open_onnx, parse_onnx
from edgevision.compiler.sources.outputs import advice, choose_outputs
from edgevision.compiler.sources.parity import (
    ONLY_OUTPUT,
    FloatArray,
    brief,
    check_cast,
    open_session,
    pixels,
    run_session,
)
from edgevision.compiler.sources.pickles import foreign_names, is_checkpoint_value
from edgevision.compiler.sources.quiet import quiet
from edgevision.compiler.sources.state_dicts import cast_note, find_module, find_state_dict, read_safetensors
from edgevision.compiler.sources.torchscript import load_torchscript
from edgevision.compiler.sources.weights import count_classes, network_of
from edgevision.errors import EngineError, InputError, ModelFileError
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.base import TaskSpec
from edgevision.tasks.registry import ModelFacts, claimed_kind, make_task
from edgevision.tasks.results import Label
from edgevision.tensors import Outputs, describe, joined
from edgevision.train.checkpoint import PhotoPack, from_plain, is_checkpoint, model_from_checkpoint

__all__ = ["SourceKind", "SourceModel", "SourceOptions", "load_source"]


class _Detectors(Protocol):
    """A library's detectors, as networks that take one tensor: see ``torchvision_detectors``."""

    def is_detector(self, module: nn.Module) -> bool: ...

    def input_of(self, module: Any) -> tuple[int | None, ...]: ...

    def head_of(self, module: Any, name: str) -> dict[str, str]: ...

    def own_preprocess(self, module: Any, name: str) -> PreprocessSpec | None: ...

    def raw_heads(self, module: Any, spec: PreprocessSpec, name: str) -> tuple[nn.Module, dict[str, str]]: ...


_DETECTORS: tuple[_Detectors, ...] = (torchvision_detectors, ultralytics_detectors)
_LEGACY_PICKLES = 5  # magic number, protocol, system, object, storage keys; raw storages follow


class SourceKind(Enum):
    """What a model file turned out to be."""

    CHECKPOINT = "checkpoint"
    TORCHSCRIPT = "torchscript"
    EXPORTED = "pt2"
    STATE_DICT = "state dict"
    ONNX = "onnx"
    MODULE = "pickled module"


@dataclass(frozen=True, eq=False)
class SourceModel:
    """A network and everything needed to compile it.

    One of ``module`` (eval mode, float32, CPU) and ``graph`` is there; ``program`` is what ``module`` was made of when
    the file holds an exported program. ``batch``: the only batch size the original runs at; None = any.
    ``info``: file name, sha256, kind, arch, number of parameters. ``trained_on``: the first 32 hexadecimal digits of the
    SHA-256 of each photo file it was trained on, as ``train.checkpoint.short_hashes`` gives them; None = not known.
    ``output_names``: the outputs that are used, as the file calls them; empty = all. ``notes``: what was changed to read
    the file, for the report.
    """

    kind: SourceKind
    spec: PreprocessSpec
    task: TaskSpec
    info: Mapping[str, Any]
    module: nn.Module | None = None
    program: ExportedProgram | None = None
    graph: OnnxFile | None = None
    photos: PhotoPack | None = None
    batch: int | None = None
    trained_on: frozenset[str] | None = None
    output_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file's name."""
        return str(self.info["name"])

    @property
    def labels(self) -> tuple[Label, ...]:
        """The classes, in the order of the network's outputs."""
        return self.task.labels

    def run(self, tensor: FloatArray) -> Outputs:
        """What the original gives for float32 [n, *spec.tensor_shape]: its outputs by name, float32 [n, …] each.

        An original with a fixed batch gets the items in portions of it. Raises ModelFileError when it fails.
        """
        return self.original.run(tensor)

    @property
    def original(self) -> Original:
        """The network as its file has it."""
        names = self.output_names if self.graph is None else ()  # an ONNX graph lost the others when it was read
        return Original(self.name, self.module, self._session, self.batch, names)

    @cached_property
    def _session(self) -> object | None:
        if self.graph is None:
            return None
        return open_session(to_bytes(self.graph.model, self.name), self.name)


@dataclass(frozen=True, eq=False)
class Original:
    """A network as its file has it: runs as ``module`` or in ``session``. ``output_names``: the outputs that are used."""

    name: str
    module: nn.Module | None
    session: object | None
    batch: int | None
    output_names: tuple[str, ...] = ()

    def run(self, tensor: FloatArray) -> dict[str, FloatArray]:
        """See ``SourceModel.run``."""
        return choose_outputs(self.outputs(tensor), self.output_names, self.name)

    def outputs(self, tensor: FloatArray) -> dict[str, FloatArray]:
        """As ``run``: all outputs, the unused ones too."""
        portion = self.batch or len(tensor)
        padded = np.concatenate([tensor, np.zeros((-len(tensor) % portion, *tensor.shape[1:]), tensor.dtype)])
        parts = [self._run(padded[start : start + portion]) for start in range(0, len(padded), portion)]
        return {name: array[: len(tensor)] for name, array in joined(parts).items()}

    def runs_at(self, batch: int, spec: PreprocessSpec) -> bool:
        """Whether it takes that many items at once, and answers as many."""
        try:
            self.outputs(pixels(spec, batch, seed=0))
        except ModelFileError:
            return False
        return True

    def _run(self, tensor: FloatArray) -> dict[str, FloatArray]:
        try:
            if self.session is not None:
                found = run_session(self.session, tensor)
                if any(len(value) != len(tensor) for value in found.values()):
                    raise ValueError(f"its outputs are not those of {len(tensor)} items")
                return found
            assert self.module is not None
            with torch.no_grad(), quiet():
                result: Any = self.module(torch.from_numpy(np.ascontiguousarray(tensor)))
        except ModelFileError:
            raise
        except Exception as error:  # whatever the network raises
            raise ModelFileError(
                f"{self.name} does not run on the float32 {list(tensor.shape)} that its preprocess spec gives: {brief(error)}"
            ) from error
        outputs = named_outputs(result)
        if outputs is None or any(value.ndim < 1 or len(value) != len(tensor) for value in outputs.values()):
            raise ModelFileError(
                f"{self.name} returns {_shown(result)}, expected tensors [batch, …]: one, a tuple or a dict of them; wrap the "
                "model so that it returns only that"
            )
        return {name: np.asarray(_as_float32(value).numpy()) for name, value in outputs.items()}


def named_outputs(result: object) -> dict[str, Tensor] | None:
    """The tensors that a module returned, by name: ``output`` for a single one, also in a dict or tuple of one; of several
    the dict's own names, or ``output_0``, ``output_1``, … None for anything else."""
    if isinstance(result, Tensor):
        return {ONLY_OUTPUT: result}
    if isinstance(result, Mapping):
        named = {str(name): value for name, value in result.items()}
    elif isinstance(result, (tuple, list)):
        named = {f"output_{place}": value for place, value in enumerate(result)}
    else:
        return None
    if not named or not all(isinstance(value, Tensor) for value in named.values()):
        return None
    if len(named) == 1:
        return {ONLY_OUTPUT: next(iter(named.values()))}
    return named


def _as_float32(value: Tensor) -> Tensor:
    """Half and double precision as float32; whole numbers stay."""
    return value.float() if value.is_floating_point() else value


def _shown(result: object) -> str:
    if isinstance(result, Tensor):
        return f"a tensor {list(result.shape)}"
    return f"a {type(result).__name__}"


@dataclass(frozen=True, eq=False)
class _Loaded:
    """What stands in a file, before the options are asked for the rest."""

    kind: SourceKind
    module: nn.Module | None = None
    program: ExportedProgram | None = None
    graph: OnnxFile | None = None
    carried: ModelMetadata | None = None
    photos: PhotoPack | None = None
    trained_on: frozenset[str] | None = None
    arch: str | None = None
    shape: Shape | None = None
    classes: int | None = None
    notes: tuple[str, ...] = ()
    written: Mapping[str, str] = field(default_factory=dict)  # of a module, what an exporter would write into its file


def load_source(path: str | Path, options: SourceOptions | None = None) -> SourceModel:
    """Open a model file of any supported kind and make sure that it runs, and that its outputs fit its task.

    Raises ModelFileError for a file that is missing, damaged, hostile, of no supported kind, or silent about what
    ``options`` do not say either (the message holds a template); InputError for options that do not fit it.

    >>> load_source("model.onnx", SourceOptions(preprocess="imagenet", labels="names.txt", output="logits")).kind
    <SourceKind.ONNX: 'onnx'>
    """
    path, options = Path(path), options or SourceOptions()
    data = read_model_file(path)
    loaded = _load(data, path, options)
    if options.arch is not None and loaded.kind is not SourceKind.STATE_DICT:
        raise InputError(f"{path.name} is a {loaded.kind.value}, which holds its network; leave out --arch")
    used = headless(loaded.module, loaded.carried, options, path.name)
    if used.cut:
        loaded = replace(loaded, module=used.module, classes=None, notes=(*loaded.notes, used.note))
    detector = loaded.module
    detectors = None if detector is None else next((one for one in _DETECTORS if one.is_detector(detector)), None)
    if detectors is not None and detector is not None:
        loaded = replace(
            loaded, shape=detectors.input_of(detector), classes=None, written=detectors.head_of(detector, path.name)
        )
        options = replace(options, preprocess=options.preprocess or detectors.own_preprocess(detector, path.name))
    if options.task is None and loaded.carried is None:
        options = replace(options, task=claimed_kind(_written_in(loaded)))
    said = resolve_metadata(
        path.name, loaded.carried, options, loaded.shape, loaded.classes, _written_in(loaded), headless=used.cut
    )
    if detectors is not None and detector is not None:
        module, written = detectors.raw_heads(detector, said.spec, path.name)
        loaded = replace(loaded, module=module, written=written)
    info = {
        "name": path.name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "kind": loaded.kind.value,
        "arch": loaded.arch,
        "params": _count_parameters(loaded),
    }
    original, notes = _made_to_run(path.name, loaded, said.spec, options.output_names)
    outputs = original.run(pixels(said.spec, 1, seed=0))
    if loaded.graph is not None and loaded.graph.original is not None:
        check_cast(loaded.graph.original, outputs, said.spec, path.name)
    task = _task_of(path.name, said, outputs, options, _written_in(loaded))
    graph = None if loaded.graph is None else replace(loaded.graph, original=None)
    return SourceModel(
        loaded.kind, said.spec, task, info, loaded.module, loaded.program, graph, loaded.photos, original.batch,
        loaded.trained_on, options.output_names, (*loaded.notes, *notes),
    )  # fmt: skip


def _made_to_run(
    name: str, loaded: _Loaded, spec: PreprocessSpec, output_names: tuple[str, ...]
) -> tuple[Original, tuple[str, ...]]:
    """The network as it runs on tensors of ``spec``, at the batch sizes it runs at; and what is to be said of these."""
    session = None if loaded.graph is None else open_session(to_bytes(loaded.graph.model, name), name)
    batch = loaded.shape[0] if loaded.shape else None
    # An ONNX graph has lost the outputs that are not used when it was read.
    original = Original(name, loaded.module, session, batch, output_names if loaded.graph is None else ())
    traced = session is not None or isinstance(loaded.module, torch.jit.ScriptModule)
    notes: tuple[str, ...] = ()
    if takes_any_size(loaded.shape):
        notes += (f"{name} takes any height and width; the bundle is for {spec.height}×{spec.width}, as its spec says",)
    if traced and batch is None and not original.runs_at(2, spec):
        original = replace(original, batch=1)
        notes += (f"{name} runs on one picture at a time, as it was exported; its graph was rewritten for any batch",)
    return original, notes


def _written_in(loaded: _Loaded) -> dict[str, str]:
    """What an exporter wrote into an ONNX file, or would write of a module."""
    if loaded.graph is None:
        return dict(loaded.written)
    return {prop.key: prop.value for prop in loaded.graph.model.metadata_props}


def _task_of(
    name: str, said: Described, outputs: Outputs, options: SourceOptions, metadata: Mapping[str, str]
) -> TaskSpec:
    """What the outputs mean. Raises ModelFileError where they fit no task, or more than one reading."""
    shown = describe(outputs)
    try:
        size = (said.spec.height, said.spec.width)
        facts = ModelFacts(shown, said.labels, options.output, size, metadata)
        task = said.task or resolve_task(name, options.kind, facts)
        make_task(task).check(shown)
    except ModelFileError as error:
        raise ModelFileError(f"{error}{advice({one.name: one.shape for one in shown})}") from None
    except (EngineError, InputError) as error:
        raise ModelFileError(f"{name}: {error}{advice({one.name: one.shape for one in shown})}") from None
    return task


def _load(data: bytes, path: Path, options: SourceOptions) -> _Loaded:
    name = path.name
    container, members = open_container(data, name)
    if container in (Container.TORCH_ZIP, Container.TORCH_LEGACY):
        return _from_pickle(_unpickled(data, members.get("data.pkl"), name, options.trust), name, options)
    if container is Container.TORCHSCRIPT:
        script = load_torchscript(members, name, trust=options.trust)
        cast = cast_note(script.state_dict().values())
        return _Loaded(SourceKind.TORCHSCRIPT, module=script.float(), notes=cast)
    if container is Container.EXPORTED:
        program = load_exported(data, members, name, trust=options.trust)
        shape = input_shape(program)
        if shape is None or len(shape) != 4:
            raise ModelFileError(
                f"{name} takes other inputs than one [batch, channels, height, width]; export only that"
            )
        if cast := cast_note(program.state_dict.values()):
            return _Loaded(SourceKind.EXPORTED, module=in_float32(program), shape=shape, notes=cast)
        return _Loaded(SourceKind.EXPORTED, module=program.module(), program=program, shape=shape)
    if container is Container.SAFETENSORS:
        return _from_pickle(read_safetensors(data, name), name, options)
    model = parse_onnx(data)
    if model is None:
        raise ModelFileError(
            f"{name} is not a model file that EdgeVision knows, or it is truncated. It reads checkpoints of 'edgevision "
            "train', TorchScript, torch.export (.pt2), state dicts (with --arch; safetensors too) and ONNX"
        )
    graph = open_onnx(model, path, options.output_names)
    return _Loaded(
        SourceKind.ONNX, graph=graph, carried=read_metadata(graph.model, name), shape=graph.shape, classes=graph.classes,
        notes=graph.notes,
    )  # fmt: skip


def _from_pickle(obj: object, name: str, options: SourceOptions) -> _Loaded:
    if is_checkpoint(obj):
        checkpoint = from_plain(obj, name)
        carried = ModelMetadata(checkpoint.preprocess, checkpoint.task)
        module = model_from_checkpoint(checkpoint)
        return _Loaded(
            SourceKind.CHECKPOINT, module, carried=carried, photos=checkpoint.photos,
            trained_on=frozenset(checkpoint.trained_on) or None, arch=checkpoint.arch,
            notes=cast_note(checkpoint.state_dict.values()),
        )  # fmt: skip
    if (found := find_module(obj)) is not None:
        module, notes = found
        notes += cast_note(module.state_dict().values())
        return _Loaded(SourceKind.MODULE, module.cpu().float().eval(), arch=type(module).__name__, notes=notes)
    state = find_state_dict(obj)
    if state is None:
        raise ModelFileError(f"{name} holds a {type(obj).__name__} without a network in it; save model.state_dict()")
    classes = count_classes(state.values)
    if options.arch is None:
        raise missing(name, options, None, classes, arch=True)
    network, notes = network_of(options.arch, state, name)
    return _Loaded(SourceKind.STATE_DICT, network.cpu().eval(), arch=options.arch, classes=classes, notes=notes)


def _unpickled(data: bytes, pickled: bytes | None, name: str, trust: bool) -> object:
    """What ``torch.load`` gives, read with ``weights_only`` unless the pickle needs more and ``trust`` allows it."""
    if pickled is None:
        foreign = foreign_names(data, is_checkpoint_value, name, pickles=_LEGACY_PICKLES)
    else:
        foreign = foreign_names(pickled, is_checkpoint_value, name)
    if foreign and not trust:
        names = ", ".join(foreign[:3]) + (" …" if len(foreign) > 3 else "")
        raise _untrusted(name, f"would call {names} when it is loaded")
    try:
        with (
            quiet(),
            torch.serialization.safe_globals([argparse.Namespace]),
        ):  # timm keeps its options beside the weights
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=not foreign)
    except pickle.UnpicklingError as error:
        if foreign:
            raise ModelFileError(f"{name} is damaged ({brief(error)}); save it again") from error
        raise _untrusted(name, "torch.load refuses with weights_only") from error
    except Exception as error:  # a foreign pickle raises whatever it likes
        what = "needs code that cannot be imported here, or is damaged" if foreign else "is damaged or truncated"
        raise ModelFileError(f"{name} {what} ({brief(error)}); save it again, or export it as ONNX") from error


def _untrusted(name: str, what: str) -> ModelFileError:
    return ModelFileError(
        f"{name} holds a pickle that {what}; it was not loaded. Save only the weights "
        "(torch.save(model.state_dict(), ...)), or pass --trust if you made the file"
    )


def _count_parameters(loaded: _Loaded) -> int:
    if loaded.graph is not None:
        return sum(int(np.prod(i.dims)) for i in loaded.graph.model.graph.initializer)
    if loaded.program is not None:
        return sum(p.numel() for p in loaded.program.parameters())
    assert loaded.module is not None
    return sum(p.numel() for p in loaded.module.parameters())
