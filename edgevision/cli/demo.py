"""``edgevision demo``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edgevision.cli import output
from edgevision.cli.progress import step_progress
from edgevision.errors import InputError

PARTS = ("till", "belt")


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser(
        "demo",
        help="compile two small models; watch them recognise rendered products at a till, and count them on a belt",
        description="Compile the checkpoints that come with EdgeVision to int8. Then recognise a live stream of rendered "
        "products, unlisted ones and empty trays among them; and find, name, track and count what passes on a belt.",
    )
    p.add_argument("--part", choices=PARTS, help="one of them alone (default: one after the other)")
    p.add_argument("--frames", type=int, default=240, help="frames to watch at the till (default 240, about 20 s)")
    p.add_argument("--seconds", type=float, default=20.0, help="camera time to watch the belt (default 20)")
    p.add_argument("--seed", type=int, default=0, help="of what is rendered")
    p.add_argument("--threads", type=int, help="engine threads (default: all cores)")
    p.add_argument("-o", dest="folder", type=Path, default=Path("runs/demo"), metavar="DIR",
                   help="where the bundles and a few frames go (default runs/demo)")  # fmt: skip
    return p


def run(arguments: argparse.Namespace) -> int:
    from edgevision.cli.extras import check_threads, need_compile

    if arguments.frames < 1:
        raise InputError(f"--frames is at least 1, got {arguments.frames}")
    if not 1 <= arguments.seconds <= 3600:
        raise InputError(f"--seconds is 1 to 3600, got {arguments.seconds:g}")
    check_threads(arguments.threads)
    need_compile("demo")
    from rich.console import Console

    from edgevision.demo.belt import run_belt
    from edgevision.demo.till import run_till

    console = Console(quiet=True) if arguments.json else output.console()
    found = {}
    for part in PARTS if arguments.part is None else (arguments.part,):
        progress = step_progress(not arguments.json)
        if part == "till":
            found[part] = run_till(
                console, frames=arguments.frames, seed=arguments.seed, threads=arguments.threads,
                folder=arguments.folder, progress=progress,
            ).to_dict()  # fmt: skip
        else:
            found[part] = run_belt(
                console, seconds=arguments.seconds, seed=arguments.seed, threads=arguments.threads,
                folder=arguments.folder, progress=progress,
            ).to_dict()  # fmt: skip
    if arguments.json:
        output.show_json(found)
    return 0
