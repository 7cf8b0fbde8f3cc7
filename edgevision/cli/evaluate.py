"""``edgevision eval``."""

from __future__ import annotations

import argparse
import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cli import output
from edgevision.cli.extras import (
    ATTRIBUTES_HELP,
    BAD_PHOTO_CHOICES,
    BAD_PHOTO_HELP,
    LABELS_HELP,
    check_threads,
    need_compile,
)
from edgevision.cli.progress import step_progress
from edgevision.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from edgevision.evaluate.base import TaskEvaluation


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser(
        "eval",
        help="metrics of a .pt, .onnx or .edge on labelled photos",
        description="The metrics of the model's task over labelled photos. With --against, two models side by side, and what "
        "one lost against the other on the same photos.",
    )
    p.add_argument("model", type=Path, help=".edge bundle, checkpoint, or any file that compile takes")
    p.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="SRC",
        help="labelled photos: class folders or a list file; for a detector data.yaml, COCO .json, …",
    )
    p.add_argument(
        "--ood-data", type=Path, metavar="SRC", help="photos of what the model does not know (out of distribution)"
    )
    p.add_argument(
        "--against", type=Path, metavar="MODEL", help="a second model beside it, e.g. the float one: drop, interval"
    )
    p.add_argument("--labels", type=Path, metavar="FILE", help=LABELS_HELP)
    p.add_argument("--attributes", type=Path, metavar="CSV", help=ATTRIBUTES_HELP)
    p.add_argument(
        "--on-bad-photo",
        choices=BAD_PHOTO_CHOICES,
        default="fail",
        help=BAD_PHOTO_HELP.replace("{default}", "fail"),
    )
    p.add_argument("--html", type=Path, metavar="FILE", help="write one page with the pictures")
    p.add_argument("--engine", help="onnxruntime or openvino, for a bundle (default: the quickest)")
    p.add_argument("--threads", type=int)
    p.add_argument("--preprocess", metavar="FILE|imagenet|lite|yolo", help="for models that are not our checkpoint")
    p.add_argument("--task", metavar="KIND", help="for models that do not say it (default: classify)")
    p.add_argument(
        "--output",
        metavar="LAYOUT",
        help="how to read the outputs, e.g. logits; for models that are not our checkpoint",
    )
    p.add_argument(
        "--output-name", dest="output_names", action="append", default=[], metavar="NAME", help="as for compile"
    )
    p.add_argument("--arch", metavar="NAME", help="for a state dict")
    p.add_argument("--trust", action="store_true", help="allow pickles that can run code; only for files you made")
    return p


def run(arguments: argparse.Namespace) -> int:
    from edgevision.evaluate.data.described import table_for
    from edgevision.evaluate.data.photo_check import OnBadPhoto, read_checked
    from edgevision.evaluate.evaluation import compare, evaluate

    check_threads(arguments.threads)
    if arguments.html is not None:
        _check_html(arguments)
    on_bad = OnBadPhoto(arguments.on_bad_photo)
    evaluations: list[TaskEvaluation] = []
    with step_progress(not arguments.json) as progress:
        step = partial(progress, "check photos")
        table = table_for(arguments.data, arguments.attributes)
        given = [read_checked(arguments.data, arguments.labels, on_bad, step, table=table)]
        if arguments.ood_data:
            given.append(read_checked(arguments.ood_data, None, on_bad, step))
        dataset, ood = given[0].dataset, given[1].dataset if len(given) > 1 else None
        bundles = [path for path in (arguments.model, arguments.against) if path and _is_bundle(path)]
        paths = [path for path in (arguments.model, arguments.against) if path]
        for path, name in zip(paths, _names(paths), strict=True):
            with _open(path, arguments, bundles, progress) as model:
                evaluations.append(evaluate(name, model, dataset, ood, progress))
    paired = compare(evaluations[1], evaluations[0]) if len(evaluations) == 2 else None
    if arguments.html is not None:
        from edgevision.files import atomic_write

        atomic_write(arguments.html, evaluations[0].evaluator.page(evaluations, paired).encode())
    if arguments.json:
        data: dict[str, Any] = {"models": [e.to_dict() for e in evaluations]}
        data["notes"] = [note for one in given for note in one.notes]
        data["bad_photos"] = [photo.to_dict() for one in given for photo in one.bad]
        output.show_json({**data, "paired": None if paired is None else asdict(paired)})
        return 0
    _print(evaluations)
    for note in (note for one in given for note in one.notes):
        output.say(f"Note: {note}")
    if paired is not None:
        output.say(paired.sentence(evaluations[0].name, evaluations[1].name))
    if arguments.html is not None:
        output.say(f"Wrote {arguments.html}")
    return 0


def _names(paths: Sequence[Path]) -> list[str]:
    """What models are called in what is shown: their files' names, with as much of the path as tells them apart."""
    names = [path.name for path in paths]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    return names if len(set(names)) == len(names) else [names[0], f"{names[0]} (again)"]


def _open(path: Path, arguments: argparse.Namespace, bundles: list[Path], progress: Any) -> Any:
    """A predictor: the bundle, loaded; or the float model, exported."""
    if path.suffix == ".edge" or _is_bundle(path):
        import edgevision as ev

        return ev.load(path, engine=arguments.engine, threads=arguments.threads)
    need_compile(f"eval of {path.name}")
    from edgevision.compiler.float_model import FloatModel
    from edgevision.compiler.sources.source import SourceOptions

    options = SourceOptions(
        arguments.arch, arguments.preprocess, arguments.labels, arguments.output, arguments.trust, arguments.task,
        tuple(arguments.output_names),
    )  # fmt: skip
    fitted = next((found for bundle in bundles if (found := _fitted_in(bundle, path)) is not None), None)
    return FloatModel(path, options, threads=arguments.threads, fitted=fitted, progress=progress)


def _fitted_in(bundle: Path, source: Path) -> dict[str, Any] | None:
    """The task's parameters that `compile` fitted for float ({} = it could fit none), if the bundle was made of ``source``."""
    from edgevision.bundle.reader import open_bundle

    with open_bundle(bundle) as opened:
        made_of = opened.manifest.source
    fitted = made_of.get("float")
    parameters = fitted.get("parameters") if isinstance(fitted, dict) else None
    if not isinstance(parameters, dict) or not source.is_file():
        return None
    return parameters if made_of.get("sha256") == hashlib.sha256(source.read_bytes()).hexdigest() else None


def _check_html(arguments: argparse.Namespace) -> None:
    """Refuse, before long work, a page that cannot be made or would replace what is evaluated."""
    from edgevision.files import ensure_writable, is_same_file

    if find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "report", "eval --html")
    given = (
        arguments.model,
        arguments.against,
        arguments.data,
        arguments.ood_data,
        arguments.labels,
        arguments.attributes,
    )
    if any(path is not None and is_same_file(arguments.html, path) for path in given):
        raise InputError(f"{arguments.html} is read by this command and would be replaced; name another with --html")
    ensure_writable(arguments.html)


def _is_bundle(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return "manifest.json" in archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False  # whoever opens it as a model will say what it is


def _print(evaluations: list[TaskEvaluation]) -> None:
    """The metrics side by side; further tables of the first model alone."""
    columns = [dict(evaluation.rows()) for evaluation in evaluations]
    lines = [[metric, *(column.get(metric, "–") for column in columns)] for metric in columns[0]]
    output.table("", ["metric", *(evaluation.name for evaluation in evaluations)], lines)
    for title, header, rows in evaluations[0].tables():
        output.table(title, header, rows)
