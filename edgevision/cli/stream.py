"""``edgevision stream``."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cli import output
from edgevision.cli.extras import check_threads
from edgevision.cli.signals import Signals, signals_caught
from edgevision.cli.stream_reload import Reloading
from edgevision.cli.stream_settings import check_finds_boxes, counter_of, kind_of, load_options, settings_of, sinks_of
from edgevision.errors import EdgeVisionError

if TYPE_CHECKING:
    from edgevision.streams.ledger import Account
    from edgevision.streams.ledger_file import LedgerFile
    from edgevision.streams.live_view import LiveView
    from edgevision.streams.model_change import ModelChange
    from edgevision.streams.sinks.base import Item
    from edgevision.streams.sinks.json_lines import LinePrinter

REFRESH_S = 0.25
LEDGER_S = 10.0  # how often accounts are appended to the ledger
STOP_S = 10.0
LAST_LINES_S = 2.0  # for the reader of --json to take the last news


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser(
        "stream",
        help="recognise what many cameras show, until you stop it",
        description="Serve many cameras with one model. Ctrl-C or SIGTERM ends it; SIGHUP, or saving the file, takes up a changed --config; "
        "SIGHUP takes up a model whose file was replaced, too.",
    )
    p.add_argument("bundle", nargs="?", type=Path, help="the .edge file (default: the model of --config)")
    p.add_argument(
        "--camera", action="append", default=[], metavar="[NAME=]URL",
        help="RTSP or HTTP camera, video file, folder of photos or device; repeat for more. Others can see a password in it: see --config",
    )  # fmt: skip
    p.add_argument(
        "--then", type=Path, metavar="BUNDLE", help="a second bundle, which recognises each box that the first finds"
    )
    p.add_argument(
        "--gallery",
        type=Path,
        metavar="FILE",
        help="answer with the products of this gallery; the model, or that of --then, is an embedder",
    )
    p.add_argument(
        "--sink", action="append", default=[], metavar="URL",
        help="where results go: jsonl:FILE, mqtts://HOST/TOPIC, https://…, prometheus://:9100, video:FILE, sqlite:FILE, …; repeat for more",
    )  # fmt: skip
    p.add_argument("--config", type=Path, metavar="FILE", help="streams.toml: cameras, sinks, lines and zones, options")
    p.add_argument(
        "--ledger", type=Path, metavar="FILE", help="append what became of every frame, for edgevision explain"
    )
    p.add_argument(
        "--threshold", type=float, metavar="X",
        help="score, 0…1, that a box must reach to be found, or the best class to be known (default: stored)",
    )  # fmt: skip
    p.add_argument("--engine", help="onnxruntime or openvino (default: the quickest that runs here)")
    p.add_argument("--threads", type=int)
    return p


def run(arguments: argparse.Namespace) -> int:
    from edgevision.demo.rendered_camera import rendered_camera
    from edgevision.gallery.recogniser import gallery_problem, load_with_gallery
    from edgevision.streams.allocator import keep_memory_flat
    from edgevision.streams.distributor import Distributor
    from edgevision.streams.ledger_file import LedgerFile
    from edgevision.streams.live_view import LiveView
    from edgevision.streams.sinks.json_lines import LinePrinter
    from edgevision.streams.sources.registry import register
    from edgevision.streams.stream import Stream

    check_threads(arguments.threads)
    keep_memory_flat()
    register("rendered", rendered_camera)
    settings = settings_of(arguments)
    ledger = None if arguments.ledger is None else LedgerFile(arguments.ledger)
    if ledger is not None:
        ledger.open()  # a path that cannot be is told now
        if ledger.set_aside is not None:
            _warn(f"the ledger {ledger.path} was damaged, and was set aside as {ledger.set_aside}; a new one begins")
    view = LiveView()
    swaps = _Swaps(view, ledger)
    printer = LinePrinter() if arguments.json else None
    distributor = Distributor(sinks_of(settings, json=arguments.json), counter_of(settings), watch=swaps.see)
    assert settings.model is not None  # settings_of sees to that
    with load_with_gallery(settings.model, **load_options(arguments, settings)) as model:
        if problem := gallery_problem(model):
            _warn(problem)
        kind = kind_of(settings)
        check_finds_boxes(kind, settings)
        stream = Stream(model, options=settings.stream, sinks=[distributor])
        for camera in settings.cameras:
            stream.add(camera)
        with signals_caught() as signals:
            try:
                reloading = Reloading(arguments, settings, kind, stream, distributor, signals)
                _serve(stream, view, swaps, reloading, printer, signals, ledger)
            finally:
                stopped = stream.stop(STOP_S)
                swaps.tell()
                _write_ledger(ledger, stream)
    return _tell_end(stream, stopped, printer)


def _serve(
    stream: Any,
    view: LiveView,
    swaps: _Swaps,
    reloading: Reloading,
    printer: LinePrinter | None,
    signals: Signals,
    ledger: LedgerFile | None,
) -> None:
    """Until every camera has ended, or a signal comes. ``printer``: for the lines of --json."""
    from edgevision.streams.sinks.messages import encode
    from edgevision.streams.troubles import TroubleWatch

    troubles = TroubleWatch()
    written_s = time.monotonic()
    stream.start()
    console = output.console(error=printer is not None)
    with view.shown(stream, console) as refresh:
        while not signals.stop.is_set() and not stream.wait(REFRESH_S):
            refresh()
            if printer is not None:
                printer.check()
                for news in troubles.news(stream):
                    printer.put(encode(news.to_dict()))
            swaps.tell()
            for line in reloading.look():
                print(f"edgevision: {output.plain(line)}", file=sys.stderr)
            if time.monotonic() - written_s >= LEDGER_S:
                written_s = time.monotonic()
                _write_ledger(ledger, stream)
        refresh()


class _Swaps:
    """Tells each step of a swap: on stderr, and in the ledger. ``see`` is called with all items, by the distributor's thread."""

    def __init__(self, view: LiveView, ledger: LedgerFile | None) -> None:
        self._view = view
        self._ledger = ledger
        self._changes: deque[ModelChange] = deque()

    def see(self, item: Item) -> None:
        """Keep it, if it is one; the view sees all."""
        from edgevision.streams.model_change import ModelChange

        if isinstance(item, ModelChange):
            self._changes.append(item)
        self._view.see(item)

    def tell(self) -> None:
        """Tell those that came since the last call."""
        from edgevision.streams.model_ledger import note_change

        while self._changes:
            change = self._changes.popleft()
            print(f"edgevision: model {change.step.value}: {output.plain(change.words)}", file=sys.stderr)
            if self._ledger is not None:
                with contextlib.suppress(EdgeVisionError):  # a disk that is full is told with the accounts
                    note_change(self._ledger, change)


# ---- the end ----


def _write_ledger(ledger: LedgerFile | None, stream: Any) -> None:
    """A disk that is full must not end the recognition: it is told, and tried again."""
    if ledger is None:
        return
    try:
        ledger.write(_accounts(stream))
    except EdgeVisionError as error:
        _warn(str(error))


def _warn(words: str) -> None:
    print(f"edgevision: warning: {output.plain(words)}", file=sys.stderr)


def _accounts(stream: Any) -> list[Account]:
    """Of every camera, also of those that were removed, and of those that never gave a frame."""
    now_ns = time.time_ns()
    known = [account.camera for account in stream.ledger.accounts()]
    return [stream.ledger.account(name, now_ns) for name in dict.fromkeys([*stream.cameras, *known])]


def _tell_end(stream: Any, stopped: bool, printer: LinePrinter | None) -> int:
    """What became of all frames, and of what the sinks were given."""
    from edgevision.streams.explain import explain
    from edgevision.streams.sinks.messages import encode
    from edgevision.streams.troubles import news_at_the_end

    if printer is None:
        for account in _accounts(stream):
            for line in explain(replace(account, at_ns=None)):
                output.say(output.plain(line))
    for news in news_at_the_end(stream.sinks):
        if printer is not None:
            printer.put(encode(news.to_dict()))
        _warn(news.words)
    if printer is not None:
        printer.close(LAST_LINES_S)
    if not stopped:
        print(f"edgevision: something hangs, and was left behind after {STOP_S:.0f} s", file=sys.stderr)
    return 0 if stopped else 1
