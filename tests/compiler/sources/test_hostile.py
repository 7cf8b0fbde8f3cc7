"""Model files that would run code: they are refused, and nothing in them runs.

Each payload would create a marker file. ``test_the_payloads_are_real`` shows that they work where nobody looks first.
"""

from __future__ import annotations

import builtins
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgevision.errors import ModelFileError

pytestmark = pytest.mark.requires("torch", "onnx")


class Payload:
    """Pickles to a call of ``exec`` that creates the marker."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return builtins.exec, (code(self.marker),)


def code(marker: Path) -> str:
    return f"open({str(marker)!r}, 'w').close()"


def expression(marker: Path) -> str:
    return f"__import__('pathlib').Path({str(marker)!r}).touch()"


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "it-ran"


@pytest.fixture
def refused(tmp_path, marker, spec, labels):
    """A function: ``content`` is refused as a model file with a message that holds ``told``, and did not run."""
    from edgevision.compiler.sources.source import SourceOptions, load_source

    def check(content: bytes, told: str) -> None:
        path = tmp_path / "model.pt"
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match=told) as caught:
            load_source(path, SourceOptions("torchvision:resnet18", spec, labels, "logits"))
        assert caught.value.exit_status == 2
        assert not marker.exists()

    return check


def repacked(path: Path, change: Callable[[str, bytes], bytes | None], extra: dict[str, bytes] | None = None) -> bytes:
    """A torch archive with members changed (None: left out) and added; names come without the root folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(buffer, "w") as new:
        root = old.namelist()[0].split("/", 1)[0]
        for info in old.infolist():
            content = change(info.filename.split("/", 1)[1], old.read(info))
            if content is not None:
                new.writestr(info.filename, content)
        for name, content in (extra or {}).items():
            new.writestr(f"{root}/{name}", content)
    return buffer.getvalue()


def replaced(member: str, content: bytes) -> Callable[[str, bytes], bytes]:
    return lambda name, old: content if name == member else old


def graph_changed(path: Path, change: Callable[[dict], object]) -> bytes:
    """A .pt2 file whose graph went through ``change``."""

    def apply(name: str, content: bytes) -> bytes:
        if name != "models/model.json":
            return content
        document = json.loads(content)
        change(document)
        return json.dumps(document).encode()

    return repacked(path, apply)


def saved(obj: object, **options: object) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save(obj, buffer, **options)
    return buffer.getvalue()


def test_the_payloads_are_real(marker):
    import sympy
    import torch

    torch.load(io.BytesIO(saved(Payload(marker))), weights_only=False)
    assert marker.exists()
    marker.unlink()
    sympy.sympify(expression(marker))
    assert marker.exists()


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("where", ["alone", "in a state dict", "in a checkpoint"])
def test_pickles(where, protocol, legacy, refused, marker):
    import torch

    payload = Payload(marker)
    obj = {
        "alone": payload,
        "in a state dict": {"weight": torch.zeros(3), "bias": payload},
        "in a checkpoint": {"edgevision_checkpoint": 1, "state_dict": {}, "training": payload},
    }[where]
    data = saved(obj, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    refused(data, r"would call (builtins|__builtin__)\.exec when it is loaded; it was not loaded")


def test_names_that_cannot_be_read_from_the_opcodes(refused, files, marker):
    # STACK_GLOBAL with its names taken from the memo: nothing says which they are without running the stack.
    sneaky = (
        b"\x80\x04\x8c\x08builtins\x94\x8c\x04exec\x940h\x00h\x01\x93"
        + b"\x8c" + bytes([len(code(marker))]) + code(marker).encode() + b"\x85R."
    )  # fmt: skip
    pickle.loads(sneaky)
    assert marker.exists()
    marker.unlink()
    refused(repacked(files["state"], replaced("data.pkl", sneaky)), r"would call \?")


def test_a_pickled_module_runs_only_with_trust(tmp_path, marker, spec, labels):
    from edgevision.compiler.sources.source import SourceOptions, load_source

    (tmp_path / "model.pt").write_bytes(saved(Payload(marker)))
    with pytest.raises(ModelFileError):  # it holds no network, but now it was loaded
        load_source(tmp_path / "model.pt", SourceOptions(None, spec, labels, "logits", trust=True))
    assert marker.exists()


@pytest.mark.parametrize("member", ["data.pkl", "constants.pkl", "traced_inputs.pkl"])
def test_torchscript_pickles(member, files, refused, marker):
    refused(repacked(files["trace"], replaced(member, pickle.dumps(Payload(marker), 2))), r"a pickle that calls .*exec")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("torch.save(1, '{marker}')", "'save'"),
        ("torch.save \\\n (1, '{marker}')", "'save'"),
        ("ops.image.write_file('{marker}', x)", "'write_file'"),
        ("ops.evil.run('{marker}')", "operators of 'evil'"),
        ("torch.from_file('{marker}', True, 5)", "'from_file'"),
        ("x = annotate(__torch__.torch.classes.evil.Run, x)", "classes"),
    ],
)
def test_torchscript_code_with_side_effects(line, told, files, refused, marker):
    source = f"def helper(x: Tensor) -> Tensor:\n  {line.format(marker=marker)}\n  return x\n"
    refused(repacked(files["script"], lambda _, old: old, {"code/__torch__/extra.py": source.encode()}), told)


def test_torchscript_can_write_files(files, marker, tmp_path):
    """What the search of the code is for: loading an archive runs its ``__setstate__``, and that may save files."""
    import torch

    from edgevision.compiler.sources.quiet import quiet
    from edgevision.compiler.sources.source import SourceOptions, load_source

    class Saves(torch.nn.Module):
        def __init__(self, target: str):
            super().__init__()
            self.target = target

        @torch.jit.export
        def __getstate__(self):
            return (self.target, self.training)

        @torch.jit.export
        def __setstate__(self, state: tuple[str, bool]):
            torch.save(torch.zeros(1), state[0])
            self.target = state[0]
            self.training = state[1]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((2, 3))

    path = tmp_path / "saves.pt"
    with quiet():
        torch.jit.save(torch.jit.script(Saves(str(marker))), path)
        marker.unlink(missing_ok=True)
        torch.jit.load(path)
    assert marker.exists()
    marker.unlink()
    with pytest.raises(ModelFileError, match="'save'"):
        load_source(path, SourceOptions(None, "imagenet", [], "logits"))
    assert not marker.exists()


def test_pt2_sample_inputs(files, refused, marker):
    hostile = saved(((Payload(marker),), {}))
    refused(
        repacked(files["pt2"], replaced("data/sample_inputs/model.pt", hostile)), "sample inputs whose pickle calls"
    )


@pytest.mark.parametrize("kind", ["weights", "constants"])
def test_pt2_pickled_tensors(kind, files, refused, marker):
    config = f"data/{kind}/model_{kind}_config.json"
    payload = {"path_name": f"{'weight' if kind == 'weights' else 'tensor'}_99", "is_param": False, "use_pickle": True,
               "tensor_meta": None}  # fmt: skip

    def change(name: str, content: bytes) -> bytes:
        if name != config:
            return content
        document = json.loads(content)
        document["config"]["extra"] = payload
        return json.dumps(document).encode()

    data = repacked(files["pt2"], change, {f"data/{kind}/{payload['path_name']}": saved(Payload(marker))})
    refused(data, "pickled tensors")


@pytest.mark.parametrize(
    "member",
    ["data/weights/model.pt", "data/constants/model.pt", "data/constants/custom_obj_0", "data/constants/opaque_obj_0",
     "data/aotinductor/model/net.so", "data/sample_inputs/other.pt", "models/other.json", "surprise"],
)  # fmt: skip
def test_pt2_members_that_torch_would_load_otherwise(member, files, refused, marker):
    data = repacked(files["pt2"], lambda _, old: old, {member: saved(Payload(marker))})
    refused(data, "the member")


def _tensor(document: dict) -> dict:
    return next(iter(document["graph_module"]["graph"]["tensor_values"].values()))


def _signature(document: dict) -> dict:
    return next(c["signature"] for c in document["graph_module"]["module_call_graph"] if c["signature"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d, m: _tensor(d)["sizes"].insert(0, {"as_expr": {"expr_str": expression(m), "hint": None}}), "the text"),
        (
            lambda d, m: _tensor(d)["sizes"].insert(0, {"as_expr": {"expr_str": "().__class__.__base__", "hint": None}}),
            "the text",
        ),
        (lambda d, m: _tensor(d)["sizes"].insert(0, {"as_expr": {"expr_str": "9**9**9**9", "hint": None}}), "the text"),
        (lambda d, m: d["graph_module"]["graph"]["nodes"][0].update(target="torch.os.system"), "operator"),
        (lambda d, m: d["graph_module"]["graph"]["nodes"][0].update(target="torch.ops.aten.from_file.default"), "operator"),
        (lambda d, m: d["graph_module"]["graph"]["nodes"][0].update(target="torch.ops.evil.run.default"), "operator"),
        (lambda d, m: d["graph_module"]["graph"]["nodes"][0].update(name=f"x={expression(m)}"), "the text"),
        (lambda d, m: _signature(d).update(forward_arg_names=[f"x={expression(m)}"]), "the text"),
        (
            lambda d, m: _signature(d).update(
                out_spec=json.dumps([1, {"type": "collections.defaultdict", "children_spec": [], "context": json.dumps(
                    {"default_factory_module": "antigravity", "default_factory_name": "x", "dict_context": []})}])
            ),
            "the text",
        ),
        (
            lambda d, m: _signature(d).update(
                in_spec=json.dumps([1, {"type": "builtins.dict", "children_spec": [],
                                        "context": json.dumps({"__enum__": 1, "fqn": "antigravity:x"})}])
            ),
            "the text",
        ),
        (lambda d, m: d["graph_module"]["graph"]["tensor_values"].update({'x"+' + expression(m): {}}), "the name"),
    ],
    ids=["sympy", "dunder", "power tower", "os.system", "from_file", "custom operator", "node name", "argument name",
         "defaultdict", "enum", "tensor name"],
)  # fmt: skip
def test_pt2_graphs(change, told, files, refused, marker):
    refused(graph_changed(files["pt2"], lambda document: change(document, marker)), told)


@pytest.mark.parametrize(
    "change",
    [
        lambda d, m: d.update(guards_code=[expression(m)]),
        lambda d, m: d["graph_module"]["graph"]["nodes"][0]["metadata"].update(
            stack_trace=f'File "x", line 1, in forward\n    a\r{code(m)}', custom="{}"
        ),
    ],
    ids=["guards", "stack trace"],
)
def test_pt2_text_that_is_not_needed_is_not_passed_on(change, files, marker, tmp_path, spec, labels):
    from edgevision.compiler.sources.export import export_float
    from edgevision.compiler.sources.source import SourceOptions, load_source

    path = tmp_path / "model.pt2"
    path.write_bytes(graph_changed(files["pt2"], lambda document: change(document, marker)))
    source = load_source(path, SourceOptions(None, spec, labels, "logits"))
    export_float(source)
    assert not marker.exists()


def test_pt2_with_trust_is_left_to_torch(files, tmp_path, spec, labels):
    from edgevision.compiler.sources.source import SourceOptions, load_source

    path = tmp_path / "model.pt2"
    path.write_bytes(repacked(files["pt2"], lambda _, old: old, {"extra/notes": b"hello"}))
    assert load_source(path, SourceOptions(None, spec, labels, "logits", trust=True)).kind.value == "pt2"
