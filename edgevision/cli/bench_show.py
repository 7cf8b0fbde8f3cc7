"""``edgevision bench show RECORD``: a record as tables, or as a page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgevision.cli import output
from edgevision.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgevision.bench.record import Record
    from edgevision.bench.report.table import TextTable

_PAGE = b"<!doctype html"  # what every page begins with


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("record", type=Path, metavar="RECORD", help="what bench -o wrote")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write the page with the pictures")


def run(arguments: argparse.Namespace) -> int:
    from edgevision.bench.record_file import read_record
    from edgevision.bench.report.table import record_values

    check_page(arguments.html, [arguments.record])
    record = read_record(arguments.record)
    if arguments.html is not None:
        write_page(record, arguments.html)
    if arguments.json:
        output.show_json(record_values(record))
        return 0
    show_record(record)
    if arguments.html is not None:
        output.say(f"Wrote {arguments.html}")
    return 0


def check_page(path: Path | None, given: Iterable[Path]) -> None:
    """Refuse, before long work, a page that cannot be made, or would replace one of the files ``given`` or what is no page."""
    if path is None:
        return
    from edgevision.evaluate.page.importing import import_matplotlib
    from edgevision.files import ensure_writable, is_same_file

    import_matplotlib()
    if any(is_same_file(path, one) or path.resolve() == one.resolve() for one in given):
        raise InputError(f"{path} is of this command already and would be replaced; name another with --html")
    ensure_writable(path)
    if path.exists():
        with path.open("rb") as file:
            begin = file.read(len(_PAGE)).lower()
        if begin in (b"", _PAGE):
            return
        raise InputError(f"{path} is there, and is no page: it would be replaced; give another name, or delete it")


def write_page(record: Record, path: Path) -> None:
    from edgevision.bench.report.page import record_page
    from edgevision.files import atomic_write

    atomic_write(path, record_page(record).encode(errors="replace"))


def show_record(record: Record) -> None:
    """All tables of a record, its doubts first."""
    from edgevision.bench.report.table import tables

    if record.status != "complete":
        output.say(f"This run is {record.status}: figures are of what was measured until then.", "bold")
    for doubt in record.doubts:
        output.say(f"{doubt.code}: {doubt.text}", "bold red" if doubt.fatal else "bold")
    show_tables(tables(record))


def show_tables(tables: Iterable[TextTable]) -> None:
    """Tables of the report with what is said under them."""
    for one in tables:
        output.table(one.title, one.header, one.lines, left=one.left)
        for note in one.notes:
            output.say(f"  {note}")
