"""Compile the checkpoints that come with EdgeVision."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from edgevision.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from edgevision.compiler.pipeline import CompileResult

CLASSIFIER = Path(__file__).parent / "model.pt"
DETECTOR = Path(__file__).parent / "detector.pt"
ProgressFn = Callable[[str, int, int], None]


def silent(step: str, done: int, total: int) -> None:
    """No progress."""


def compile_checkpoint(
    checkpoint: Path, target: Path, threads: int | None, progress: ProgressFn, data: Path | None = None, *, task: str | None = None,
    quick: bool = False,
) -> CompileResult:  # fmt: skip
    """``checkpoint`` to int8, written to ``target``, judged by the photos of ``data``, or by those that travel in it. ``task``: another than
    its own. ``quick``: without what only a written report shows.

    Raises MissingExtraError where the compiler's packages are not installed, InputError where the folder cannot be made.
    """
    for package in ("torch", "torchvision", "onnx", "onnxscript"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "compile", "edgevision demo")
    from edgevision.compiler.effort import Effort
    from edgevision.compiler.options import CompileOptions, Precision
    from edgevision.compiler.pipeline import compile_model

    make_folder(target.parent)
    effort = Effort.QUICK if quick else Effort.NORMAL
    options = CompileOptions(precision=Precision.INT8, threads=threads, data=data, task=task, effort=effort)
    return compile_model(checkpoint, target, options, progress)


def make_folder(folder: Path) -> None:
    """Make it with its parents. Raises InputError where that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be made ({error.strerror}); give another one with -o") from None
