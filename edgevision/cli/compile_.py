"""``edgevision compile``."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cli import output
from edgevision.cli.extras import (
    ATTRIBUTES_HELP,
    BAD_PHOTO_CHOICES,
    BAD_PHOTO_HELP,
    LABELS_HELP,
    OptionAdder,
    make_folder,
    need_compile,
    write_report,
)
from edgevision.cli.progress import step_progress
from edgevision.errors import BudgetError, InputError

if TYPE_CHECKING:
    from edgevision.compiler.options import CompileOptions, Precision
    from edgevision.compiler.report.report import Report


def add_parser(commands: Any) -> argparse.ArgumentParser:
    from edgevision.compiler.effort import Effort
    from edgevision.compiler.options import CompileOptions

    p: argparse.ArgumentParser = commands.add_parser(
        "compile",
        help="quantize, export, measure and prove a model; write one .edge file",
        description="From a model file to one bundle: quantized, measured on this machine, and within an accuracy budget.",
    )
    option = OptionAdder(p, CompileOptions)
    p.add_argument(
        "model",
        type=Path,
        help="our checkpoint, TorchScript, .pt2, a state dict with --arch (safetensors too), or .onnx",
    )
    p.add_argument(
        "-o", dest="target", type=Path, metavar="FILE", help="the bundle (default: MODEL with the suffix .edge)"
    )
    p.add_argument("--int8", action="store_true", help="pack the quickest int8 variant: short for --precision int8")
    p.add_argument(
        "--precision", choices=("auto", "int8", "float"), help="auto (default): the quickest of any within the budget"
    )
    p.add_argument("--report", type=Path, metavar="DIR", help="also write report.json and report.html there")
    option("--data", "data", "calibration photos: folder, list file, data.yaml, …", type=Path, metavar="SRC")
    option("--val", "val", "validation photos (default: half of --data)", type=Path, metavar="SRC")
    option("--labels", "labels", LABELS_HELP, type=Path, metavar="FILE")
    option("--attributes", "attributes", ATTRIBUTES_HELP, type=Path, metavar="CSV")
    option("--on-bad-photo", "on_bad_photo", BAD_PHOTO_HELP, choices=BAD_PHOTO_CHOICES)
    option("--preprocess", "preprocess", "how a frame becomes the input tensor", metavar="FILE|imagenet|lite|yolo")
    option(
        "--task",
        "task",
        "what the model does, where its file does not say it (default: classify); embed cuts a classifier",
        metavar="KIND",
    )
    option(
        "--output",
        "output",
        "how its outputs are to be read; of a classifier: logits or probabilities",
        metavar="LAYOUT",
    )
    p.add_argument(
        "--output-name",
        dest="output_names",
        action="append",
        default=[],
        metavar="NAME",
        help="of a network with several outputs: one that is used (repeat for more)",
    )
    option("--arch", "arch", "for a state dict: torchvision:NAME, timm:NAME or package.module:callable", metavar="NAME")
    option("--trust", "trust", "allow pickles that can run code; only for files you made")
    option("--skip-validation", "skip_validation", "do without validation photos, or any photos")
    option("--force", "force", "go on though the float model's own answers make no sense")
    option("--max-drop", "max_drop", "accuracy budget (default {default})", type=float, metavar="POINTS")
    p.add_argument(
        "--effort", choices=[effort.value for effort in Effort], default=CompileOptions.effort.value,
        help="how long a large network may take: quick, normal (default), thorough",
    )  # fmt: skip
    option(
        "--max-class-drop",
        "max_class_drop",
        "budget of the worst class with 20 validation photos or more (default {default})",
        type=float,
        metavar="POINTS",
    )
    option(
        "--max-ece-increase",
        "max_ece_increase",
        "budget of the scores: how much their calibration error may rise (default {default})",
        type=float,
        metavar="POINTS",
    )
    p.add_argument(
        "--target",
        dest="targets",
        default=",".join(CompileOptions.targets),
        metavar="NAME[,NAME]",
        help="also for other devices: x86 (without VNNI), x86-vnni, arm, tensorrt, tensorrt-rtx (default auto: this machine)",
    )
    option(
        "--version-compatible",
        "version_compatible",
        "TensorRT engines that later versions and the lean runtime run too",
    )
    option("--prune", "prune", "remove this share of the channels, 0…0.95", type=float, metavar="R")
    option(
        "--target-latency",
        "target_latency_ms",
        "prune as little as brings it there, e.g. 8ms",
        type=_milliseconds,
        metavar="MS",
    )
    option(
        "--prune-minutes",
        "prune_minutes",
        "fine-tune the pruned network on the labelled photos for so long (default {default}; 0 = not)",
        type=float,
        metavar="MIN",
    )
    option("--save-pruned", "save_pruned", "also write the pruned network as a checkpoint", type=Path, metavar="FILE")
    option("--threads", "threads", "threads to choose for (default: all cores)", type=int)
    option(
        "--objective", "objective", "what the choice minimises (default {default})", choices=("latency", "throughput")
    )
    option("--batch", "batch", "items per run for the choice (default: 1, for throughput 8)", type=int)
    option(
        "--true-accept-rate",
        "true_accept_rate",
        'share of right answers that stay "known" (default {default})',
        type=float,
        metavar="SHARE",
    )
    option("--golden", "golden", "pictures to store as golden frames", type=Path, metavar="DIR")
    option("--seed", "seed", "of what is drawn at random (default {default})", type=int)
    return p  # fmt: skip


def _milliseconds(text: str) -> float:
    """``8``, ``8ms`` or ``8 ms``."""
    try:
        return float(text.strip().removesuffix("ms"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected milliseconds, such as 8 or 8ms, got {text!r}") from None


def _options(arguments: argparse.Namespace, precision: Precision) -> CompileOptions:
    """What was asked for: every option is called as its field."""
    from edgevision.compiler.effort import Effort
    from edgevision.compiler.options import CompileOptions, Objective
    from edgevision.evaluate.data.photo_check import OnBadPhoto

    names = {field.name for field in dataclasses.fields(CompileOptions)}
    given = {name: value for name, value in vars(arguments).items() if name in names}
    return CompileOptions(
        **{
            **given,
            "precision": precision,
            "objective": Objective(arguments.objective),
            "effort": Effort(arguments.effort),
            "on_bad_photo": OnBadPhoto(arguments.on_bad_photo),
            "output_names": tuple(arguments.output_names),
            "targets": tuple(arguments.targets.split(",")),
        }
    )


def run(arguments: argparse.Namespace) -> int:
    need_compile("compile")
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model
    from edgevision.compiler.report.report import Report

    if arguments.int8 and arguments.precision not in (None, "int8"):
        raise InputError(f"--int8 and --precision {arguments.precision} contradict each other; give one of them")
    precision = Precision.INT8 if arguments.int8 else Precision(arguments.precision or "auto")
    if not arguments.model.name:
        raise InputError(f"expected a model file, got '{arguments.model}'")
    target = arguments.target or arguments.model.with_suffix(".edge")
    options = _options(arguments, precision)
    if arguments.report is not None:
        make_folder(arguments.report)
    try:
        with step_progress(not arguments.json) as progress:
            result = compile_model(arguments.model, target, options, progress, progress.expect)
    except BudgetError as error:
        if isinstance(error.report, Report):
            _show_refused(error.report, arguments)
        raise
    if arguments.report is not None:
        from edgevision.bundle.reader import open_bundle

        with open_bundle(result.path) as bundle:
            write_report(bundle, arguments.report)
    report = result.report
    size_bytes = target.stat().st_size
    if arguments.json:
        output.show_json({"bundle": str(target), "id": result.bundle_id, "size_bytes": size_bytes, **report.to_dict()})
        return 0
    _show_tables(report, chosen=0)
    say = output.say
    for name, reason in report.missing.items():
        say(f"{name}: {reason}", "dim")
    say(f"\n{report.why}", "bold")
    say(report.verdict_line())
    for note in report.notes:
        say(f"Note: {note}")
    say(
        f"\nWrote {target} ({size_bytes / 1e6:.2f} MB, id {result.bundle_id[:12]}). Next: edgevision predict {shlex.quote(str(target))} PHOTO"
    )
    return 0


def _show_tables(report: Report, chosen: int | None) -> None:
    """The variants of this machine, and those for others. ``chosen``: the line to mark."""
    from edgevision.compiler.report.report import TABLE_LEGEND

    header, lines = report.table()
    output.table("Variants on this machine", header, lines, bold=chosen, whole=True)
    output.say(TABLE_LEGEND, "dim")
    header, lines = report.targets_table()
    if lines:
        output.table("For other devices: compared here by their answers, not measured", header, lines, whole=True)


def _show_refused(report: Report, arguments: argparse.Namespace) -> None:
    """What was found of a model that is not packed: the table, and with ``--report`` the page."""
    from edgevision.compiler.report.page import report_files

    if not arguments.json:
        _show_tables(report, chosen=None)
    if arguments.report is not None:
        for name, content in report_files(report).items():
            (arguments.report / Path(name).name).write_bytes(content)
