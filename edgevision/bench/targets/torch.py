"""``torch:model.pt`` and ``torch-compile:model.pt``: PyTorch on the CPU, eager or compiled.

Files are read as ``edgevision compile`` reads them, so that none can run code: our checkpoints, which say all by themselves,
TorchScript and ``torch.export`` with ``@as=BUNDLE``, and what else compile knows without being told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edgevision.bench.targets.address import TargetAddress, existing_file
from edgevision.bench.targets.base import Allowance, Identity
from edgevision.bench.targets.facts import hash_of, precision_text, versions_of
from edgevision.bench.targets.knowledge import bundle_specs, knowledge_of
from edgevision.bench.targets.tensor_target import Tensor, TensorTarget, notes_of, task_name
from edgevision.engines.importing import import_package
from edgevision.errors import EngineError

_PURPOSE = "measuring PyTorch"


def open(address: TargetAddress, allowance: Allowance) -> TensorTarget:
    """Load the file, in eval mode, in float32, to use ``threads`` threads.

    Raises ModelFileError for a file that cannot be used, or not safely; MissingExtraError where PyTorch or ONNX is missing;
    EngineError where it cannot be compiled.
    """
    path = existing_file(address.what, address)
    torch = import_package("torch", "compile", _PURPOSE, needs="inference_mode")
    import_package("torchvision", "compile", _PURPOSE, needs="__version__")
    import_package("onnx", "compile", _PURPOSE, needs="load_model_from_string")
    from edgevision.compiler.sources.source import SourceOptions, load_source, named_outputs

    torch.set_num_threads(allowance.threads)
    said = "the file"
    options = SourceOptions()
    if "as" in address.options:
        spec, task = bundle_specs(address)
        said = f"the bundle {address.options['as']}"
        layouts = {one.layout for one in task.outputs}
        options = replace(options, preprocess=spec, labels=task.labels, task=task.kind, output=layouts.pop())
    source = load_source(path, options)
    module: Any = source.module
    if module is None:
        raise EngineError(
            f"'{address.text}' is an ONNX file, which PyTorch does not run; measure it as onnx:{address.what}"
        )
    knowledge = knowledge_of(address, source.spec, source.task, said)
    compiled = address.kind == "torch-compile"
    if compiled:
        module = torch.compile(module)

    def run(tensor: Tensor) -> Mapping[str, Tensor]:
        with torch.inference_mode():
            outputs = named_outputs(module(torch.from_numpy(tensor)))
        assert outputs is not None  # load_source has run it
        return {name: value.numpy() for name, value in outputs.items()}

    if compiled:
        largest = allowance.max_batch if source.batch is None else source.batch
        _compile_now(run, {source.batch or 1, largest}, source.spec.tensor_shape, address.text)
    sha256, size = hash_of(path)
    identity = Identity(
        kind=address.kind, file=str(path), sha256=sha256, bytes=size, task=task_name(knowledge),
        precision=precision_text(_layers(source.module)), engine=f"torch {torch.__version__}",
        provider=f"CPU, {'compiled by inductor' if compiled else 'eager'}; {torch.backends.cpu.get_cpu_capability()}",
        threads=allowance.threads, input_shape=(1, *source.spec.tensor_shape),
        versions=versions_of(("torch", "torchvision", "numpy", "opencv-python-headless", "opencv-python")),
        notes=(*notes_of(knowledge, source.spec), f"read as a {source.kind.value}"),
    )  # fmt: skip
    return TensorTarget(identity, run, knowledge, source.spec, source.batch)


def _compile_now(run: Any, batches: set[int], shape: tuple[int, ...], text: str) -> None:
    """The compiler starts at the first call: a fault of it is one of opening. The second size makes it compile once more, for all sizes:
    that takes minutes, and no request should wait for it."""
    import numpy as np

    try:
        for batch in sorted(batches):
            run(np.zeros((batch, *shape), np.float32))
    except Exception as error:  # whatever dynamo, inductor or the C++ compiler raise
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        told = lines[0] if lines else type(error).__name__
        raise EngineError(
            f"'{text}': torch.compile failed ({told}); it needs a C++ compiler on the path, or measure torch:… instead"
        ) from None


def _layers(module: Any) -> dict[str, int]:
    """Of weights with two axes and more, which are those of layers, how many are of which type."""
    names = (str(one.dtype).removeprefix("torch.") for one in module.parameters() if one.ndim >= 2)
    return dict(Counter(names))
