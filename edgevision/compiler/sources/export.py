"""Any source model as one clean float ONNX graph, shown to compute the same."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import onnx
import torch
from torch.export import Dim, ExportedProgram

from edgevision.compiler.sources.conditions import fold_conditions
from edgevision.compiler.sources.graph import BATCH, INPUT, clean_graph, to_bytes
from edgevision.compiler.sources.input_shape import fix_size, with_dynamic_batch, without_batch
from edgevision.compiler.sources.metadata import ModelMetadata, write_metadata
from edgevision.compiler.sources.onnx_file import OPSET
from edgevision.compiler.sources.outputs import keep_outputs
from edgevision.compiler.sources.parity import ParityReport, brief, check_parity, pixels
from edgevision.compiler.sources.quiet import quiet
from edgevision.compiler.sources.source import SourceModel
from edgevision.errors import ModelFileError

_MAX_BATCH = 4096


def export_float(source: SourceModel) -> tuple[bytes, ParityReport]:
    """The ONNX graph of ``source``: input ``input`` float32 [batch, *spec.tensor_shape], the outputs that its task speaks
    of, float32 [batch, …], cleaned (see ``clean_graph``), with preprocess spec and task spec in its metadata; and how
    closely it follows the original at several batch sizes. The same source gives the same bytes.

    Raises ModelFileError when it cannot be exported, or differs from the original (see ``check_parity``).
    """
    model = _to_onnx(source)
    if source.batch is None:
        return _checked(with_dynamic_batch(model), source)
    try:
        return _checked(without_batch(model, source.batch, source.name, fold=False), source)
    except ModelFileError as error:
        try:
            return _checked(without_batch(model, source.batch, source.name, fold=True), source)
        except ModelFileError:
            raise error from None


def _checked(model: onnx.ModelProto, source: SourceModel) -> tuple[bytes, ParityReport]:
    """``model``, for any batch size, as ``export_float`` gives it."""
    fix_size(model, source.spec.tensor_shape)
    fold_conditions(model, source.spec, source.name)
    model = clean_graph(model, source.name)
    write_metadata(model, ModelMetadata(source.spec, source.task))
    graph = to_bytes(model, source.name)
    return graph, check_parity(source.run, graph, source.spec, source.name)


def _to_onnx(source: SourceModel) -> onnx.ModelProto:
    """The source as a graph, with the outputs that are used, for the batch sizes that the source takes."""
    if source.graph is not None:
        return source.graph.model
    names = list(source.original.outputs(pixels(source.spec, source.batch or 1, seed=0)))
    try:
        with quiet(), torch.no_grad():
            if isinstance(source.module, torch.jit.ScriptModule):
                model = _script_to_onnx(source, names)
            else:
                model = _program_to_onnx(source.program or _exported(source), names)
    except Exception as error:  # the exporters raise errors of many kinds
        raise ModelFileError(
            f"{source.name} cannot be exported to ONNX: {_cause(error)}. "
            "Simplify its forward(), or export it to ONNX yourself and compile that"
        ) from error
    keep_outputs(model, source.output_names, source.name)
    return model


def _exported(source: SourceModel) -> ExportedProgram:
    assert source.module is not None
    # Two items: with one, torch.export would take the batch for a constant.
    example = torch.from_numpy(pixels(source.spec, 2, seed=0))
    return torch.export.export(
        source.module, (example,), dynamic_shapes=({0: Dim(BATCH, min=1, max=_MAX_BATCH)},), strict=False
    )


def _program_to_onnx(program: ExportedProgram, names: list[str]) -> onnx.ModelProto:
    exported = torch.onnx.export(
        program, dynamo=True, opset_version=OPSET, input_names=[INPUT], output_names=names, verbose=False
    )
    assert exported is not None
    return exported.model_proto


def _script_to_onnx(source: SourceModel, names: list[str]) -> onnx.ModelProto:
    """TorchScript goes through the exporter that was made for it; the newer one does not take it."""
    assert isinstance(source.module, torch.jit.ScriptModule)
    # A copy, as the exporter changes the names in what it exports; a deep copy would share them.
    copy = torch.jit.load(io.BytesIO(source.module.save_to_buffer()))  # type: ignore[no-untyped-call]
    example = torch.from_numpy(pixels(source.spec, source.batch or 2, seed=0))
    axes = {} if source.batch else {name: {0: BATCH} for name in (INPUT, *names)}
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        target = Path(folder) / "script.onnx"
        torch.onnx.export(
            copy, (example,), target, dynamo=False, opset_version=OPSET,
            input_names=[INPUT], output_names=names, dynamic_axes=axes,
        )  # fmt: skip
        return onnx.load(target)


def _cause(error: BaseException) -> str:
    """The first line of the innermost cause: the exporter wraps it in advice for its own developers."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = brief(error).partition(" For more information")[0].rstrip(".! ")
    if f"Constraints violated ({BATCH})" in text:
        return "its forward() works at one batch size only"
    return text
