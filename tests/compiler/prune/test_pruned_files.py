"""Pruned networks as files: they come back, export to the same outputs, and known architectures go all the way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from measures import classify_measure

from edgevision.compiler.prune.pruner import PruneOptions, prune
from edgevision.compiler.prune.statistics import outputs_of
from edgevision.preprocess.spec import preset
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.results import Label
from edgevision.train import backbones
from edgevision.train.channels import channel_counts
from edgevision.train.checkpoint import Checkpoint, load_checkpoint, model_from_checkpoint, save_checkpoint

pytestmark = pytest.mark.requires("torch", "torch-pruning")

LITE = {"width": 0.25, "depth": 0.3, "features": 32}


@pytest.fixture(scope="module")
def pruned():
    torch.manual_seed(0)
    photos = np.random.default_rng(0).normal(size=(16, 3, 32, 32)).astype(np.float32)
    return photos, prune(
        backbones.build("lite0", 5, **LITE).eval(), photos, classify_measure(5), PruneOptions(0.4, multiple=4)
    )


@pytest.fixture(scope="module")
def file(pruned, tmp_path_factory):
    _, result = pruned
    path = tmp_path_factory.mktemp("pruned") / "model.pt"
    labels = tuple(Label(i, f"class {i}") for i in range(5))
    save_checkpoint(
        path,
        Checkpoint(
            "lite0",
            result.network.state_dict(),
            preset("lite", 32, 32),
            classify_spec(labels),
            LITE,
            channels=result.channels,
        ),
    )
    return path


def test_reloads_with_weights_only_and_gives_the_same(pruned, file):
    photos, result = pruned
    assert torch.load(file, weights_only=True)["channels"]["head.conv"][1] == result.channels["head.conv"][1] < 32
    back = model_from_checkpoint(load_checkpoint(file))
    assert channel_counts(back) == result.channels
    assert np.array_equal(outputs_of(back, photos), outputs_of(result.network, photos))


@pytest.mark.requires("onnx")
def test_exports_to_the_same_outputs(pruned, file):
    from edgevision.compiler.answers import run_graph
    from edgevision.compiler.sources.export import export_float
    from edgevision.compiler.sources.source import load_source

    photos, result = pruned
    source = load_source(file)
    assert source.info["params"] == result.chosen.parameters
    graph, _ = export_float(source)
    expected = outputs_of(result.network, photos)
    np.testing.assert_allclose(
        next(iter(run_graph(graph, [photos])))["output"], expected, atol=1e-4 * np.abs(expected).max()
    )


@pytest.mark.parametrize(
    ("arch", "side"),
    [("lite0", 32), ("torchvision:resnet18", 32), ("torchvision:mobilenet_v3_large", 32),
     pytest.param("torchvision:efficientnet_b0", 32, marks=pytest.mark.slow),
     pytest.param("torchvision:resnet50", 32, marks=pytest.mark.slow),
     pytest.param("torchvision:resnext50_32x4d", 32, marks=pytest.mark.slow),
     pytest.param("torchvision:densenet121", 32, marks=pytest.mark.slow),
     pytest.param("torchvision:vgg11_bn", 32, marks=pytest.mark.slow)],
)  # fmt: skip
def test_architectures(arch, side):
    """What is left is rebuilt from its counts alone; every layer keeps multiples of 8 and the classes all outputs."""
    torch.manual_seed(1)
    network = backbones.build(arch, 7).eval()
    photos = np.random.default_rng(1).normal(size=(6, 3, side, side)).astype(np.float32)
    result = prune(network, photos, classify_measure(7), PruneOptions(0.3, importances=("magnitude-l2",)))
    assert result.chosen.reached == pytest.approx(0.3, abs=0.01)
    assert result.chosen.macs < 0.9 * result.original["macs"]
    rebuilt = backbones.rebuild(arch, 7, result.channels).eval()
    rebuilt.load_state_dict(result.network.state_dict())
    assert np.array_equal(outputs_of(rebuilt, photos), outputs_of(result.network, photos))
    before = channel_counts(network)
    changed = {name: out for name, (_, out) in result.channels.items() if out != before[name][1]}
    assert len(changed) > 10
    assert all(out % 8 == 0 for out in changed.values())
