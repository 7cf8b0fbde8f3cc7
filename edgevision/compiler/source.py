"""Model files, recognised by content: what is in them, and what is needed to compile them.

Our checkpoint, TorchScript, ``torch.export`` (.pt2), a state dict with its arch, ONNX, and with ``trust`` a pickled
module. Nothing in a file is executed without ``trust``.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from edgevision.compiler.archives import Container, open_container, read_model_file
from edgevision.compiler.asking import Shape, SourceOptions, check_labels, complete, missing
from edgevision.compiler.exported import input_shape, load_exported
from edgevision.compiler.graph import to_bytes
from edgevision.compiler.metadata import ModelMetadata, read_metadata
from edgevision.compiler.onnx_file import OnnxFile, open_onnx, parse_onnx
from edgevision.compiler.parity import FloatArray, brief, open_session, pixels, run_session
from edgevision.compiler.pickles import foreign_names, is_weights
from edgevision.compiler.quiet import quiet
from edgevision.compiler.torchscript import load_torchscript
from edgevision.compiler.weights import build_network, count_classes, find_state_dict, load_weights
from edgevision.errors import InputError, ModelFileError
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.results import Label
from edgevision.train.checkpoint import PhotoPack, from_plain, is_checkpoint, model_from_checkpoint

__all__ = ["SourceKind", "SourceModel", "SourceOptions", "load_source"]

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
    """A classifier and everything needed to compile it.

    One of ``module`` (eval mode, float32, CPU) and ``graph`` is there; ``program`` is what ``module`` was made of when
    the file holds an exported program. ``batch``: the only batch size the original runs at; None = any.
    ``info``: file name, sha256, kind, arch, number of parameters. ``trained_on``: the first 32 hexadecimal digits of the
    SHA-256 of each photo file it was trained on, as ``train.checkpoint.short_hashes`` gives them; None = not known.
    """

    kind: SourceKind
    spec: PreprocessSpec
    labels: tuple[Label, ...]
    output: str  # "logits" or "probabilities"
    info: Mapping[str, Any]
    module: nn.Module | None = None
    program: ExportedProgram | None = None
    graph: OnnxFile | None = None
    photos: PhotoPack | None = None
    batch: int | None = None
    trained_on: frozenset[str] | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return str(self.info["name"])

    def run(self, tensor: FloatArray) -> FloatArray:
        """What the original gives for float32 [n, *spec.tensor_shape]: float32 [n, classes].

        An original with a fixed batch gets the items in portions of it. Raises ModelFileError when it fails.
        """
        portion = self.batch or len(tensor)
        padded = np.concatenate([tensor, np.zeros((-len(tensor) % portion, *tensor.shape[1:]), tensor.dtype)])
        parts = [self._run(padded[start : start + portion]) for start in range(0, len(padded), portion)]
        return np.concatenate(parts)[: len(tensor)]

    def _run(self, tensor: FloatArray) -> FloatArray:
        try:
            if self.graph is not None:
                return run_session(self._session, tensor)
            assert self.module is not None
            with torch.no_grad(), quiet():
                result: Any = self.module(torch.from_numpy(np.ascontiguousarray(tensor)))
        except ModelFileError:
            raise
        except Exception as error:  # whatever the network raises
            raise ModelFileError(
                f"{self.name} does not run on the float32 {list(tensor.shape)} that its preprocess spec gives: {brief(error)}"
            ) from error
        if not isinstance(result, Tensor):
            raise ModelFileError(
                f"{self.name} returns a {type(result).__name__}, expected one tensor [batch, classes]; "
                "wrap the model so that it returns only that"
            )
        return np.asarray(result.float().numpy())

    @cached_property
    def _session(self) -> object:
        assert self.graph is not None
        return open_session(to_bytes(self.graph.model, self.name), self.name)


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


def load_source(path: str | Path, options: SourceOptions | None = None) -> SourceModel:
    """Open a model file of any supported kind and make sure that it is a classifier that runs.

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
    said = complete(path.name, loaded.carried, options, loaded.shape, loaded.classes)
    info = {
        "name": path.name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "kind": loaded.kind.value,
        "arch": loaded.arch,
        "params": _count_parameters(loaded),
    }
    source = SourceModel(
        loaded.kind, said.spec, said.labels, said.output, info, loaded.module, loaded.program, loaded.graph,
        loaded.photos, loaded.shape[0] if loaded.shape else None, loaded.trained_on,
    )  # fmt: skip
    outputs = source.run(pixels(source.spec, 1, seed=0))
    if outputs.ndim != 2 or len(outputs) != 1:
        raise ModelFileError(f"{path.name} gives {list(outputs.shape)} for one photo, expected [1, classes]")
    check_labels(path.name, source.labels, outputs.shape[1])
    return source


def _load(data: bytes, path: Path, options: SourceOptions) -> _Loaded:
    name = path.name
    container, members = open_container(data, name)
    if container in (Container.TORCH_ZIP, Container.TORCH_LEGACY):
        return _from_pickle(_unpickled(data, members.get("data.pkl"), name, options.trust), name, options)
    if container is Container.TORCHSCRIPT:
        script = load_torchscript(members, name, trust=options.trust)
        return _Loaded(SourceKind.TORCHSCRIPT, module=script.float())
    if container is Container.EXPORTED:
        program = load_exported(data, members, name, trust=options.trust)
        shape = input_shape(program)
        if shape is None or len(shape) != 4:
            raise ModelFileError(
                f"{name} takes other inputs than one [batch, channels, height, width]; export only that"
            )
        return _Loaded(SourceKind.EXPORTED, module=program.module(), program=program, shape=shape)
    model = parse_onnx(data)
    if model is None:
        raise ModelFileError(
            f"{name} is not a model file that EdgeVision knows, or it is truncated. It reads checkpoints of 'edgevision "
            "train', TorchScript, torch.export (.pt2), state dicts (with --arch) and ONNX"
        )
    graph = open_onnx(model, path)
    return _Loaded(
        SourceKind.ONNX, graph=graph, carried=read_metadata(graph.model, name), shape=graph.shape, classes=graph.classes
    )


def _from_pickle(obj: object, name: str, options: SourceOptions) -> _Loaded:
    if is_checkpoint(obj):
        checkpoint = from_plain(obj, name)
        carried = ModelMetadata(checkpoint.preprocess, checkpoint.labels, checkpoint.output)
        module = model_from_checkpoint(checkpoint)
        return _Loaded(
            SourceKind.CHECKPOINT, module, carried=carried, photos=checkpoint.photos,
            trained_on=frozenset(checkpoint.trained_on) or None, arch=checkpoint.arch,
        )  # fmt: skip
    if isinstance(obj, nn.Module):
        return _Loaded(SourceKind.MODULE, obj.cpu().float().eval(), arch=type(obj).__name__)
    state = find_state_dict(obj)
    if not state:
        raise ModelFileError(f"{name} holds a {type(obj).__name__} without a network in it; save model.state_dict()")
    classes = count_classes(state)
    if options.arch is None:
        raise missing(name, options, None, classes, arch=True)
    network = load_weights(build_network(options.arch, classes), state, options.arch, name)
    return _Loaded(SourceKind.STATE_DICT, network.cpu().float().eval(), arch=options.arch, classes=classes)


def _unpickled(data: bytes, pickled: bytes | None, name: str, trust: bool) -> object:
    """What ``torch.load`` gives, read with ``weights_only`` unless the pickle needs more and ``trust`` allows it."""
    if pickled is None:
        foreign = foreign_names(data, is_weights, name, pickles=_LEGACY_PICKLES)
    else:
        foreign = foreign_names(pickled, is_weights, name)
    if foreign and not trust:
        names = ", ".join(foreign[:3]) + (" …" if len(foreign) > 3 else "")
        raise _untrusted(name, f"would call {names} when it is loaded")
    try:
        with quiet():
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
