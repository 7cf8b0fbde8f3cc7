"""A network saved in each kind of file that compile takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def save_network(
    net: Any, example: Any, container: str, path: Path, output_names: Sequence[str], monkeypatch: Any
) -> None:
    """Save ``net``. ``container``: module, trace, pt2 or onnx; a "module" cannot be pickled from a test, so what is loaded in its
    place is ``net`` itself. ``example``: two items."""
    import torch

    from edgevision.compiler.sources.quiet import quiet

    with quiet():
        if container == "module":
            monkeypatch.setattr("edgevision.compiler.sources.source._unpickled", lambda *a: net)
            torch.save({"any": example}, path)
        elif container == "trace":
            torch.jit.save(torch.jit.trace(net, example, strict=False), path)
        else:
            axes = ({0: torch.export.Dim("batch", min=1, max=64)},)
            program = torch.export.export(net, (example,), dynamic_shapes=axes)
            if container == "pt2":
                torch.export.save(program, path)
            else:
                torch.onnx.export(program, (), path, dynamo=True, output_names=list(output_names), verbose=False)
