"""Networks that were made for another task, without their last layer."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgevision.errors import InputError, ModelFileError
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.embed import embed_spec

pytestmark = pytest.mark.requires("torch", "onnx")

SMALL = {"width": 0.25, "depth": 0.3, "features": 48}


def load(path, **said):
    from edgevision.compiler.sources.source import SourceOptions, load_source

    return load_source(path, SourceOptions(**said))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, spec, labels):
    """A classifier's checkpoint, and its network."""
    from edgevision.train import backbones
    from edgevision.train.checkpoint import Checkpoint, save_checkpoint

    network = backbones.build("lite0", len(labels), **SMALL).eval()
    path = tmp_path_factory.mktemp("models") / "shop.pt"
    save_checkpoint(path, Checkpoint("lite0", network.state_dict(), spec, classify_spec(labels), SMALL))
    return path, network


def test_a_classifiers_checkpoint_gives_what_its_last_layer_gets(checkpoint, spec, labels):
    import torch

    path, network = checkpoint
    source = load(path, task="embed")
    assert source.task == embed_spec("output", labels)
    assert source.spec == spec
    assert any("the last layer of shop.pt was taken off" in note for note in source.notes)
    tensor = np.random.default_rng(0).normal(size=(3, *spec.tensor_shape)).astype(np.float32)
    found = source.run(tensor)["output"]
    assert found.shape == (3, 48)
    with torch.no_grad():
        features = network.features(torch.from_numpy(tensor)).numpy()
        logits = network(torch.from_numpy(tensor)).numpy()
    np.testing.assert_allclose(found, features, atol=1e-6)
    last = network.classifier
    np.testing.assert_allclose(found @ last.weight.detach().numpy().T + last.bias.detach().numpy(), logits, atol=1e-4)


def test_the_checkpoint_itself_stays_a_classifier(checkpoint, labels):
    path, _ = checkpoint
    assert load(path).task == classify_spec(labels)
    assert load(path, task="classify").task == classify_spec(labels)


def test_what_the_checkpoint_says_is_not_contradicted(checkpoint, spec):
    from edgevision.preprocess.spec import ColorOrder

    path, _ = checkpoint
    with pytest.raises(InputError, match="carries its own preprocess"):
        load(path, task="embed", preprocess=dataclasses.replace(spec, color=ColorOrder.BGR))
    with pytest.raises(InputError, match="carries its own task"):
        load(path, task="detect")
    with pytest.raises(InputError, match=r"--output is one of \['vectors'\], got 'logits'"):
        load(path, task="embed", output="logits")
    assert load(path, task="embed", output="vectors").task.kind == "embed"


def test_a_detector_has_no_such_layer(tmp_path, spec, labels):
    from edgevision.train import backbones
    from edgevision.train.checkpoint import Checkpoint, save_checkpoint
    from edgevision.train.detector import lite_detect_spec

    small = {"width": 0.25, "depth": 0.3, "neck_channels": 8}
    network = backbones.build("lite0-detect", len(labels), **small)
    path = tmp_path / "finder.pt"
    save_checkpoint(path, Checkpoint("lite0-detect", network.state_dict(), spec, lite_detect_spec(labels, spec), small))
    with pytest.raises(ModelFileError, match=r"finder.pt cannot serve the task 'embed'.*no linear layer"):
        load(path, task="embed")


def test_a_named_networks_state_dict_loses_its_last_layer(tmp_path, spec):
    import torch
    import torchvision

    network = torchvision.models.get_model("shufflenet_v2_x0_5", weights=None, num_classes=7).eval()
    torch.save(network.state_dict(), tmp_path / "net.pth")
    source = load(tmp_path / "net.pth", arch="torchvision:shufflenet_v2_x0_5", task="embed", preprocess=spec)
    assert source.task == embed_spec("output")
    tensor = np.random.default_rng(0).normal(size=(2, *spec.tensor_shape)).astype(np.float32)
    found = torch.from_numpy(source.run(tensor)["output"])
    assert found.shape == (2, 1024)
    with torch.no_grad():
        np.testing.assert_allclose(network.fc(found), network(torch.from_numpy(tensor)), atol=1e-4)


@pytest.mark.parametrize("kind", ["state", "onnx", "module"])
def test_a_users_own_network_is_taken_as_it_is(kind, files, spec, tmp_path, monkeypatch):
    """It gives 5 numbers, which are too few for vectors: nobody took a layer off, which would leave 8."""
    (tmp_path / "own_net.py").write_text(
        "from torch import nn\n"
        "def tiny():\n"
        "    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),\n"
        "        nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(8, 8, 3, stride=2, groups=8), nn.ReLU6(),\n"
        "        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, 5))\n"
    )
    monkeypatch.chdir(tmp_path)
    arch = "own_net:tiny" if kind == "state" else None
    with pytest.raises(ModelFileError, match="'output' have 5 numbers"):
        load(files[kind], arch=arch, task="embed", preprocess=spec, trust=kind == "module")


def test_what_is_missing_is_asked_for_without_labels(files):
    with pytest.raises(ModelFileError) as error:
        load(files["onnx"], task="embed")
    assert "--preprocess preprocess.json --task embed" in str(error.value)
    assert "label" not in str(error.value)
