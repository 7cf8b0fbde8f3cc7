"""``edgevision bench``: measure targets, and, by its first word, what is done with records: compare, trend, show."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.bench.session.options import SCENARIOS, BenchOptions
from edgevision.cli import output, stopped
from edgevision.cli.extras import OptionAdder
from edgevision.cli.progress import step_progress
from edgevision.cli.signals import terminated_as_interrupted

if TYPE_CHECKING:
    from edgevision.bench.record import Record

VERBS = ("compare", "trend", "show")  # of records; a target of such a name is given as ./compare or KIND:compare


class BenchParser(argparse.ArgumentParser):
    """Hands the words to the parser of a verb where the first is one."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See argparse."""
        words = list(args or ())
        if not words or words[0] not in VERBS:
            return super().parse_known_args(args, namespace)
        return verb_parser(words[0], self.prog).parse_known_args(words[1:], namespace)


def verb_parser(verb: str, prog: str = "edgevision bench") -> argparse.ArgumentParser:
    """The parser of one of ``VERBS``."""
    module = import_module(f"edgevision.cli.bench_{verb}")
    own = argparse.ArgumentParser(prog=f"{prog} {verb}", description=_first_line(module.__doc__))
    module.add_arguments(own)
    own.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    own.add_argument("--debug", action="store_true", help="show the traceback of an error")
    own.set_defaults(run=module.run)
    return own


def _first_line(text: str | None) -> str:
    return (text or "").partition("\n")[0].partition(": ")[2]


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser(
        "bench",
        help="latency, throughput and stream density of models and of what they are compared with",
        description="Measure targets in turns, each in a process of its own, with the same frames, cores and threads, until it is decided "
        "which is quicker or the time is spent. TARGET is model.edge[@variant=ID|all], model.onnx, or KIND:WHAT with one of openvino, "
        "torch, torch-compile, ultralytics, http, python; @python=PATH runs it in another environment. "
        "With records: edgevision bench compare OLD NEW, bench trend DIR, bench show RECORD.",
        epilog="Example: edgevision bench shelf.edge shelf.onnx --data photos/ -o today.json --html today.html",
    )
    p.__class__ = BenchParser
    add = OptionAdder(p, BenchOptions)
    p.add_argument(
        "targets", nargs="+", metavar="TARGET", help="what is measured; the others are compared with the first"
    )
    p.add_argument(
        "--scenario", action="append", choices=SCENARIOS, metavar="NAME",
        help=f"{', '.join(SCENARIOS)}; may be given again (default: {', '.join(_default('scenarios'))})",
    )  # fmt: skip
    add("--data", "data", "a folder of photos (default: rendered pictures)", type=Path, metavar="FOLDER")
    add("--frames", "frames", "how many pictures (default {default})", type=int, metavar="N")
    add("--encoded", "encoded", "give targets JPEG files, which they decode themselves")
    add("--width", "width", "of rendered pictures (default {default})", type=int, metavar="PX")
    add("--height", "height", "of rendered pictures (default {default})", type=int, metavar="PX")
    add("--threads", "threads", "cores and engine threads of each target (default: all cores)", type=int, metavar="N")
    add("--batch", "batch", "frames that a target is given at once, at most (default {default})", type=int, metavar="N")
    add("--minutes", "minutes", "how long all of it may take (default {default})", type=float, metavar="M")
    add("--rounds", "rounds", "turns of each target, at least (default {default})", type=int, metavar="N")
    add(
        "--least-difference",
        "least_difference",
        "what counts between two targets, as a share (default {default})",
        type=float,
    )
    add(
        "--reference",
        "reference",
        "the number of the target that others are compared with, from 0 (default {default})",
        type=int,
        metavar="N",
    )
    add("--seed", "seed", "of frames' order and arrivals (default {default})", type=int)
    add("--samples", "samples", "multi-stream: frames of a query (default {default})", type=int, metavar="N")
    add("--rate", "rate", "server: requests a second (default: half of what the slowest target manages)", type=float)
    add(
        "--cameras",
        "cameras",
        "fixed-rate: how many (default {default}); given alone, that scenario is measured",
        type=int,
        metavar="N",
    )
    add("--fps", "fps", "of each camera, in fixed-rate and density (default {default})", type=float, metavar="F")
    add("--age-ms", "age_ms", "density: 99 in 100 results are at most so old (default {default})", type=float)
    add("--share", "share", "density: of each camera's frames that must be served (default {default})", type=float)
    add("--most-cameras", "most_cameras", "density: no more are tried (default {default})", type=int, metavar="N")
    add(
        "--probe-seconds",
        "probe_seconds",
        "density: how long a number of cameras is tried (default {default})",
        type=float,
    )
    add("--force", "force", "measure on a busy machine too; the record says so")
    p.add_argument("-o", "--output", type=Path, metavar="FILE", help="the record, with all samples")
    add("--resume", "resume", "go on with a record that was interrupted", type=Path, metavar="FILE")
    p.add_argument("--html", type=Path, metavar="FILE", help="a page with tables and pictures")
    return p


def run(arguments: argparse.Namespace) -> int:
    from edgevision.bench.session.session import run_bench
    from edgevision.cli.bench_show import check_page, write_page
    from edgevision.errors import EdgeVisionError, UnwrittenRecordError

    options = options_of(arguments)
    kept = options.output or options.resume
    check_page(arguments.html, [path for path in (options.output, options.resume) if path is not None])
    unwritten: list[EdgeVisionError] = []  # whatever cannot be written, the rest is, and each is told
    with terminated_as_interrupted(), step_progress(not arguments.json) as tell:
        try:
            record = run_bench(options, tell)
        except UnwrittenRecordError as error:
            record, kept = error.record, error.elsewhere
            unwritten.append(error)
    _show(record, kept, json=arguments.json)
    if arguments.html is not None:
        try:
            write_page(record, arguments.html)
        except EdgeVisionError as error:
            unwritten.append(error)
    for failure in unwritten:  # with --json, the record's object is there already
        output.show_error(str(failure), failure.exit_status, json=False)
    return unwritten[0].exit_status if unwritten else status_of(record)


def options_of(arguments: argparse.Namespace) -> BenchOptions:
    """Raises InputError for what cannot be."""
    from dataclasses import fields

    given = {
        field.name: getattr(arguments, field.name) for field in fields(BenchOptions) if hasattr(arguments, field.name)
    }
    given["targets"] = tuple(arguments.targets)
    given["scenarios"] = tuple(dict.fromkeys(arguments.scenario or ()))
    if not given["scenarios"]:
        # Whoever says how many cameras there are asks what they feel.
        given["scenarios"] = _default("scenarios") if given["cameras"] == _default("cameras") else ("fixed-rate",)
    return BenchOptions(**given)


def status_of(record: Record) -> int:
    """130 where the user stopped it, 1 where a target failed or nothing could be measured, else 0."""
    if record.status == "interrupted":
        return stopped.STATUS
    failed = any(result.status == "failed" for result in record.results)
    return 1 if record.status == "failed" or failed else 0


def _default(field: str) -> Any:
    return BenchOptions.__dataclass_fields__[field].default


def _show(record: Record, kept: Path | None, *, json: bool) -> None:
    from edgevision.bench.report.table import record_values
    from edgevision.cli.bench_show import show_record

    if json:
        output.show_json(record_values(record))
        return
    show_record(record)
    output.say(f"The record is in {kept}" if kept else "No record was kept; -o FILE keeps one")
