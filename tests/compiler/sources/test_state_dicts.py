"""State dicts as training scripts leave them: every case gives the network's own answers, and says what was taken off."""

from __future__ import annotations

import argparse
import collections
import os

import numpy as np
import pytest

from edgevision.errors import InputError, ModelFileError
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("torch", "onnx")

SPEC = PreprocessSpec(16, 16, mean=(127.0,) * 3, std=(128.0,) * 3)
LABELS = [Label(i, str(i)) for i in range(4)]
NETS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, bias=False), nn.BatchNorm2d(6), nn.ReLU())
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        return self.fc(self.stem(x).mean((2, 3)))

def net():
    return Net()
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """The module that ``--arch people_nets:net`` names."""
    import importlib
    import sys

    (tmp_path / "people_nets.py").write_text(NETS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("people_nets")
    sys.modules.pop("people_nets", None)


def seeded(nets, seed: int):
    """A network whose weights and running statistics are those of the seed."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nets.net()
        for name, value in net.state_dict().items():
            if value.is_floating_point() and "stem.1" in name:
                value.uniform_(0.5, 1.5)
    return net.eval()


def prefixed(state, prefix):
    return {prefix + key: value for key, value in state.items()}


def compiled_inside(state):
    """As of a network one part of which was compiled, and another trained by DataParallel."""
    return {key.replace("stem.", "stem._orig_mod.").replace("fc.", "fc.module."): value for key, value in state.items()}


def averaged_model(net):
    import torch

    return torch.optim.swa_utils.AveragedModel(net).state_dict()


def half(state):
    return {key: value.half() if value.is_floating_point() else value for key, value in state.items()}


def parameters(net, prefix=""):
    """As a hand-made EMA keeps them: what is trained, and no running statistics."""
    return {prefix + name: value.detach() for name, value in net.named_parameters()}


def with_buffers_of(net, other):
    """The parameters of the one network and the running statistics of the other."""
    import copy

    mixed = copy.deepcopy(net)
    mixed.load_state_dict({**other.state_dict(), **parameters(net)})
    return mixed


def counted(state):
    """As thop leaves them, in their modules and at the top."""
    import torch

    made = dict(state)
    for place in ("", "stem.", "stem.0.", "fc."):
        made |= {f"{place}total_ops": torch.zeros(1, dtype=torch.float64), f"{place}total_params": torch.zeros(1)}
    return made


def without_steps(state):
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


def auxiliary(state):
    import torch

    return {**state, "aux1.conv.weight": torch.zeros(2, 6, 1, 1), "AuxLogits.fc.bias": torch.zeros(7)}


def lightning(state, **more):
    return {"epoch": 3, "global_step": 70, "pytorch-lightning_version": "2.4.0", "state_dict": state,
            "optimizer_states": [], "callbacks": {"ModelCheckpoint": {"best_model_score": 0.5}}, **more}  # fmt: skip


def beside(state, **more):
    import torch

    return {**state, **{key: torch.ones(2) for key in more.values()}}


# case → (what is saved, made of the network and of another with other weights; what the notes say)
CASES = {
    "plain": (lambda net, other: net.state_dict(), []),
    "torch.compile": (lambda net, other: prefixed(net.state_dict(), "_orig_mod."), ["_orig_mod."]),
    "DataParallel": (lambda net, other: prefixed(net.state_dict(), "module."), ["module."]),
    "compiled, then DataParallel": (lambda net, other: prefixed(net.state_dict(), "module._orig_mod."), ["module.", "_orig_mod."]),
    "DataParallel, then compiled": (lambda net, other: prefixed(net.state_dict(), "_orig_mod.module."), ["module.", "_orig_mod."]),
    "twice DataParallel": (lambda net, other: prefixed(net.state_dict(), "module.module."), ["module."]),
    "inside": (lambda net, other: compiled_inside(net.state_dict()), ["_orig_mod.", "module."]),
    "AveragedModel": (lambda net, other: averaged_model(net), ["module.", "n_averaged"]),
    "AveragedModel of a compiled one": (
        lambda net, other: {k.replace("module.", "module._orig_mod."): v for k, v in averaged_model(net).items()},
        ["module.", "_orig_mod.", "n_averaged"],
    ),
    "timm, EMA": (
        lambda net, other: {"epoch": 9, "arch": "net", "state_dict": other.state_dict(), "state_dict_ema": net.state_dict()},
        ["'state_dict_ema', averaged (EMA); those under 'state_dict' were left out"],
    ),
    "timm, with its options": (
        lambda net, other: {"state_dict": net.state_dict(), "args": argparse.Namespace(lr=0.1, workers=4), "version": 2},
        ["under 'state_dict'"],
    ),
    "ModelEma": (
        lambda net, other: {"model": other.state_dict(), "model_ema": prefixed(net.state_dict(), "module.")},
        ["'model_ema', averaged (EMA)", "module."],
    ),
    "EMA that is empty": (
        lambda net, other: {"state_dict": net.state_dict(), "state_dict_ema": None}, ["under 'state_dict'"],
    ),
    "Lightning": (lambda net, other: lightning(prefixed(net.state_dict(), "model.")), ["'state_dict'", "'model.'"]),
    "Lightning, net": (lambda net, other: lightning(prefixed(net.state_dict(), "net.")), ["'net.'"]),
    "Lightning, deep": (
        lambda net, other: lightning(prefixed(net.state_dict(), "student.backbone._orig_mod.")),
        ["'student.backbone.'"],
    ),
    "Lightning with a loss and a teacher": (
        lambda net, other: lightning(
            beside(prefixed(net.state_dict(), "model."), a="criterion.weight", b="train_acc.total", c="teacher.fc.bias")
        ),
        ["criterion", "train_acc", "teacher"],
    ),
    "Lightning with EMA": (
        lambda net, other: lightning(
            {**prefixed(other.state_dict(), "model."), **prefixed(averaged_model(net), "ema_model.")}
        ),
        ["'ema_model.module.', averaged weights (EMA),", "model", "n_averaged"],
    ),
    "thop": (lambda net, other: counted(net.state_dict()), ["total_ops, total_params"]),
    "no num_batches_tracked": (lambda net, other: without_steps(net.state_dict()), ["num_batches_tracked"]),
    "auxiliary heads": (lambda net, other: auxiliary(net.state_dict()), ["aux1, AuxLogits"]),
    "ordered": (lambda net, other: collections.OrderedDict(net.state_dict()), []),
    "everything": (
        lambda net, other: lightning(
            counted(auxiliary(without_steps(prefixed(net.state_dict(), "model._orig_mod.module."))))
        ),
        None,
    ),
}  # fmt: skip


def load(path, arch="people_nets:net", **more):
    from edgevision.compiler.sources.source import SourceOptions, load_source

    return load_source(path, SourceOptions(arch, SPEC, LABELS, "logits", **more))


def answers(net):
    """A tensor of three items, and what the network says of it."""
    import torch

    tensor = np.random.default_rng(0).normal(size=(3, 3, 16, 16)).astype(np.float32)
    with torch.no_grad():
        return tensor, net.eval()(torch.from_numpy(tensor)).numpy()


@pytest.mark.parametrize("case", CASES)
def test_what_certainly_is_not_the_networks_is_taken_off_and_said(case, nets, tmp_path):
    import torch

    make, said = CASES[case]
    net = seeded(nets, 0)
    torch.save(make(net, seeded(nets, 1)), tmp_path / "weights.pt")
    if case == "everything":
        return_to = auxiliary_inside(torch.load(tmp_path / "weights.pt", weights_only=True))
        torch.save(return_to, tmp_path / "weights.pt")
    source = load(tmp_path / "weights.pt")
    tensor, expected = answers(net)
    np.testing.assert_allclose(source.run(tensor)["output"], expected, atol=1e-6)
    notes = "\n".join(source.notes)
    for part in said or []:
        assert part in notes
    if said == []:
        assert source.notes == ()


def auxiliary_inside(checkpoint):
    """The auxiliary heads of a Lightning checkpoint, where its network is."""
    state = checkpoint["state_dict"]
    checkpoint["state_dict"] = {
        key if key.startswith("model.") or "total" in key else f"model._orig_mod.module.{key}": value
        for key, value in state.items()
    }
    return checkpoint


# case → (what is saved, made of the network whose parameters were averaged, and the one that they were averaged from;
# where the buffers lie, as the note says it)
BARE = {
    "under keys": (lambda net, other: {"model": other.state_dict(), "ema": parameters(net)}, "'model'"),
    "under a key of the average": (
        lambda net, other: {"state_dict": other.state_dict(), "ema": {"decay": 0.99, "shadow": parameters(net)}}, "'state_dict'",
    ),
    "the model was parallel": (
        lambda net, other: {"state_dict": prefixed(other.state_dict(), "module."), "state_dict_ema": parameters(net)},
        "'state_dict'",
    ),
    "both were parallel": (
        lambda net, other: {
            "model": prefixed(other.state_dict(), "module."), "model_ema": parameters(net, "module."),
        },
        "'model'",
    ),
    "under prefixes": (
        lambda net, other: lightning({**prefixed(other.state_dict(), "model."), **parameters(net, "ema_model.")}), "'model.'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BARE)
def test_averaged_parameters_take_the_buffers_of_the_model(case, nets, tmp_path):
    import torch

    make, place = BARE[case]
    net, other = seeded(nets, 0), seeded(nets, 1)
    torch.save(make(net, other), tmp_path / "weights.pt")
    source = load(tmp_path / "weights.pt")
    tensor, expected = answers(with_buffers_of(net, other))
    np.testing.assert_allclose(source.run(tensor)["output"], expected, atol=1e-6)
    said = f"the averaged weights come without buffers (stem.1.running_mean and 1 more); those under {place} were taken"
    assert said in source.notes


@pytest.mark.parametrize("trained", [True, False])
def test_weights_that_are_no_floats(trained, nets, tmp_path):
    """Whole numbers are cast and named; the counters of batch norms are whole in the network too, and need no word."""
    import torch

    net = seeded(nets, 0)
    net.fc.weight.data.mul_(40).round_()
    state = net.state_dict()
    if trained:
        state["fc.weight"] = state["fc.weight"].to(torch.int8)
    torch.save(state, tmp_path / "weights.pt")
    source = load(tmp_path / "weights.pt")
    tensor, expected = answers(net)
    np.testing.assert_allclose(source.run(tensor)["output"], expected, rtol=1e-5)
    assert [note.partition(";")[0] for note in source.notes] == (
        ["weights in int8 were cast to float32 as they are (fc.weight)"] if trained else []
    )


def test_floats_in_the_place_of_integers_are_named(nets, tmp_path):
    import torch

    state = seeded(nets, 0).state_dict()
    state["stem.1.num_batches_tracked"] = torch.tensor(7.5)
    torch.save(state, tmp_path / "weights.pt")
    (note,) = load(tmp_path / "weights.pt").notes
    assert "floats were cast to the integers" in note
    assert "stem.1.num_batches_tracked" in note


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
def test_weights_of_other_precisions_are_cast_and_it_is_said(kind, nets, tmp_path):
    import torch

    dtype = getattr(torch, kind)
    net = seeded(nets, 0)
    state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in net.state_dict().items()}
    torch.save(state, tmp_path / "weights.pt")
    source = load(tmp_path / "weights.pt")
    tensor, expected = answers(net.to(dtype).float())  # rounded as in the file
    np.testing.assert_allclose(source.run(tensor)["output"], expected, atol=1e-6)
    assert source.notes == (f"weights in {kind} were cast to float32",)


# case → (what is saved, what the error says)
REFUSED = {
    "a layer is missing": (
        lambda net, other: {k: v for k, v in net.state_dict().items() if k != "fc.bias"}, r"fc\.bias is missing",
    ),
    "a layer too many": (
        lambda net, other: beside(net.state_dict(), a="head.weight"), r"head\.weight is not in the network",
    ),
    "a layer too many beside a wrapped network": (
        lambda net, other: beside(prefixed(net.state_dict(), "backbone."), a="head.weight"),
        r"head\.weight is not in the network",
    ),
    "another shape": (
        lambda net, other: {**net.state_dict(), "fc.weight": net.state_dict()["fc.weight"][:, :5]},
        r"fc\.weight is \[4, 5\] in the file, \[4, 6\] in the network",
    ),
    "complex numbers": (
        lambda net, other: {**net.state_dict(), "fc.bias": net.state_dict()["fc.bias"] * 1j},
        r"complex weights \(fc\.bias\), and the network has real ones",
    ),
    "averaged parameters, and no model beside": (
        lambda net, other: {"ema": parameters(net)}, r"stem\.1\.running_mean is missing",
    ),
    "averaged parameters, some missing": (
        lambda net, other: {"model": other.state_dict(), "ema": {k: v for k, v in parameters(net).items() if k != "fc.bias"}},
        r"fc\.bias is missing",
    ),
    "averaged parameters beside two models": (
        lambda net, other: {"model": other.state_dict(), "net": net.state_dict(), "ema": parameters(net)},
        r"stem\.1\.running_mean is missing",
    ),
    "averaged parameters beside another network": (
        lambda net, other: {"model": prefixed(other.state_dict(), "a.b"), "ema": parameters(net)},
        r"stem\.1\.running_mean is missing",
    ),
    "two of them": (
        lambda net, other: {**prefixed(net.state_dict(), "a."), **prefixed(other.state_dict(), "b.")},
        r"more than once, under 'a\.' and 'b\.'",
    ),
    "missing under a prefix": (
        lambda net, other: {k: v for k, v in prefixed(net.state_dict(), "model.").items() if k != "model.fc.bias"},
        r"does not fit people_nets:net: fc\.bias is missing\. Give the --arch",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_missing_or_unknown_is_named(case, nets, tmp_path):
    import torch

    make, told = REFUSED[case]
    torch.save(make(seeded(nets, 0), seeded(nets, 1)), tmp_path / "weights.pt")
    with pytest.raises(ModelFileError, match=told):
        load(tmp_path / "weights.pt")


class Harmful:
    def __reduce__(self):
        return os.system, ("true",)


def test_options_beside_the_weights_may_hold_plain_values_only(nets, tmp_path):
    import torch

    saved = {"state_dict": seeded(nets, 0).state_dict(), "args": argparse.Namespace(lr=Harmful())}
    torch.save(saved, tmp_path / "weights.pt")
    with pytest.raises(ModelFileError, match=r"would call \w+\.system when it is loaded"):
        load(tmp_path / "weights.pt")


# ---- safetensors ----


@pytest.mark.requires("safetensors")
@pytest.mark.parametrize("prefix", ["", "module."])
def test_safetensors_are_recognised_by_content(prefix, nets, tmp_path):
    from safetensors.torch import save_file

    net = seeded(nets, 0)
    save_file(prefixed(net.state_dict(), prefix), tmp_path / "weights.bin", metadata={"format": "pt"})
    source = load(tmp_path / "weights.bin")
    assert source.kind.value == "state dict"
    tensor, expected = answers(net)
    np.testing.assert_allclose(source.run(tensor)["output"], expected, atol=1e-6)


@pytest.mark.requires("safetensors")
@pytest.mark.parametrize("keep", [12, 200, -5])
def test_truncated_safetensors_are_refused(keep, nets, tmp_path):
    from safetensors.torch import save

    (tmp_path / "weights.safetensors").write_bytes(save(seeded(nets, 0).state_dict())[:keep])
    with pytest.raises(ModelFileError, match=r"weights\.safetensors"):
        load(tmp_path / "weights.safetensors")


def test_without_safetensors_the_error_says_how_to_get_it(nets, tmp_path, monkeypatch):
    import sys

    from edgevision.errors import MissingExtraError

    monkeypatch.setitem(sys.modules, "safetensors", None)
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    (tmp_path / "weights.bin").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(MissingExtraError, match=r"pip install 'edgevision\[compile\]'"):
        load(tmp_path / "weights.bin")


# ---- networks by name ----


@pytest.mark.parametrize("prefix", ["", "module."])
def test_layers_that_ask_for_their_version(prefix, tmp_path):
    """MNASNet's does, and the file has lost it: as safetensors, or once prefixes are taken off."""
    import torch
    import torchvision

    from edgevision.compiler.sources.source import SourceOptions, load_source

    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = torchvision.models.mnasnet0_5(num_classes=4).eval()
    torch.save({prefix + key: value for key, value in network.state_dict().items()}, tmp_path / "weights.pt")
    spec = PreprocessSpec(64, 64)
    source = load_source(tmp_path / "weights.pt", SourceOptions("torchvision:mnasnet0_5", spec, LABELS, "logits"))
    tensor = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    with torch.no_grad():
        np.testing.assert_allclose(source.run(tensor)["output"], network(torch.from_numpy(tensor)).numpy(), atol=1e-5)


@pytest.mark.parametrize(("name", "heads"), [("googlenet", "aux1, aux2"), ("inception_v3", "AuxLogits")])
def test_auxiliary_heads_of_torchvision_are_left_out(name, heads, tmp_path):
    """Its networks train with them, and answer without."""
    import torch
    import torchvision

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torchvision.models.get_model(name, weights=None, num_classes=4, aux_logits=True, init_weights=False)
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    spec = PreprocessSpec(80, 80)
    from edgevision.compiler.sources.source import SourceOptions, load_source

    source = load_source(tmp_path / "weights.pt", SourceOptions(f"torchvision:{name}", spec, LABELS, "logits"))
    tensor = np.random.default_rng(0).normal(size=(2, 3, 80, 80)).astype(np.float32)
    with torch.no_grad():
        expected = net.eval()(torch.from_numpy(tensor)).numpy()
    np.testing.assert_allclose(source.run(tensor)["output"], expected, atol=1e-4 * max(1, abs(expected).max()))
    assert source.notes == (f"left out, as they serve only training: {heads}",)


@pytest.mark.requires("timm")
@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050.lamb_in1k", "test_vit"])
def test_networks_of_timm(name, tmp_path):
    """With as many outputs as the file has classes; nothing is downloaded."""
    import timm
    import torch

    from edgevision.compiler.sources.export import export_float
    from edgevision.compiler.sources.source import SourceOptions, load_source

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = timm.create_model(name, pretrained=False, num_classes=4).eval()
    side = net.default_cfg["input_size"][-1] if "vit" in name else 64
    torch.save({"state_dict": net.state_dict(), "arch": name}, tmp_path / "weights.pt")
    spec = PreprocessSpec(side, side)
    source = load_source(tmp_path / "weights.pt", SourceOptions(f"timm:{name}", spec, LABELS, "logits"))
    tensor = np.random.default_rng(0).normal(size=(2, 3, side, side)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(tensor)).numpy()
    np.testing.assert_allclose(source.run(tensor)["output"], expected, atol=1e-5)
    _, report = export_float(source)
    assert max(report.max_relative_difference.values()) < 1e-3


@pytest.mark.requires("timm")
@pytest.mark.parametrize("name", ["resnet1O", "hf_hub:timm/resnet10t", "hf-hub:timm/resnet10t", "local-dir:/tmp/x"])
def test_names_that_timm_does_not_have_or_would_fetch(name, nets, tmp_path):
    import torch

    torch.save(seeded(nets, 0).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(InputError, match="timm has no network"):
        load(tmp_path / "weights.pt", f"timm:{name}")


def test_without_timm_the_error_says_how_to_get_it(nets, tmp_path, monkeypatch):
    import sys

    import torch

    from edgevision.errors import MissingExtraError

    monkeypatch.setitem(sys.modules, "timm", None)
    torch.save(seeded(nets, 0).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(MissingExtraError, match="pip install timm"):
        load(tmp_path / "weights.pt", "timm:resnet10t")


def test_a_dict_that_holds_itself_has_no_end():
    from edgevision.compiler.sources.state_dicts import find_module, find_state_dict

    endless: dict[str, object] = {}
    endless["model"] = endless
    assert find_state_dict(endless) is None
    assert find_module(endless) is None


# ---- networks pickled whole, with what lies beside them ----

# case → (what is saved, made of the network and of another; the note)
PICKLED = {
    "alone": (lambda net, other: net, None),
    "a checkpoint": (lambda net, other: {"epoch": 3, "model": net}, "the network is the one under 'model'"),
    "with an average": (
        lambda net, other: {"epoch": 3, "model": other, "ema": net, "optimizer": None},
        "the network is the one under 'ema', averaged (EMA); those under 'model' were left out",
    ),
    "stripped to the average": (
        lambda net, other: {"model": None, "ema": net.half()}, "the network is the one under 'ema', averaged (EMA)",
    ),
    "with weights beside": (
        lambda net, other: {"model": net, "state_dict": other.state_dict()},
        "the network is the one under 'model'; those under 'state_dict' were left out",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PICKLED)
def test_a_network_that_was_pickled_whole(case, nets, tmp_path):
    import torch

    make, note = PICKLED[case]
    net = seeded(nets, 0)
    torch.save(make(net, seeded(nets, 1)), tmp_path / "model.pt")
    source = load(tmp_path / "model.pt", arch=None, trust=True)
    assert source.kind.value == "pickled module"
    tensor, expected = answers(net.float())
    np.testing.assert_allclose(source.run(tensor)["output"], expected, atol=1e-6)
    assert note is None or note in source.notes
    with pytest.raises(ModelFileError, match="--trust"):
        load(tmp_path / "model.pt", arch=None)


@pytest.mark.parametrize("code", ["raise SystemExit('usage: train.py')", "import sys; sys.exit()", "1 / 0"])
def test_a_script_that_ends_when_it_is_imported_is_an_error(monkeypatch, tmp_path, code):
    from edgevision.compiler.sources.state_dicts import StateDict
    from edgevision.compiler.sources.weights import network_of
    from edgevision.errors import InputError

    (tmp_path / "script_that_ends.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="--arch script_that_ends:net failed"):
        network_of("script_that_ends:net", StateDict({}), "x.pt")
