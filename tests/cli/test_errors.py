"""Bad input of every kind: the right exit status, one or two lines that say what to do, and nothing lost."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

MAX_LINE = 600  # characters; more is somebody else's stack dump


def check(done, status: int, *told: str, lines: int = 2) -> None:
    """That is the status, ``told`` is said, in few lines, and as people speak."""
    said = [line for line in done.err.splitlines() if not line.startswith("edgevision: warning")]
    assert done.status == status, done.err
    assert 1 <= len(said) <= lines, done.err
    assert max(map(len, said)) <= MAX_LINE
    assert said[0].startswith("edgevision: ")
    for text in told:
        assert text in done.err
    for text in ("Traceback", "unexpected", 'File "', "\x1b"):
        assert text not in done.err


# --- files that are not there, empty, cut short, or something else ---

KINDS = ("state.pt", "script.pt", "exported.pt2", "color.onnx", "checkpoint.pt")


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> dict[str, bytes]:
    """A whole file of each kind."""
    import torch
    from torch import nn

    from edgevision.compiler.sources.quiet import quiet
    from edgevision.preprocess import preset
    from edgevision.tasks.classify import classify_spec
    from edgevision.tasks.results import Label
    from edgevision.train.backbones import build
    from edgevision.train.checkpoint import Checkpoint, save_checkpoint

    folder = tmp_path_factory.mktemp("kinds")
    net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    torch.save(net.state_dict(), folder / "state.pt")
    with quiet():
        torch.jit.save(torch.jit.trace(net, torch.zeros(1, 3, 8, 8)), folder / "script.pt")
        torch.export.save(torch.export.export(net, (torch.zeros(1, 3, 8, 8),)), folder / "exported.pt2")
    options = {"width": 0.1, "depth": 0.1, "features": 8}
    state = build("lite0", 3, **options).state_dict()
    task = classify_spec([Label(i, str(i)) for i in range(3)])
    save_checkpoint(folder / "checkpoint.pt", Checkpoint("lite0", state, preset("lite", 32, 32), task, options))
    (folder / "color.onnx").write_bytes((Path(__file__).parent.parent / "data" / "color.onnx").read_bytes())
    return {kind: (folder / kind).read_bytes() for kind in KINDS}


@pytest.mark.requires("torch", "onnx")
@pytest.mark.parametrize("command", ["compile", "eval"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.97])
@pytest.mark.parametrize("kind", KINDS)
def test_model_files_cut_short(edgevision, models, kind, kept, command, onnx_model, photos, tmp_path):
    path = tmp_path / kind
    path.write_bytes(models[kind][: int(kept * len(models[kind]))])
    given = () if kind == "checkpoint.pt" else onnx_model[1:]
    done = edgevision(command, path, *given, "--data", photos)
    check(done, 2, kind, "is empty" if not kept else "")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.requires("torch", "onnx")
@pytest.mark.parametrize("kind", KINDS[:4])
def test_what_a_model_file_does_not_say_is_asked_for_with_a_template(edgevision, models, kind, photos, tmp_path):
    (tmp_path / kind).write_bytes(models[kind])
    done = edgevision("compile", tmp_path / kind, "--data", photos)
    check(done, 2, "never guessed", "--preprocess", "--labels", "--output logits|probabilities", lines=7)
    template = next(line for line in done.err.splitlines() if line.strip().startswith("{"))
    assert json.loads(template)["mean"]
    if kind == "state.pt":
        assert "--arch torchvision:NAME" in done.err


@pytest.mark.parametrize("command", ["predict", "inspect", "verify", "tune", "eval"])
@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "x.edge"), (b"", "empty"), (b"PK\x03\x04 no", "x.edge"), (b"\x89PNG\r\n\x1a\n", "x.edge")],
    ids=["missing", "empty", "cut", "a picture"],
)
def test_bundles_that_are_none(edgevision, command, content, told, photos, tmp_path):
    path = tmp_path / "x.edge"
    if content is not None:
        path.write_bytes(content)
    more = {"predict": (photos,), "eval": ("--data", photos)}.get(command, ())
    check(edgevision(command, path, *more), 2, told)


@pytest.mark.parametrize("command", ["predict", "inspect", "verify", "tune", "eval"])
@pytest.mark.parametrize("change", ["truncated", "schema", "graph", "trailing", "folder"])
def test_bundles_that_were_changed(edgevision, command, change, color_bundle, photos, tmp_path):
    path = color_bundle()
    data = bytearray(path.read_bytes())
    if change == "truncated":
        del data[len(data) // 2 :]
    elif change == "trailing":
        data += b"x"
    elif change == "graph":
        data[data.rindex(b"edgevision-tests")] ^= 1  # in the int8 graph, which is chosen
    if change == "schema":
        data = bytearray(with_schema(path, 99))
    path.write_bytes(data)
    if change == "folder":
        path = tmp_path
    more = {"predict": (photos,), "eval": ("--data", photos)}.get(command, ())
    status = edgevision(command, path, *more)
    if change == "graph" and command == "inspect":  # reads no graph; verify does
        assert status.status == 0
        return
    check(status, 2, "99" if change == "schema" else "")


def with_schema(path: Path, number: int) -> bytes:
    """The bundle with another schema number, otherwise whole."""
    import hashlib
    import io

    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(buffer, "w") as new:
        manifest = json.loads(old.read("manifest.json"))
        manifest["schema"] = number
        text = json.dumps(manifest).encode()
        for info in old.infolist():
            content = old.read(info)
            if info.filename == "manifest.json":
                content = text
            elif info.filename == "manifest.sha256":
                content = content.replace(content[:64], hashlib.sha256(text).hexdigest().encode())
            new.writestr(info, content)
    return buffer.getvalue()


# --- hostile files ---


@pytest.mark.requires("torch", "onnx")
@pytest.mark.parametrize("how", ["pickle", "torch.save", "checkpoint"])
@pytest.mark.parametrize("command", ["compile", "eval", "train"])
def test_pickles_do_not_run(edgevision, command, how, photos, tmp_path):
    import torch

    marker = tmp_path / "it-ran"

    class Payload:
        def __reduce__(self):
            return Path.touch, (marker,)

    path = tmp_path / "model.pt"
    if how == "pickle":
        path.write_bytes(pickle.dumps(Payload()))
    else:
        obj = Payload() if how == "torch.save" else {"edgevision_checkpoint": 1, "training": Payload()}
        torch.save(obj, path)
    more = {"compile": (path,), "eval": (path,), "train": ("--teacher", path, "-o", tmp_path / "new.pt")}[command]
    check(edgevision(command, *more, "--data", photos), 2, "model.pt")
    assert not marker.exists()


# --- options and data that do not fit ---


def spoil(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


CASES: dict[str, tuple[Callable[[Path, tuple, Path], list], int, str]] = {
    # name: (arguments from (folder, model with its options, photos), status, what is told)
    "labels: too few": (lambda d, m, p: ["compile", *m[:4], spoil(d / "l", "a\nb\n"), *m[5:], "--data", p], 2, "shape (3,) and there are 2 labels"),
    "labels: missing": (lambda d, m, p: ["compile", *m[:4], d / "nope.txt", *m[5:], "--data", p], 2, "nope.txt"),
    "labels: empty": (lambda d, m, p: ["compile", *m[:4], spoil(d / "l", ""), *m[5:], "--data", p], 2, "at least one class"),
    "labels: binary": (lambda d, m, p: ["compile", *m[:4], spoil(d / "l", b"\xff\xfe\x00"), *m[5:], "--data", p], 2, "not text"),
    "labels: twice": (lambda d, m, p: ["compile", *m[:4], spoil(d / "l", "a\na\nb\n"), *m[5:], "--data", p], 2, "repeated"),
    "labels: others": (lambda d, m, p: ["compile", *m[:4], spoil(d / "l", "a\nb\nc\n"), *m[5:], "--data", p], 2, "not among"),
    "spec: missing": (lambda d, m, p: ["compile", m[0], "--preprocess", d / "no.json", *m[3:], "--data", p], 2, "no.json"),
    "spec: empty": (lambda d, m, p: ["compile", m[0], "--preprocess", spoil(d / "s", ""), *m[3:], "--data", p], 2, "--preprocess"),
    "spec: cut": (lambda d, m, p: ["compile", m[0], "--preprocess", spoil(d / "s", '{"hei'), *m[3:], "--data", p], 2, "--preprocess"),
    "spec: a list": (lambda d, m, p: ["compile", m[0], "--preprocess", spoil(d / "s", "[1]"), *m[3:], "--data", p], 2, "JSON object"),
    "spec: other size": (lambda d, m, p: ["compile", m[0], "--preprocess", spoil(d / "s", json.dumps(
        {"height": 9, "width": 8, "mean": [0] * 3, "std": [1] * 3})), *m[3:], "--data", p], 2, "[3, 9, 8]"),
    "spec: unknown": (lambda d, m, p: ["compile", m[0], "--preprocess", "clip", *m[3:], "--data", p], 2, "imagenet|lite|yolo"),
    "arch: not a state dict": (lambda d, m, p: ["compile", *m, "--arch", "lite0", "--data", p], 2, "leave out --arch"),
    "no photos": (lambda d, m, p: ["compile", *m], 2, "--data"),
    "data: missing": (lambda d, m, p: ["compile", *m, "--data", d / "nope"], 2, "nope"),
    "data: empty folder": (lambda d, m, p: ["compile", *m, "--data", d], 2, "no photos"),
    "data: a model": (lambda d, m, p: ["compile", *m, "--data", m[0]], 2, "not text"),
    "data: empty list": (lambda d, m, p: ["compile", *m, "--data", spoil(d / "l.txt", "")], 2, "no lines"),
    "data: list of nothing": (lambda d, m, p: ["compile", *m, "--data", spoil(d / "l.txt", "a.png, red\n")], 2, "line 1: "),
    "data: too few": (lambda d, m, p: ["compile", *m, "--data", spoil(
        d / "l.txt", "".join(f"{p}/red/{i}.png,red\n" for i in range(5)))], 2, "at least 16 photos"),
    "golden: missing": (lambda d, m, p: ["compile", *m, "--data", p, "--golden", d / "nope"], 2, "nope"),
    "golden: empty": (lambda d, m, p: ["compile", *m, "--data", p, "--golden", d], 2, "holds no pictures"),
    "int8 and float": (lambda d, m, p: ["compile", *m, "--int8", "--precision", "float"], 2, "contradict"),
    "threads": (lambda d, m, p: ["compile", *m, "--data", p, "--threads", -1], 2, "--threads"),
    "max-drop": (lambda d, m, p: ["compile", *m, "--data", p, "--max-drop", "nan"], 2, "--max-drop"),
    "keep": (lambda d, m, p: ["compile", *m, "--data", p, "--true-accept-rate", 1.5], 2, "--true-accept-rate"),
    "batch": (lambda d, m, p: ["compile", *m, "--data", p, "--batch", 0], 2, "--batch"),
    "target: itself": (lambda d, m, p: ["compile", *m, "--data", p, "-o", m[0]], 2, "would be replaced"),
    "target: the labels": (lambda d, m, p: ["compile", *m, "--data", p, "-o", m[4]], 2, "would be replaced"),
    "target: a folder": (lambda d, m, p: ["compile", *m, "--data", p, "-o", d], 2, "it is a folder"),
    "target: no folder": (lambda d, m, p: ["compile", *m, "--data", p, "-o", d / "a" / "b.edge"], 2, "does not exist"),
    "target: below a file": (lambda d, m, p: ["compile", *m, "--data", p, "-o", m[0] / "b.edge"], 2, "is a file"),
    "target: a device": (lambda d, m, p: ["compile", *m, "--data", p, "-o", "/dev/null"], 2, "device"),
    "target: read-only": (lambda d, m, p: ["compile", *m, "--data", p, "-o", "/proc/x.edge"], 2, "/proc/x.edge"),
    "report: below a file": (lambda d, m, p: ["compile", *m, "--data", p, "--report", m[0] / "r"], 2, "color.onnx"),
    "report: a file": (lambda d, m, p: ["compile", *m, "--data", p, "--report", m[4]], 2, "expected a folder"),
    "model: no name": (lambda d, m, p: ["compile", "", "--data", p], 2, "expected a model file"),
    "model: a folder": (lambda d, m, p: ["compile", d, "--data", p], 2, ""),
    "eval: unlabelled": (lambda d, m, p: ["eval", *m, "--data", p / "red"], 2, "needs a class for each photo"),
    "eval: other classes": (lambda d, m, p: ["eval", *m[:3], "--labels", spoil(d / "l", "x\ny\nz"), *m[5:], "--data", p], 2, "x"),
    "eval: no photos": (lambda d, m, p: ["eval", *m, "--data", d], 2, "no photos"),
    "eval: threads": (lambda d, m, p: ["eval", *m, "--data", p, "--threads", 0], 2, "--threads"),
    "eval: page over model": (lambda d, m, p: ["eval", *m, "--data", p, "--html", m[0]], 2, "would be replaced"),
    "eval: page nowhere": (lambda d, m, p: ["eval", *m, "--data", p, "--html", d / "a" / "b.html"], 2, "does not exist"),
    "train: no data": (lambda d, m, p: ["train", "--data", d / "nope", "-o", d / "x.pt"], 2, "nope"),
    "train: unlabelled": (lambda d, m, p: ["train", "--data", p / "red", "-o", d / "x.pt"], 2, ""),
    "train: one class": (lambda d, m, p: ["train", "--data", one_class(d, p), "-o", d / "x.pt"], 2, "class"),
    "train: arch": (lambda d, m, p: ["train", "--data", p, "-o", d / "x.pt", "--arch", "vgg"], 2, "vgg"),
    "train: target": (lambda d, m, p: ["train", "--data", p, "-o", d / "a" / "x.pt"], 2, "does not exist"),
    "train: teacher": (lambda d, m, p: ["train", "--data", p, "-o", d / "x.pt", "--teacher", d / "t.pt"], 2, "t.pt"),
    "train: scratch": (lambda d, m, p: ["train", "--data", p, "-o", d / "x.pt", "--scratch", "--freeze-epochs", 1], 2, "--freeze-epochs holds ImageNet's weights still"),
    "train: epochs": (lambda d, m, p: ["train", "--data", p, "-o", d / "x.pt", "--epochs", 0], 2, "epochs"),
}  # fmt: skip


def one_class(folder: Path, photos: Path) -> Path:
    (folder / "one").mkdir()
    (folder / "one" / "red").symlink_to(photos / "red")
    for path in (photos / "red").iterdir():
        (folder / "one" / "green").mkdir(exist_ok=True)
        (folder / "one" / "green" / path.name).write_bytes(path.read_bytes())
    (folder / "one" / "red").unlink()
    return folder / "one"


@pytest.mark.requires("torch", "onnx")
@pytest.mark.parametrize("name", CASES)
def test_bad_usage(edgevision, name, onnx_model, photos, tmp_path, quick):
    arguments, status, told = CASES[name]
    before = {path: path.read_bytes() for path in onnx_model if isinstance(path, Path)}
    given = arguments(tmp_path, onnx_model, photos)
    if given[0] == "compile" and "-o" not in given:
        given += ["-o", tmp_path / "out.edge"]
    left = sorted(tmp_path.rglob("*"))
    check(edgevision(*given), status, told)
    for path, content in before.items():
        assert path.read_bytes() == content
    assert sorted(tmp_path.rglob("*")) == left  # nothing half-made is left


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--engine", "tensorflow"], "engines are"),
        (["--engine", "openvino"], "nothing for engine 'openvino'"),
        (["--threads", 0], "--threads"),
        (["--threads", -1], "--threads"),
        (["--top", 9], "--top"),
        (["--draw", "/proc/nope"], "/proc/nope"),
    ],
)
def test_predict_options(edgevision, arguments, told, color_bundle, photos):
    check(edgevision("predict", color_bundle(), photos / "red" / "1.png", *arguments), 2, told)


def test_a_picture_that_would_fill_the_memory(edgevision, color_bundle, tmp_path):
    import struct
    import zlib

    header = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    done = edgevision("predict", color_bundle(), spoil(tmp_path / "huge.png", png))
    check(done, 2, "huge.png")
    assert done.out == ""


def test_labels_cannot_steer_the_terminal(edgevision, color_bundle, photos):
    from edgevision.tasks.classify import classify_spec
    from edgevision.tasks.results import Label

    labels = (Label(1, "[bold]red[/]"), Label(2, "gr\x1b[31mün"), Label(3, "bl\nue"))
    path = color_bundle(manifest={"task": classify_spec(labels)})
    for arguments in (["predict", path, photos, "--top", 3], ["inspect", path, "--labels"]):
        done = edgevision(*arguments)
        assert done.status == 0
        assert "[bold]red[/]" in done.out
        assert "\x1b" not in done.out
        assert "bl\n" not in done.out
    assert edgevision("predict", path, photos / "blue" / "1.png", "--json").json[0]["top"][0]["name"] == "bl\nue"


@pytest.mark.requires("torch", "onnx")
def test_a_bundle_is_not_compiled_again(edgevision, color_bundle, tmp_path):
    path = color_bundle()
    before = path.read_bytes()
    check(edgevision("compile", path), 2, "color.edge")
    check(edgevision("compile", path, "-o", tmp_path / "new.edge"), 2, "is a bundle already")
    assert path.read_bytes() == before


@pytest.mark.requires("torch", "onnx")
def test_a_state_dict_that_does_not_fit(edgevision, models, onnx_model, photos, tmp_path):
    (tmp_path / "state.pt").write_bytes(models["state.pt"])
    done = edgevision(
        "compile", tmp_path / "state.pt", *onnx_model[1:], "--arch", "torchvision:resnet18", "--data", photos
    )
    check(done, 2, "resnet18")


@pytest.mark.requires("torch", "onnx")
@pytest.mark.parametrize("flaw", ["custom operator", "external data"])
def test_onnx_files_that_need_more_than_themselves(edgevision, flaw, onnx_model, photos, tmp_path):
    import onnx

    model = onnx.load(onnx_model[0])
    if flaw == "custom operator":
        model.graph.node[0].domain = "acme"
        model.opset_import.append(onnx.helper.make_opsetid("acme", 1))
        told = "acme"
    else:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.bin")
        told = "weights.bin"
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    check(edgevision("compile", tmp_path / "m.onnx", *onnx_model[1:], "--data", photos), 2, told)


# --- what nobody planned ---


def broken_command(error: BaseException) -> Callable[[object], int]:
    def run(arguments: object) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (KeyboardInterrupt(), 130, "stopped by the user"),
        (MemoryError(), 1, "out of memory"),
        (PermissionError(13, "Permission denied", "/photos/1.png"), 1, "cannot use /photos/1.png: Permission denied"),
    ],
)
def test_faults_that_have_a_name(edgevision, monkeypatch, error, status, told):
    from edgevision.cli import doctor

    monkeypatch.setattr(doctor, "run", broken_command(error))
    check(edgevision("doctor"), status, told)
    assert edgevision("doctor", "--json").json["status"] == status
    assert "Traceback" in edgevision("doctor", "--debug").err


def test_faults_that_have_none(edgevision, monkeypatch):
    from edgevision.cli import doctor

    monkeypatch.setattr(doctor, "run", broken_command(RuntimeError("line 1\n" + 200 * "at address 0x0\n")))
    done = edgevision("doctor")
    assert done.status == 1
    assert len(done.err.splitlines()) == 1
    assert len(done.err) < MAX_LINE
    assert "unexpected RuntimeError: line 1 at address" in done.err
    assert "--debug" in done.err
    assert "Traceback" in edgevision("doctor", "--debug").err


def test_errors_of_ours_show_their_traceback_only_with_debug(edgevision, tmp_path):
    done = edgevision("inspect", tmp_path / "x.edge", "--debug")
    assert done.status == 2
    assert "Traceback" in done.err


def test_warnings_of_others_are_not_shown(edgevision, monkeypatch):
    import warnings

    from edgevision.cli import doctor

    def run(arguments: object) -> int:
        warnings.warn("deprecated", FutureWarning, stacklevel=1)
        return 0

    monkeypatch.setattr(doctor, "run", run)
    assert edgevision("doctor") == type(edgevision("doctor"))(0, "", "")
