"""What several commands need: optional packages, and the report of a bundle."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from edgevision.errors import MissingExtraError

if TYPE_CHECKING:
    from edgevision.bundle.reader import Bundle


def need_compile() -> None:
    """Raise MissingExtraError unless the packages that make models are installed."""
    for package in ("torch", "torchvision", "onnx", "onnxscript"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "compile", "edgevision compile")


def need_train() -> None:
    """Raise MissingExtraError unless the packages that train models are installed."""
    for package in ("torch", "torchvision"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "train", "edgevision train")


def write_report(bundle: Bundle, folder: Path) -> list[Path]:
    """Copy the bundle's report.json and report.html into ``folder``, which is made if it is not there."""
    from edgevision.files import atomic_write

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for entry in sorted(bundle.manifest.entries):
        if entry.startswith("report/"):
            path = folder / entry.removeprefix("report/")
            atomic_write(path, bundle.read(entry))
            written.append(path)
    return written
