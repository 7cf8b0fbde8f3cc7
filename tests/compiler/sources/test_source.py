"""Model files: recognised by content, never guessed about, never run."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgevision.errors import DataError, InputError, ModelFileError
from edgevision.preprocess.spec import ColorOrder, Layout, PreprocessSpec, TensorDtype
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("torch", "onnx")

# kind of file → (SourceKind, whether it needs an arch, whether it needs trust)
KINDS = {
    "state": ("state dict", True, False),
    "wrapped": ("state dict", True, False),
    "legacy": ("state dict", True, False),
    "module": ("pickled module", False, True),
    "script": ("torchscript", False, False),
    "trace": ("torchscript", False, False),
    "pt2": ("pt2", False, False),
    "pt2-batch-1": ("pt2", False, False),
    "onnx": ("onnx", False, False),
}


@pytest.fixture
def options(spec, labels, tmp_path, monkeypatch, make_net):
    """Options that make a file of any kind usable: a function of the kind."""
    from edgevision.compiler.sources.source import SourceOptions

    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "nets.py").write_text(
        "from torch import nn\n"
        "def tiny():\n"
        "    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),\n"
        "        nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(8, 8, 3, stride=2, groups=8), nn.ReLU6(),\n"
        "        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, 5))\n"
        "def number():\n"
        "    return 3\n"
    )
    monkeypatch.chdir(tmp_path)  # the working directory is where --arch looks

    def make(kind: str, **changes):
        _, needs_arch, trust = KINDS[kind]
        values = {"preprocess": spec, "labels": labels, "output": "logits", "trust": trust,
                  "arch": "shop.nets:tiny" if needs_arch else None}  # fmt: skip
        return SourceOptions(**{**values, **changes})

    return make


def load(path, options):
    from edgevision.compiler.sources.source import load_source

    return load_source(path, options)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_recognised_and_computes_the_same(kind, files, options, make_net, spec, labels):
    import torch

    source = load(files[kind], options(kind))
    assert source.kind.value == source.info["kind"] == KINDS[kind][0]
    assert source.info["name"] == files[kind].name
    assert source.info["sha256"] == hashlib.sha256(files[kind].read_bytes()).hexdigest()
    assert (source.spec, source.task, source.labels) == (spec, classify_spec(labels), labels)
    assert source.info["params"] > 300
    tensor = np.random.default_rng(0).normal(size=(3, *spec.tensor_shape)).astype(np.float32)
    with torch.no_grad():
        expected = make_net()(torch.from_numpy(tensor)).numpy()
    outputs = source.run(tensor)
    assert list(outputs) == ["output"]  # whatever it is called in the file
    np.testing.assert_allclose(outputs["output"], expected, atol=1e-5)


def test_checkpoint_needs_no_options(tmp_path, spec, labels):
    from edgevision.compiler.sources.source import SourceOptions
    from edgevision.train import backbones
    from edgevision.train.checkpoint import Checkpoint, save_checkpoint

    net = backbones.build("torchvision:squeezenet1_1", len(labels))
    path = tmp_path / "model.pt"
    save_checkpoint(path, Checkpoint("torchvision:squeezenet1_1", net.state_dict(), spec, classify_spec(labels)))
    source = load(path, None)
    assert source.trained_on is None
    photos = ("0f" * 16, "ab" * 16)
    task = classify_spec(labels)
    save_checkpoint(path, Checkpoint("torchvision:squeezenet1_1", net.state_dict(), spec, task, trained_on=photos))
    assert load(path, None).trained_on == {"0f" * 16, "ab" * 16}
    assert source.kind.value == "checkpoint"
    assert (source.spec, source.task, source.labels) == (spec, classify_spec(labels), labels)
    assert source.info["arch"] == "torchvision:squeezenet1_1"
    other = dataclasses.replace(spec, color=ColorOrder.BGR)
    with pytest.raises(InputError, match="carries its own preprocess"):
        load(path, SourceOptions(preprocess=other))
    assert load(path, SourceOptions(preprocess=spec)).spec == spec  # saying the same is no contradiction
    # A labels file explains the photos, whatever it says of classes and in whatever order; it renames no output.
    (tmp_path / "photos.csv").write_text("id,name\n9,tea\n3,salt\n")
    for given in (tmp_path / "photos.csv", [Label(0, "tea")]):
        assert load(path, SourceOptions(labels=given)).labels == labels
    with pytest.raises(DataError, match="cannot read a labels file"):
        load(path, SourceOptions(labels=tmp_path / "none.csv"))


def test_an_onnx_graph_that_says_what_it_does_is_not_cut_for_another_task(files):
    from edgevision.compiler.sources.source import SourceOptions

    with pytest.raises(InputError, match=r"onnx\.bin carries its own task"):
        load(files["onnx"], SourceOptions(task="embed"))


def test_torchvision_arch_takes_its_outputs_from_the_state_dict(tmp_path, spec, labels):
    import torch
    import torchvision

    from edgevision.compiler.sources.source import SourceOptions

    net = torchvision.models.get_model("squeezenet1_1", weights=None, num_classes=5)
    torch.save(net.state_dict(), tmp_path / "net.pth")
    said = SourceOptions("torchvision:squeezenet1_1", spec, labels, "logits")
    assert load(tmp_path / "net.pth", said).info["arch"] == "torchvision:squeezenet1_1"
    with pytest.raises(ModelFileError, match=r"items of shape \(5,\) and there are 3 labels"):
        load(tmp_path / "net.pth", dataclasses.replace(said, labels=labels[:3]))
    with pytest.raises(ModelFileError, match=r"does not fit torchvision:resnet18.*and \d+ more"):
        load(tmp_path / "net.pth", dataclasses.replace(said, arch="torchvision:resnet18"))
    with pytest.raises(InputError, match="did you mean"):
        load(tmp_path / "net.pth", dataclasses.replace(said, arch="torchvision:squeeze"))


# ---- what is missing, and what contradicts ----


@pytest.mark.parametrize(
    ("kind", "given", "told"),
    [
        ("onnx-bare", (), ["--preprocess preprocess.json", "--labels labels.txt", "--output logits|probabilities"]),
        ("pt2", ("labels",), ["--preprocess preprocess.json", "--output logits|probabilities"]),
        ("script", ("preprocess", "output"), ["--labels labels.txt", "--output logits"]),
        ("state", (), ["--arch torchvision:NAME", "--preprocess preprocess.json", "lite0|lite1|lite2"]),
        ("state", ("preprocess", "labels", "output"), ["--arch torchvision:NAME"]),
    ],
)
def test_nothing_is_guessed_and_the_error_prints_a_template(kind, given, told, files, spec, labels, tmp_path):
    from edgevision.compiler.sources.source import SourceOptions

    path = files.get(kind) or without_metadata(files["onnx"], tmp_path)
    all_options = {"preprocess": spec, "labels": labels, "output": "logits"}
    with pytest.raises(ModelFileError) as caught:
        load(path, SourceOptions(**{key: all_options[key] for key in given}))
    message = str(caught.value)
    assert f"edgevision compile {path.name}" in message
    for part in told:
        assert part in message
    if "preprocess" not in given:
        template = re.search(r"^  (\{.*\})$", message, re.MULTILINE)
        assert template is not None
        filled_in = PreprocessSpec.from_dict(json.loads(template[1]))
        side = 224 if kind == "state" else 32  # the graph knows its size, a state dict does not
        assert (filled_in.height, filled_in.width) == (side, side)


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"output": "scores"}, InputError, "logits"),
        ({"preprocess": "imagenet21k"}, InputError, "there is no file"),
        ({"arch": "torchvision:resnet18"}, InputError, "leave out --arch"),
        ({"labels": ["a", "b", "c"]}, ModelFileError, r"items of shape \(5,\) and there are 3 labels"),
        ({"preprocess": PreprocessSpec(64, 48)}, InputError, r"\[3, 64, 48\].*\[3, 32, 32\]"),
        ({"preprocess": PreprocessSpec(32, 32, layout=Layout.NHWC)}, InputError, "nhwc"),
        ({"preprocess": PreprocessSpec(32, 32, dtype=TensorDtype.UINT8)}, InputError, "float32"),
    ],
)
def test_options_that_do_not_fit(changes, error, told, files, options):
    with pytest.raises(error, match=told) as caught:
        load(files["pt2"], options("pt2", **changes))
    assert caught.value.exit_status == 2


def test_options_from_files(files, options, tmp_path, spec, labels):
    (tmp_path / "spec.json").write_text(json.dumps(spec.to_dict()))
    (tmp_path / "names.csv").write_text("id,name\n" + "".join(f"{x.id},{x.name}\n" for x in labels))
    source = load(files["pt2"], options("pt2", preprocess=str(tmp_path / "spec.json"), labels=tmp_path / "names.csv"))
    assert (source.spec, source.labels) == (spec, labels)
    by_name = sorted(labels, key=lambda label: label.name, reverse=True)  # not the order of the ids: which is right?
    (tmp_path / "sorted.csv").write_text("id,name\n" + "".join(f"{10 + x.id},{x.name}\n" for x in by_name))
    with pytest.raises(InputError, match="which output is which class is ambiguous"):
        load(files["pt2"], options("pt2", labels=tmp_path / "sorted.csv"))
    (tmp_path / "spec.json").write_text('{"height": 32')
    with pytest.raises(InputError, match=r"spec\.json"):
        load(files["pt2"], options("pt2", preprocess=tmp_path / "spec.json"))
    preset = load(files["pt2"], options("pt2", preprocess="lite")).spec
    assert preset.tensor_shape == (3, 32, 32)  # the preset's values, the graph's size


@pytest.mark.parametrize(
    ("arch", "error", "told"),
    [
        ("shop.nets:number", InputError, "gave int, expected an nn.Module"),
        ("shop.nets:absent", InputError, "AttributeError"),
        ("no.such.module:net", InputError, "ModuleNotFoundError"),
        ("resnet18", InputError, "torchvision:NAME"),
        ("torchvision:resnet18", ModelFileError, "does not fit"),
    ],
)
def test_arch_that_does_not_fit(arch, error, told, files, options):
    with pytest.raises(error, match=told):
        load(files["state"], options("state", arch=arch))


def test_size_that_the_network_cannot_take(files, options):
    gray = PreprocessSpec(32, 32, color=ColorOrder.GRAY, mean=(0.0,), std=(1.0,))
    with pytest.raises(ModelFileError, match=r"does not run on the float32 \[1, 1, 32, 32\]"):
        load(files["script"], options("script", preprocess=gray))


# ---- damaged files ----


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", ["empty", "half", "last bytes", "missing", "folder", "first bytes"])
def test_damaged_files_are_told_from_good_ones(kind, damage, files, options, tmp_path):
    path = tmp_path / "damaged.bin"
    data = files[kind].read_bytes()
    if damage == "folder":
        path.mkdir()
    elif damage != "missing":
        cut = {"empty": b"", "half": data[: len(data) // 2], "last bytes": data[:-7], "first bytes": data[9:]}[damage]
        path.write_bytes(cut)
    with pytest.raises(ModelFileError, match=r"damaged\.bin") as caught:
        load(path, options(kind))
    assert caught.value.exit_status == 2
    assert str(caught.value).count("\n") <= 1


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"hello, I am a text file\n" * 20, "not a model file that EdgeVision knows"),
        (pickle.dumps({"a": 1}), "bare pickle"),
        (b"\x89PNG\r\n\x1a\n" + bytes(64), "not a model file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n", "git lfs pull"),
    ],
)
def test_other_files(content, told, tmp_path, options):
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(ModelFileError, match=told):
        load(tmp_path / "model.pt", options("pt2"))


def test_torch_file_without_a_network(tmp_path, options):
    import torch

    torch.save({"epoch": 3}, tmp_path / "log.pt")
    with pytest.raises(ModelFileError, match="without a network"):
        load(tmp_path / "log.pt", options("state"))


def zip_of(*members: tuple[str, bytes], compress: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compress) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: zip_of(("a/data.pkl", bytes(50_000_000)), compress=zipfile.ZIP_DEFLATED), "zip bomb"),
        (lambda: zip_of(("a/data.pkl", b"x"), ("a/data.pkl", b"y")), "twice"),
        (lambda: zip_of(("a/data.pkl", b"x"), ("a/../../etc/x", b"y")), "hostile"),
        (lambda: zip_of(("/a/data.pkl", b"x")), "hostile"),
        (lambda: zip_of(("manifest.json", b"{}"), ("manifest.sha256", b"")), "bundle already"),
        (lambda: zip_of(("serialized_exported_program.json", b"{}")), "torch before 2.8"),
        (lambda: zip_of(("notes.txt", b"hello")), "not a model file"),
    ],
    ids=["bomb", "duplicate", "parent", "absolute", "bundle", "old pt2", "other zip"],
)
def test_archives_that_are_refused(make, told, tmp_path, options):
    (tmp_path / "model.pt").write_bytes(make())
    with pytest.raises(ModelFileError, match=told):
        load(tmp_path / "model.pt", options("pt2"))


def without_metadata(path: Path, folder: Path) -> Path:
    import onnx

    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, folder / "bare.onnx")
    return folder / "bare.onnx"
