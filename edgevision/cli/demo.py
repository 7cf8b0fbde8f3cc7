"""``edgevision demo``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edgevision.cli import output
from edgevision.cli.progress import step_progress
from edgevision.errors import InputError


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser(
        "demo",
        help="compile a small model and watch it recognise rendered products",
        description="Compile the checkpoint that comes with EdgeVision to int8, then recognise a live stream of "
        "rendered products, unlisted ones and empty trays among them.",
    )
    p.add_argument("--frames", type=int, default=240, help="frames to watch (default 240, about 20 s)")
    p.add_argument("--seed", type=int, default=0, help="of the stream")
    p.add_argument("--threads", type=int, help="engine threads (default: all cores)")
    p.add_argument("-o", dest="folder", type=Path, default=Path("runs/demo"), metavar="DIR",
                   help="where the bundle and a few frames go (default runs/demo)")  # fmt: skip
    return p


def run(arguments: argparse.Namespace) -> int:
    from edgevision.cli.extras import check_threads, need_compile

    if arguments.frames < 1:
        raise InputError(f"--frames is at least 1, got {arguments.frames}")
    check_threads(arguments.threads)
    need_compile("demo")
    from edgevision.demo.live import run_demo

    result = run_demo(
        output.console(), frames=arguments.frames, seed=arguments.seed, threads=arguments.threads, json=arguments.json,
        folder=arguments.folder, progress=step_progress(not arguments.json),
    )  # fmt: skip
    if arguments.json:
        output.show_json(result.to_dict())
    return 0
