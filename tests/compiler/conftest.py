"""A tiny network with the shapes that matter (batch norm, asymmetric padding, depthwise), in every kind of file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.results import Label

CLASSES = 5
SIDE = 32


@pytest.fixture(scope="session")
def spec() -> PreprocessSpec:
    return PreprocessSpec(SIDE, SIDE, mean=(127.0,) * 3, std=(128.0,) * 3)


@pytest.fixture(scope="session")
def labels() -> tuple[Label, ...]:
    return tuple(Label(10 * i, f"product {i}") for i in range(CLASSES))


@pytest.fixture(scope="session")
def make_net() -> Callable[[], Any]:
    """A function that builds the network with the same random weights each time, in eval mode."""

    def build() -> Any:
        import torch
        from torch import nn

        with torch.random.fork_rng():
            torch.manual_seed(0)
            net = nn.Sequential(
                nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
                nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(8, 8, 3, stride=2, groups=8), nn.ReLU6(),
                nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, CLASSES),
            )  # fmt: skip
            for value in net[1].state_dict().values():
                if value.ndim:
                    value.uniform_(0.5, 1.5)
        return net.eval()

    return build


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory, make_net: Callable[[], Any], spec: PreprocessSpec,
          labels: tuple[Label, ...]) -> dict[str, Path]:  # fmt: skip
    """The network in each kind of file, by kind. All suffixes are ``.bin``: kinds are recognised by content."""
    import torch

    from edgevision.compiler.sources.export import export_float
    from edgevision.compiler.sources.quiet import quiet
    from edgevision.compiler.sources.source import SourceOptions, load_source

    folder = tmp_path_factory.mktemp("models")
    paths = {kind: folder / f"{kind}.bin" for kind in ("state", "wrapped", "legacy", "module", "script", "trace", "pt2",
                                                       "pt2-batch-1", "onnx")}  # fmt: skip
    net, example = make_net(), torch.zeros(2, 3, SIDE, SIDE)
    torch.save(net.state_dict(), paths["state"])
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in net.state_dict().items()}}, paths["wrapped"])
    torch.save(net.state_dict(), paths["legacy"], _use_new_zipfile_serialization=False)
    torch.save(net, paths["module"])
    with quiet():
        torch.jit.save(torch.jit.script(net), paths["script"])
        torch.jit.save(torch.jit.trace(net, example), paths["trace"])
        dynamic = torch.export.export(net, (example,), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=64)},))
        torch.export.save(dynamic, paths["pt2"])
        torch.export.save(torch.export.export(net, (example[:1],)), paths["pt2-batch-1"])
    source = load_source(paths["pt2"], SourceOptions(preprocess=spec, labels=labels, output="logits"))
    paths["onnx"].write_bytes(export_float(source)[0])
    return paths
