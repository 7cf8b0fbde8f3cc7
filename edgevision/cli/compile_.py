"""``edgevision compile``."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cli import output
from edgevision.cli.extras import make_folder, need_compile, write_report
from edgevision.errors import BudgetError, InputError

if TYPE_CHECKING:
    from edgevision.compiler.report import Report


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser(
        "compile",
        help="quantize, export, measure and prove a model; write one .edge file",
        description="From a model file to one bundle: quantized, measured on this machine, and within an accuracy budget.",
    )
    p.add_argument("model", type=Path, help="our checkpoint, TorchScript, .pt2, a state dict with --arch, or .onnx")
    p.add_argument(
        "-o", dest="target", type=Path, metavar="FILE", help="the bundle (default: MODEL with the suffix .edge)"
    )
    p.add_argument("--int8", action="store_true", help="pack the quickest int8 variant")
    p.add_argument(
        "--precision", choices=("auto", "int8", "float"), help="auto (default): the quickest of any within the budget"
    )
    p.add_argument("--data", type=Path, metavar="SRC", help="calibration photos: folder or list file")
    p.add_argument("--val", type=Path, metavar="SRC", help="judge photos (default: half of --data)")
    p.add_argument("--labels", type=Path, metavar="FILE", help="class names: one a line, or CSV with name and id")
    p.add_argument("--preprocess", metavar="FILE|imagenet|lite", help="how a frame becomes the input tensor")
    p.add_argument("--output", choices=("logits", "probabilities"), help="what the model's output is")
    p.add_argument("--arch", metavar="NAME", help="for a state dict: torchvision:NAME or package.module:callable")
    p.add_argument("--trust", action="store_true", help="allow pickles that can run code; only for files you made")
    p.add_argument("--unproven", action="store_true", help="do without judge photos, or any")
    p.add_argument("--max-drop", type=float, default=0.5, metavar="POINTS", help="accuracy budget (default 0.5)")
    p.add_argument(
        "--max-class-drop", type=float, default=3.0, metavar="POINTS",
        help="budget of the worst class with 20 judge photos or more (default 3)",
    )  # fmt: skip
    p.add_argument(
        "--max-calibration-rise", type=float, default=3.0, metavar="POINTS",
        help="budget of the scores: how much their calibration error may rise (default 3)",
    )  # fmt: skip
    p.add_argument(
        "--target", dest="targets", default="auto", metavar="NAME[,NAME]",
        help="also for other devices: x86 (without VNNI), x86-vnni, arm, tensorrt, tensorrt-rtx (default auto: this machine)",
    )  # fmt: skip
    p.add_argument(
        "--version-compatible", action="store_true",
        help="TensorRT engines that later versions and the lean runtime run too",
    )  # fmt: skip
    p.add_argument("--prune", type=float, metavar="R", help="remove this share of the channels, 0…0.95")
    p.add_argument(
        "--target-latency", type=_milliseconds, metavar="MS", help="prune as little as brings it there, e.g. 8ms"
    )
    p.add_argument(
        "--prune-minutes", type=float, default=10.0, metavar="MIN",
        help="fine-tune the pruned network on the labelled photos for so long (default 10; 0 = not)",
    )  # fmt: skip
    p.add_argument("--save-pruned", type=Path, metavar="FILE", help="also write the pruned network as a checkpoint")
    p.add_argument("--threads", type=int, help="threads to choose for (default: all cores)")
    p.add_argument("--objective", choices=("latency", "throughput"), default="latency")
    p.add_argument("--batch", type=int, help="items per run for the choice (default: 1, for throughput 8)")
    p.add_argument("--keep", type=float, default=0.95, help='share of right answers that stay "known"')
    p.add_argument("--golden", type=Path, metavar="DIR", help="pictures to store as golden frames")
    p.add_argument("--report", type=Path, metavar="DIR", help="also write report.json and report.html there")
    p.add_argument("--seed", type=int, default=0)
    return p


def _milliseconds(text: str) -> float:
    """``8``, ``8ms`` or ``8 ms``."""
    try:
        return float(text.strip().removesuffix("ms"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected milliseconds, such as 8 or 8ms, got {text!r}") from None


def run(arguments: argparse.Namespace) -> int:
    need_compile("compile")
    from edgevision.compiler.options import CompileOptions, Objective, Precision
    from edgevision.compiler.pipeline import compile_model
    from edgevision.compiler.report import Report

    if arguments.int8 and arguments.precision not in (None, "int8"):
        raise InputError(f"--int8 and --precision {arguments.precision} contradict each other; give one of them")
    precision = Precision.INT8 if arguments.int8 else Precision(arguments.precision or "auto")
    if not arguments.model.name:
        raise InputError(f"expected a model file, got '{arguments.model}'")
    target = arguments.target or arguments.model.with_suffix(".edge")
    options = CompileOptions(
        precision=precision, data=arguments.data, val=arguments.val, labels=arguments.labels,
        preprocess=arguments.preprocess, output=arguments.output, arch=arguments.arch, trust=arguments.trust,
        unproven=arguments.unproven, max_drop=arguments.max_drop, max_class_drop=arguments.max_class_drop, threads=arguments.threads,
        objective=Objective(arguments.objective), batch=arguments.batch, keep=arguments.keep, golden=arguments.golden,
        seed=arguments.seed, prune=arguments.prune, target_latency_ms=arguments.target_latency,
        prune_minutes=arguments.prune_minutes, save_pruned=arguments.save_pruned,
        max_calibration_rise=arguments.max_calibration_rise, targets=tuple(arguments.targets.split(",")),
        version_compatible=arguments.version_compatible,
    )  # fmt: skip
    if arguments.report is not None:
        make_folder(arguments.report)
    try:
        with output.progress(not arguments.json) as progress:
            result = compile_model(arguments.model, target, options, progress)
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
    from edgevision.compiler.report import TABLE_LEGEND

    header, lines = report.table()
    output.table("Variants on this machine", header, lines, bold=chosen, whole=True)
    output.say(TABLE_LEGEND, "dim")
    header, lines = report.targets_table()
    if lines:
        output.table("For other devices: judged here by their answers, not measured", header, lines, whole=True)


def _show_refused(report: Report, arguments: argparse.Namespace) -> None:
    """What was found of a model that is not packed: the table, and with ``--report`` the page."""
    from edgevision.compiler.report_page import report_files

    if not arguments.json:
        _show_tables(report, chosen=None)
    if arguments.report is not None:
        for name, content in report_files(report).items():
            (arguments.report / Path(name).name).write_bytes(content)
