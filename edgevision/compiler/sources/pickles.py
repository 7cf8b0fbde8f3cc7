"""What a pickle would import, read without running it.

Unpickling runs whatever functions the pickle names. The names stand in its opcodes, so that walking them
(``pickletools.genops``, which executes nothing) shows every function and class before anything is loaded.
"""

from __future__ import annotations

import io
import pickletools
import re
from collections.abc import Callable

from edgevision.errors import ModelFileError

Allowed = Callable[[str, str], bool]

# Tensors and plain containers: what torch.load(weights_only=True) takes too.
_STORAGE = re.compile(r"(Float|Double|Half|BFloat16|Long|Int|Short|Char|Byte|Bool|ComplexFloat|ComplexDouble)Storage")
_DTYPE = re.compile(r"(float|int|uint)(8|16|32|64)|bfloat16|bool|complex(64|128)|double|half|long|short")
_WEIGHTS = {
    ("collections", "OrderedDict"),
    ("_codecs", "encode"),  # how protocol 2 writes bytes
    ("__builtin__", "bytearray"), ("builtins", "bytearray"),
    ("__builtin__", "set"), ("builtins", "set"),
    ("torch", "Size"), ("torch", "device"), ("torch.nn.parameter", "Parameter"),
    ("torch.storage", "UntypedStorage"), ("torch.storage", "TypedStorage"),
    ("torch._utils", "_rebuild_tensor"), ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_tensor_v3"), ("torch._utils", "_rebuild_parameter"),
    ("torch._tensor", "_rebuild_from_type_v2"), ("torch", "Tensor"),  # tensors with attributes of their own
}  # fmt: skip
# What the TorchScript serializer refers to besides; each of these functions returns its argument.
_TORCHSCRIPT = {
    ("torch.jit._pickle", name)
    for name in ("build_intlist", "build_tensorlist", "build_doublelist", "build_boollist", "build_tensor_from_id",
                 "restore_type_tag")
}  # fmt: skip


def is_weights(module: str, name: str) -> bool:
    """Whether a pickle of tensors and plain values may name this."""
    if (module, name) in _WEIGHTS:
        return True
    return module == "torch" and bool(_STORAGE.fullmatch(name) or _DTYPE.fullmatch(name))


def is_checkpoint_value(module: str, name: str) -> bool:
    """Whether a training script's checkpoint may name this: weights, and its command line's options beside them."""
    return (module, name) == ("argparse", "Namespace") or is_weights(module, name)


def is_torchscript(module: str, name: str) -> bool:
    """Whether a pickle inside a TorchScript archive may name this: ``__torch__`` types are defined in the archive.

    ``__torch__.torch.classes`` are C++ classes of the process instead, and are not allowed.
    """
    if module == "__torch__" or module.startswith("__torch__."):
        return not f"{module}.{name}".startswith("__torch__.torch.classes.")
    return (module, name) in _TORCHSCRIPT or is_weights(module, name)


def foreign_names(data: bytes, allowed: Allowed, where: str, *, pickles: int = 1) -> tuple[str, ...]:
    """``module.name`` of everything the first ``pickles`` pickles in ``data`` would import and ``allowed`` does not
    list, in the order of appearance. An import that cannot be read from the opcodes counts as ``?``.

    Raises ModelFileError when ``data`` is not a whole pickle.
    """
    found: dict[str, None] = {}
    stream = io.BytesIO(data)
    try:
        for _ in range(pickles):
            _scan(stream, allowed, found)
    except (ValueError, EOFError, IndexError, OverflowError, RecursionError) as error:
        raise ModelFileError(f"{where} is damaged or truncated ({error}); copy or save it again") from error
    return tuple(found)


def _scan(stream: io.BytesIO, allowed: Allowed, found: dict[str, None]) -> None:
    strings: list[str | None] = []  # the strings pushed last; None = something else
    for opcode, argument, _ in pickletools.genops(stream):
        code = opcode.name
        if code in ("GLOBAL", "INST"):
            module, _, name = str(argument).partition(" ")
            if not allowed(module, name):
                found[f"{module}.{name}"] = None
        elif code == "STACK_GLOBAL":
            pushed = strings[-2:]
            if len(pushed) != 2 or pushed[0] is None or pushed[1] is None:
                found["?"] = None
            elif not allowed(pushed[0], pushed[1]):
                found[f"{pushed[0]}.{pushed[1]}"] = None
        elif code in ("EXT1", "EXT2", "EXT4"):  # the extension registry of the process
            found[f"copyreg extension {argument}"] = None
        if code in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
            continue  # these leave the stack as it is
        strings.append(argument if "UNICODE" in code and isinstance(argument, str) else None)
        del strings[:-2]
