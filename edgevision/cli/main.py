"""``edgevision``: parses, calls, prints. One module for each command, no logic of its own."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module

from edgevision.cli import output, stopped
from edgevision.cli.interrupts import raised_where_it_can_be_caught
from edgevision.errors import (
    BadPhotosError,
    CacheWarning,
    DeviceWarning,
    DoubtWarning,
    EdgeVisionError,
    UnprovenWarning,
)

COMMANDS = (
    "train", "compile", "eval", "predict", "stream", "serve", "token", "explain", "stock", "inspect", "verify", "tune", "doctor", "demo", "camsim",
    "soak", "bench", "gallery",
)  # fmt: skip
_MODULES = {"eval": "evaluate", "compile": "compile_"}


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """The whole command line, or with ``only`` that of one command: the others need not be imported then."""
    top = argparse.ArgumentParser(
        prog="edgevision",
        description="From a PyTorch model that recognises products to one proven file that runs without PyTorch.",
        epilog="Exit status: 0 done, 1 failed, 2 bad usage or input, 3 budget or self-test not met.",
    )
    top.add_argument("--version", action="store_true", help="print the version and leave")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    for name in COMMANDS if only is None else (only,):
        module = import_module(f"edgevision.cli.{_MODULES.get(name, name)}")
        added = module.add_parser(commands)
        added.add_argument("--json", action="store_true", help="print one JSON object instead of text")
        added.add_argument("--debug", action="store_true", help="show the traceback of an error")
        added.set_defaults(run=module.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name or sign that the terminal cannot show is no reason to fail
            stream.reconfigure(errors="replace")
    words = sys.argv[1:] if argv is None else list(argv)
    arguments = parser(words[0] if words and words[0] in COMMANDS else None).parse_args(words)
    if arguments.version:
        from edgevision import __version__

        print(__version__)
        return 0
    if arguments.command is None:
        parser().print_help()
        return 2
    with warnings.catch_warnings():
        warnings.showwarning = output.show_warning  # type: ignore[assignment]
        warnings.simplefilter("ignore")  # other people's; ours are said, each time
        for kind in (CacheWarning, DeviceWarning, DoubtWarning, UnprovenWarning):
            warnings.simplefilter("always", kind)
        try:
            with raised_where_it_can_be_caught():
                status = int(arguments.run(arguments))
            sys.stdout.flush()  # here, where a closed pipe can still be told from a fault
            return status
        except BrokenPipeError:  # the reader (head, a pager) has what it wanted
            _drop_stdout()
            return 1
        except (Exception, KeyboardInterrupt) as error:
            if arguments.debug:
                traceback.print_exc()
            message, status = _explain(error)
            output.show_error(message, status, json=arguments.json, details=_details(error))
            return status


def _explain(error: BaseException) -> tuple[str, int]:
    """Message and exit status."""
    if isinstance(error, EdgeVisionError):
        return str(error), error.exit_status
    if isinstance(error, KeyboardInterrupt):
        return stopped.MESSAGE, stopped.STATUS
    if isinstance(error, MemoryError):
        return "out of memory; close other programs, or use a smaller model, batch or number of threads", 1
    if isinstance(error, OSError) and error.filename is not None:
        return f"cannot use {error.filename}: {error.strerror}; check the path and its permissions", 1
    what = f"unexpected {type(error).__name__}: {output.brief(error)}"
    return f"{what}. Please report it with the output of the same command and --debug", 1


def _details(error: BaseException) -> dict[str, list[dict[str, str]]]:
    """What ``--json`` shows of an error besides its message, which names the first few."""
    if isinstance(error, BadPhotosError):
        return {"bad_photos": [{"photo": photo, "reason": reason} for photo, reason in error.photos]}
    return {}


def _drop_stdout() -> None:
    """Send what is still buffered nowhere, or Python would fail on it once more while it ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
