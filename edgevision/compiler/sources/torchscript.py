"""TorchScript archives, loaded without running anything but tensor arithmetic.

TorchScript's own interpreter does not run Python, but some of its operators write files (``torch.save``) or open
connections, and ``__setstate__`` runs while an archive is loaded. So the code in it is searched for them first, its
pickles are held against an allow-list, and torch gets an archive rebuilt from what was looked at.
"""

from __future__ import annotations

import re

import torch

from edgevision.compiler.sources.archives import pack_members
from edgevision.compiler.sources.parity import brief
from edgevision.compiler.sources.pickles import foreign_names, is_torchscript
from edgevision.compiler.sources.quiet import quiet
from edgevision.errors import ModelFileError

_KEPT = re.compile(r"data\.pkl|constants\.pkl|version|byteorder|\.data/version|(data|constants)/\d+|code/.*\.py")
_SIDE_EFFECTS = re.compile(r"\b(save|from_file|read_file|write_file|rpc_sync|rpc_async|rpc_remote)\b")
_NAMESPACE = re.compile(r"\bops\s*\.\s*(\w+)")
_NAMESPACES = {"aten", "prim", "prims", "torchvision"}
_CPP_CLASS = re.compile(r"__torch__\s*\.\s*torch\s*\.\s*classes\b")


def load_torchscript(members: dict[str, bytes], name: str, *, trust: bool = False) -> torch.jit.ScriptModule:
    """The module in a TorchScript archive, on the CPU, in eval mode. ``members`` as ``open_container`` gives them.

    Raises ModelFileError when it is damaged, or could do more than arithmetic and ``trust`` is False.
    """
    if not trust:
        for member, content in members.items():
            if member.endswith((".pkl", ".debug_pkl")):
                if foreign := foreign_names(content, is_torchscript, f"{name}:{member}"):
                    raise _untrusted(name, f"a pickle that calls {foreign[0]}")
            elif member.startswith("code/"):
                _check_code(content, name)
        members = {member: content for member, content in members.items() if _KEPT.fullmatch(member)}
    try:
        with quiet():
            module: torch.jit.ScriptModule = torch.jit.load(pack_members(members), map_location="cpu")  # type: ignore[no-untyped-call]
            module.eval()
            return module
    except Exception as error:  # torch raises RuntimeError, ValueError, and what its C++ throws
        raise ModelFileError(
            f"{name} is a TorchScript archive that torch {torch.__version__} cannot load ({brief(error)}); "
            "save it again, or export it as ONNX"
        ) from error


def _check_code(content: bytes, name: str) -> None:
    code = content.decode("utf-8", "replace").replace("\\\n", " ")
    if (found := _SIDE_EFFECTS.search(code)) or (found := _CPP_CLASS.search(code)):
        raise _untrusted(name, f"code that uses {found[0]!r}")
    for found in _NAMESPACE.finditer(code):
        if found[1] not in _NAMESPACES:
            raise _untrusted(name, f"code that calls operators of {found[1]!r}")


def _untrusted(name: str, what: str) -> ModelFileError:
    return ModelFileError(
        f"{name} holds {what}, which is more than a network needs and could do harm; it was not loaded. "
        "Export the model as ONNX, or pass --trust if you made the file"
    )
