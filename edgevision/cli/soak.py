"""``edgevision soak``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cli import output
from edgevision.cli.extras import OptionAdder, check_threads, make_folder
from edgevision.cli.progress import step_progress
from edgevision.cli.signals import terminated_as_interrupted
from edgevision.streams.soak.plan import SECONDS, SoakOptions

if TYPE_CHECKING:
    from edgevision.streams.soak.verdict import Rule

_STEP = "soak"


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser(
        "soak",
        help="hours of failing cameras, a broker that goes away and models that change, with a verdict",
        description="Stream a model from simulated cameras, one of which is never there, one stops again and again and one comes and goes, "
        "to an MQTT broker that goes away, while the model is swapped; and judge what came of it: results, memory, threads, "
        "descriptors, ages. The stream runs in a process of its own. Needs GStreamer's RTSP server, and mosquitto or a broker of yours. "
        "Exit status 0: no rule is broken, 1: one is.",
        epilog="Example: edgevision soak shelf.edge --hours 2 --report soak/",
    )
    add = OptionAdder(p, SoakOptions)
    p.add_argument("bundle", type=Path, help="the .edge file")
    p.add_argument("--hours", type=float, default=SECONDS / 3600, help=f"how long (default {SECONDS / 3600:g})")
    add("--cameras", "cameras", "how many (default {default})", type=int, metavar="N")
    add("--fps", "fps", "of the cameras (default {default})", type=float)
    add("--width", "width", "of their pictures (default {default})", type=int, metavar="PX")
    add("--height", "height", "of their pictures (default {default})", type=int, metavar="PX")
    p.add_argument(
        "--swap-to",
        type=Path,
        metavar="BUNDLE",
        help="what the model is swapped for, and back (default: the same file again)",
    )
    p.add_argument("--broker", metavar="HOST[:PORT]",
                   help="an MQTT broker of yours, without TLS and password, that is cut off now and then for this stream alone (default: mosquitto is started)")  # fmt: skip
    p.add_argument("--threads", type=int, help="engine threads (default: all cores)")
    p.add_argument(
        "--report",
        type=Path,
        metavar="FOLDER",
        help="write soak.html with pictures, and soak.json with all that was measured",
    )
    return p


def run(arguments: argparse.Namespace) -> int:
    from edgevision.evaluate.page.importing import import_matplotlib
    from edgevision.files import atomic_write
    from edgevision.streams.soak.report import headline, soak_page, soak_values
    from edgevision.streams.soak.run import soak
    from edgevision.streams.soak.verdict import Outcome, judge

    options = _options(arguments)
    if arguments.report is not None:
        import_matplotlib()  # what is missing is told before hours have passed
        make_folder(arguments.report)
    with terminated_as_interrupted(), step_progress(not arguments.json) as tell:
        tell.expect({_STEP: options.seconds})
        record, plan = soak(options, lambda at_s: tell(_STEP, round(at_s), round(options.seconds)))
    rules = judge(record, plan, options)
    values = soak_values(record, plan, options, rules)
    if arguments.report is not None:
        atomic_write(arguments.report / "soak.json", (json.dumps(values) + "\n").encode())
        atomic_write(arguments.report / "soak.html", soak_page(record, plan, options, rules).encode())
    if arguments.json:
        output.show_json({name: value for name, value in values.items() if name != "samples"})
    else:
        _show(headline(rules, plan), rules)
    return 1 if any(rule.outcome is Outcome.BROKEN for rule in rules) else 0


def _options(arguments: argparse.Namespace) -> SoakOptions:
    """Raises InputError for what cannot be, before anything starts."""
    from edgevision.bundle.reader import open_bundle
    from edgevision.streams.soak.broker import parse_address

    check_threads(arguments.threads)
    bundles = [arguments.bundle, *([] if arguments.swap_to is None else [arguments.swap_to])]
    for bundle in bundles:
        open_bundle(bundle).close()
    return SoakOptions(
        model=arguments.bundle,
        swap_to=arguments.swap_to,
        seconds=arguments.hours * 3600,
        cameras=arguments.cameras,
        broker=None if arguments.broker is None else parse_address(arguments.broker),
        fps=arguments.fps,
        width=arguments.width,
        height=arguments.height,
        threads=arguments.threads,
    )


def _show(headline: str, rules: list[Rule]) -> None:
    output.table(headline, ("rule", "", "figure"), [(one.name, one.outcome.value, one.figure) for one in rules], left=3)
