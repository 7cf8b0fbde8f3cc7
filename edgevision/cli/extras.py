"""What several commands need: optional packages, and the report of a bundle."""

from __future__ import annotations

import argparse
import dataclasses
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from edgevision.bundle.reader import Bundle

LABELS_HELP = "class names: one a line, CSV with name and id, or JSON"
ATTRIBUTES_HELP = "what is known of the photos, or of their classes: a CSV with a column for each attribute"
BAD_PHOTO_CHOICES = ("fail", "skip")  # of photo_check.OnBadPhoto
BAD_PHOTO_HELP = "photos that cannot be read: name them all and stop, or go on without them (default {default})"


class OptionAdder:
    """Adds to a parser, or a group of one, the options of a dataclass: an option's default is its field's, typed once.

    ``{default}`` in a help text is the default. A field without a default makes the option required.
    """

    def __init__(self, parser: argparse._ActionsContainer, options: type[DataclassInstance]) -> None:
        self._parser = parser
        self._fields = {field.name: field for field in dataclasses.fields(options)}

    def __call__(self, name: str, field: str, help: str = "", **more: Any) -> None:
        """Option ``name`` for the field ``field``; ``more`` as ``add_argument`` takes it."""
        default = self._fields[field].default
        if isinstance(default, Enum):
            default = default.value
        if default is dataclasses.MISSING:
            self._parser.add_argument(name, dest=field, help=help, required=True, **more)
            return
        if isinstance(default, bool):
            self._parser.add_argument(name, dest=field, help=help, action="store_true")
            return
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        self._parser.add_argument(name, dest=field, default=default, help=help.replace("{default}", shown), **more)


def need_compile(purpose: str) -> None:
    """Raise MissingExtraError, naming the command or ``purpose``, unless the packages that make models are installed."""
    for package in ("torch", "torchvision", "onnx", "onnxscript"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "compile", f"edgevision {purpose}")


def need_train() -> None:
    """Raise MissingExtraError unless the packages that train models are installed."""
    for package in ("torch", "torchvision"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "train", "edgevision train")


def make_folder(path: Path) -> None:
    """Make the folder where it is not there yet, and be sure that files can be written into it. Raises InputError."""
    from edgevision.files import ensure_writable

    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise InputError(f"{path} is a file, expected a folder; give another name") from None
    except OSError as error:
        raise InputError(f"cannot make the folder {path}: {error.strerror or error}; give another place") from error
    ensure_writable(path / "report")


def check_threads(threads: int | None) -> None:
    """Raise InputError unless the number of threads can be used; None = the default."""
    if threads is not None and not 1 <= threads <= 256:
        raise InputError(f"--threads is 1…256, got {threads}")


def write_report(bundle: Bundle, folder: Path) -> list[Path]:
    """Copy the bundle's report.json and report.html into ``folder``, which is made if it is not there."""
    from edgevision.files import atomic_write

    make_folder(folder)
    written = []
    for entry in sorted(bundle.manifest.entries):
        if entry.startswith("report/"):
            path = folder / entry.removeprefix("report/")
            atomic_write(path, bundle.read(entry))
            written.append(path)
    return written
