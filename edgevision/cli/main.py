"""``edgevision``: parses, calls, prints. One module for each command, no logic of its own."""

from __future__ import annotations

import argparse
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module

from edgevision.cli import output
from edgevision.errors import EdgeVisionError

COMMANDS = ("train", "compile", "eval", "predict", "inspect", "verify", "tune", "doctor", "demo")
_MODULES = {"eval": "evaluate", "compile": "compile_"}


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="edgevision",
        description="From a PyTorch model that recognises products to one proven file that runs without PyTorch.",
        epilog="Exit status: 0 done, 1 failed, 2 bad usage or input, 3 budget or self-test not met.",
    )
    top.add_argument("--version", action="store_true", help="print the version and leave")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    for name in COMMANDS:
        module = import_module(f"edgevision.cli.{_MODULES.get(name, name)}")
        added = module.add_parser(commands)
        added.add_argument("--json", action="store_true", help="print one JSON object instead of text")
        added.add_argument("--debug", action="store_true", help="show the traceback of an error")
        added.set_defaults(run=module.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    arguments = parser().parse_args(argv)
    if arguments.version:
        from edgevision import __version__

        print(__version__)
        return 0
    if arguments.command is None:
        parser().print_help()
        return 2
    with warnings.catch_warnings():
        warnings.showwarning = output.show_warning  # type: ignore[assignment]
        try:
            return int(arguments.run(arguments))
        except EdgeVisionError as error:
            if arguments.debug:
                traceback.print_exc()
            output.show_error(str(error), error.exit_status, json=arguments.json)
            return error.exit_status
        except KeyboardInterrupt:
            output.show_error("stopped by the user; nothing is left half-written", 130, json=arguments.json)
            return 130
        except BrokenPipeError:
            sys.stderr.close()
            return 1
        except Exception as error:
            if arguments.debug:
                traceback.print_exc()
            text = f"unexpected {type(error).__name__}: {error}. Please report it with the output of the same command and --debug"
            output.show_error(text, 1, json=arguments.json)
            return 1
