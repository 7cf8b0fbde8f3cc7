"""``edgevision bench trend DIR``: all records of a folder in the order of time."""

from __future__ import annotations

import argparse
from pathlib import Path

from edgevision.cli import output
from edgevision.errors import EdgeVisionError, InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder with records (*.json)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write a page with pictures")


def run(arguments: argparse.Namespace) -> int:
    from edgevision.bench.record_file import read_record
    from edgevision.bench.report.trend import trend, trend_table
    from edgevision.cli.bench_show import check_page, show_tables

    folder = arguments.folder
    if not folder.is_dir():
        raise InputError(f"expected a folder with records, got {folder}; give the folder that bench -o wrote into")
    files = sorted(path for path in folder.iterdir() if path.suffix == ".json" and path.is_file())
    check_page(arguments.html, files)
    records, skipped = [], []
    for path in files:
        try:
            records.append(read_record(path))
        except (EdgeVisionError, OSError) as error:
            skipped.append((path, output.brief(error)))
    if not records:
        told = "; ".join(f"{path.name}: {reason}" for path, reason in skipped)
        raise InputError(
            f"{folder} has no record that can be read ({told or 'no file *.json'}); bench -o FILE writes one"
        )
    lines = trend(records)
    if arguments.html is not None:
        from edgevision.bench.report.page import trend_page
        from edgevision.files import atomic_write

        atomic_write(arguments.html, trend_page(lines, skipped).encode(errors="replace"))
    if arguments.json:
        output.show_json({
            "lines": [line.to_dict() for line in lines],
            "skipped": [{"file": str(path), "reason": reason} for path, reason in skipped],
        })  # fmt: skip
        return 0
    show_tables([trend_table(lines, skipped)])
    if arguments.html is not None:
        output.say(f"Wrote {arguments.html}")
    return 0
