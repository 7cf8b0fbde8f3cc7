"""Small facts that identities are made of: a file's hash, versions, counts of layers in words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

_CHUNK = 1 << 20


def hash_of(path: str | Path) -> tuple[str, int]:
    """SHA-256 in hexadecimal, and bytes, of a file; of a folder, over the names and contents of all files in it, sorted."""
    path = Path(path)
    digest, size = hashlib.sha256(), 0
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    for one in files:
        if one != path:
            digest.update(f"{one.relative_to(path).as_posix()}\0{one.stat().st_size}\0".encode())
        with one.open("rb") as file:
            while data := file.read(_CHUNK):
                digest.update(data)
                size += len(data)
    return digest.hexdigest(), size


def versions_of(names: Iterable[str]) -> dict[str, str]:
    """Installed versions of those packages that are installed, without importing them, and Python's."""
    import platform
    from importlib import metadata

    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def precision_text(layers: Mapping[str, int], what: str = "layers") -> str:
    """How many layers run in which precision, the most first.

    >>> precision_text({"float32": 2, "int8": 56})
    'int8 in 56 of 58 layers, float32 in 2'
    >>> precision_text({"float32": 58})
    'float32 in all 58 layers'
    """
    counted = sorted(((count, name) for name, count in layers.items() if count), key=lambda one: (-one[0], one[1]))
    total = sum(count for count, _ in counted)
    if not counted:
        return f"no {what} were found"
    (most, first), *rest = counted
    if not rest:
        return f"{first} in all {total} {what}"
    others = ", ".join(f"{name} in {count}" for count, name in rest)
    return f"{first} in {most} of {total} {what}, {others}"
