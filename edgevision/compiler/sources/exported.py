"""``torch.export`` archives (.pt2), loaded without running anything that stands in them.

``torch.export.load`` reads such a file in ways that run code: pickled weights and constants are loaded without
``weights_only``, sample inputs fall back to it, shape expressions go through ``sympy.sympify`` (which evaluates Python),
guards and names are pasted into generated source, operators are looked up by attribute from ``torch``. So torch never sees the file:
it gets an archive rebuilt from raw tensors and a graph in which every string has passed an allow-list.
"""

from __future__ import annotations

import ast
import io
import json
import re
from typing import Any

import torch
from torch.export import ExportedProgram

from edgevision.compiler.sources.archives import Container, open_container, pack_members
from edgevision.compiler.sources.pickles import foreign_names, is_weights
from edgevision.compiler.sources.quiet import quiet
from edgevision.errors import ModelFileError

_KEPT = re.compile(
    r"archive_format|archive_version|byteorder|version|\.data/version|models/model\.json"
    r"|data/weights/(weight_\d+|model_weights_config\.json)|data/constants/(tensor_\d+|model_constants_config\.json)"
)
_DROPPED = re.compile(r"\.data/serialization_id|\.format_version|\.storage_alignment|extra/.*")
_SAMPLE_INPUTS = "data/sample_inputs/model.pt"

_NAME = re.compile(r"[\w.\-]*")
_WORDS = re.compile(r"[\w.\-:,/+>* ]*")  # string arguments ("bilinear", an einsum) and versions
_OPERATOR = re.compile(
    r"torch\.ops\.(aten|prims|torchvision)\.((?!__)\w+|__(and|or|xor|lshift|rshift)__)(\.(?!__)\w+)?"
    r"|torch\.ops\.higher_order\.wrap_with_(set_grad_enabled|autocast)"
    r"|_operator\.(getitem|add|sub|mul|truediv|floordiv|mod|neg|eq|ne|lt|le|gt|ge|and_|or_)"
    r"|torch\.sym_(int|float|max|min|not|ite|sum)|math\.(ceil|floor|trunc)"
)
_TOUCHES_FILES = re.compile(r"torch\.ops\.aten\.from_file\b.*")
_CONTAINERS = (None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict")

_SYMBOL = re.compile(r"[suz]\d+")
_FUNCTIONS = {
    "Symbol", "Integer", "Float", "Rational", "Add", "Mul", "Min", "Max", "Mod", "Abs", "floor", "ceiling",
    "Eq", "Ne", "Lt", "Le", "Gt", "Ge", "And", "Or", "Not", "oo", "int_oo", "FloorDiv", "ModularIndexing",
    "Where", "PythonMod", "CleanDiv", "CeilToInt", "FloorToInt", "CeilDiv", "IntTrueDiv", "FloatTrueDiv",
    "TruncToInt", "TruncToFloat", "RoundToInt", "ToFloat", "Identity",
}  # fmt: skip
_ARITHMETIC = (
    ast.Expression, ast.Call, ast.keyword, ast.Load, ast.BinOp, ast.UnaryOp, ast.Compare, ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip
_MAX_EXPRESSION = 2000


def load_exported(data: bytes, members: dict[str, bytes], name: str, *, trust: bool = False) -> ExportedProgram:
    """The program in a .pt2 file, for the CPU. ``members`` as ``open_container`` gives them.

    Raises ModelFileError when the file is damaged, or holds what could run code and ``trust`` is False.
    """
    stream = io.BytesIO(data) if trust else pack_members(_checked(members, name))
    try:
        with quiet():
            return torch.export.load(stream)
    except Exception as error:
        raise ModelFileError(
            f"{name} cannot be read by torch {torch.__version__} ({_first_line(error)}); "
            "export it again with this version on the CPU, or as ONNX"
        ) from error


def input_shape(program: ExportedProgram) -> tuple[int | None, ...] | None:
    """Shape of the program's only tensor input, None for each dynamic axis; None when it has not exactly one."""
    names = program.graph_signature.user_inputs
    shapes = [node.meta["val"].shape for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    if len(shapes) != 1:
        return None
    return tuple(size if isinstance(size, int) else None for size in shapes[0])


def in_float32(program: ExportedProgram) -> torch.nn.Module:
    """A program in half or double precision as a module in float32: weights, and the types that its operators name."""
    try:
        module = program.module(check_guards=False)  # they ask for the type of the input
    except TypeError:  # torch 2.8 has none
        module = program.module()
    module = module.float()
    assert isinstance(module, torch.fx.GraphModule)

    def cast(value: Any) -> Any:
        return torch.float32 if value in (torch.float16, torch.bfloat16, torch.float64) else value

    for node in module.graph.nodes:
        node.args = torch.fx.node.map_aggregate(node.args, cast)
        node.kwargs = torch.fx.node.map_aggregate(node.kwargs, cast)
    module.recompile()
    return module


def _checked(members: dict[str, bytes], name: str) -> dict[str, bytes]:
    """The members torch may see: raw tensors as they are, the graph without what it does not need."""
    kept: dict[str, bytes] = {}
    for member, content in members.items():
        if member == _SAMPLE_INPUTS:
            _refuse_hostile_inputs(content, name)
            kept[member] = b""  # the graph holds their shapes
        elif _KEPT.fullmatch(member):
            kept[member] = content
        elif not _DROPPED.fullmatch(member):
            raise _untrusted(name, f"the member {member!r}")
    for member in [m for m in kept if m.endswith(".json")]:
        kept[member] = _checked_json(kept[member], name, member)
    for needed in ("models/model.json", "data/weights/model_weights_config.json", _SAMPLE_INPUTS):
        if needed not in kept:
            raise ModelFileError(f"{name} is a .pt2 file without {needed!r}; export it again with torch.export.save")
    return kept


def _refuse_hostile_inputs(content: bytes, name: str) -> None:
    container, inner = open_container(content, f"{name}:{_SAMPLE_INPUTS}")
    if container is not Container.TORCH_ZIP:
        raise _untrusted(name, f"sample inputs that are {container.value}")
    if foreign := foreign_names(inner["data.pkl"], is_weights, f"{name}:{_SAMPLE_INPUTS}"):
        raise _untrusted(name, f"sample inputs whose pickle calls {foreign[0]}")


def _checked_json(content: bytes, name: str, member: str) -> bytes:
    try:
        document = json.loads(content)
        if not isinstance(document, dict):
            raise ValueError("not an object")
        if "guards_code" in document:
            document["guards_code"] = []  # source text; the parity check does its work
        return json.dumps(_checked_value(document, "", name)).encode()
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(
            f"{name}: its member {member!r} is damaged ({_first_line(error)}); export it again"
        ) from error


def _checked_value(value: Any, key: str, name: str) -> Any:
    if isinstance(value, dict):
        if set(value) == {"type", "index"}:  # a device: the file may come from another machine
            return {"type": "cpu", "index": None}
        if value.get("use_pickle"):
            raise _untrusted(name, f"pickled tensors ({value.get('path_name')!r})")
        for inner in value:
            if not _NAME.fullmatch(inner):
                raise _untrusted(name, f"the name {inner[:60]!r}")
        return {k: {} if k == "metadata" else _checked_value(v, k, name) for k, v in value.items()}
    if isinstance(value, list):
        return [_checked_value(item, key, name) for item in value]
    if isinstance(value, str):
        _check_text(value, key, name)
    return value


def _check_text(text: str, key: str, name: str) -> None:
    if key == "expr_str":
        fine = _is_arithmetic(text)
    elif key in ("target", "as_operator"):
        fine = bool(_OPERATOR.fullmatch(text)) and not _TOUCHES_FILES.fullmatch(text)
        if not fine:
            raise ModelFileError(
                f"{name} uses the operator {text[:80]!r}, which is none of PyTorch's own arithmetic; "
                "export the model without it, or pass --trust if you made the file"
            )
    elif key in ("in_spec", "out_spec"):
        fine = _is_plain_tree(json.loads(text))
    elif key in ("as_string", "torch_version"):
        fine = bool(_WORDS.fullmatch(text))
    else:
        fine = bool(_NAME.fullmatch(text))
    if not fine:
        raise _untrusted(name, f"the text {text[:60]!r}")


def _is_arithmetic(expression: str) -> bool:
    """Whether a shape expression holds only symbols, numbers, arithmetic and SymPy's functions of them."""
    if len(expression) > _MAX_EXPRESSION or not expression.isascii():
        return False
    try:
        tree = ast.parse(expression, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            fine = node.id in _FUNCTIONS or bool(_SYMBOL.fullmatch(node.id))
        elif isinstance(node, ast.Constant):
            fine = isinstance(node.value, (bool, int, float)) or (
                isinstance(node.value, str) and bool(_SYMBOL.fullmatch(node.value))
            )
        elif isinstance(node, ast.Call):
            fine = isinstance(node.func, ast.Name)
        elif isinstance(node, ast.Pow):
            fine = False
        else:
            fine = isinstance(node, _ARITHMETIC)
        if not fine:
            return False
    return True


def _is_plain_tree(tree: Any) -> bool:
    """Whether a serialized pytree holds only tuples, lists and dicts with plain names: other nodes import modules."""
    nodes = [tree[1]] if isinstance(tree, list) and len(tree) == 2 else [None]
    while nodes:
        node = nodes.pop()
        if not isinstance(node, dict) or node.get("type") not in _CONTAINERS:
            return False
        context = node.get("context")
        keys = json.loads(context) if isinstance(context, str) else context
        if not (
            keys is None or (isinstance(keys, list) and all(isinstance(k, str) and k.isidentifier() for k in keys))
        ):
            return False
        nodes.extend(node.get("children_spec", ()))
    return True


def _untrusted(name: str, what: str) -> ModelFileError:
    return ModelFileError(
        f"{name} holds {what}, with which a .pt2 file can run code when it is loaded; it was not loaded. "
        "Export the model again as ONNX, or pass --trust if you made the file"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
