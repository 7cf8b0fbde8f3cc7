"""``edgevision stream``."""

from __future__ import annotations

import argparse
import contextlib
import re
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from edgevision.cli import output
from edgevision.cli.extras import check_threads
from edgevision.errors import EdgeVisionError, InputError

if TYPE_CHECKING:
    from edgevision.streams.distributor import Distributor
    from edgevision.streams.inventory.counting import InventoryCounter
    from edgevision.streams.ledger import Account
    from edgevision.streams.ledger_file import LedgerFile
    from edgevision.streams.live_view import LiveView
    from edgevision.streams.model_change import ModelChange
    from edgevision.streams.settings import Changes, Settings
    from edgevision.streams.sinks.base import Item, Sink

REFRESH_S = 0.25
LOOK_S = 1.0  # how often the settings file is looked at
LEDGER_S = 10.0  # how often accounts are appended to the ledger
STOP_S = 10.0


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
        "--sink", action="append", default=[], metavar="URL",
        help="where results go: jsonl:FILE, mqtts://HOST/TOPIC, https://…, prometheus://:9100, video:FILE, sqlite:FILE, …; repeat for more",
    )  # fmt: skip
    p.add_argument("--config", type=Path, metavar="FILE", help="streams.toml: cameras, sinks, lines and zones, options")
    p.add_argument(
        "--ledger", type=Path, metavar="FILE", help="append what became of every frame, for edgevision explain"
    )
    p.add_argument("--engine", help="onnxruntime or openvino (default: the quickest that runs here)")
    p.add_argument("--threads", type=int)
    return p


def run(arguments: argparse.Namespace) -> int:
    import edgevision as ev
    from edgevision.demo.rendered_camera import rendered_camera
    from edgevision.streams.distributor import Distributor
    from edgevision.streams.ledger_file import LedgerFile
    from edgevision.streams.live_view import LiveView
    from edgevision.streams.sources.registry import register
    from edgevision.streams.stream import Stream

    check_threads(arguments.threads)
    register("rendered", rendered_camera)
    settings = _settings(arguments)
    ledger = None if arguments.ledger is None else LedgerFile(arguments.ledger)
    if ledger is not None:
        ledger.open()  # a path that cannot be is told now
        if ledger.set_aside is not None:
            _warn(f"the ledger {ledger.path} was damaged, and was set aside as {ledger.set_aside}; a new one begins")
    view = LiveView()
    swaps = _Swaps(view, ledger)
    distributor = Distributor(_sinks(settings, json=arguments.json), _counter(settings), watch=swaps.see)
    assert settings.model is not None  # _settings sees to that
    with ev.load(settings.model, then=settings.then, engine=arguments.engine, threads=arguments.threads) as model:
        kind = _kind_of(settings)
        _check_finds_boxes(kind, settings)
        stream = Stream(model, options=settings.stream, sinks=[distributor])
        for camera in settings.cameras:
            stream.add(camera)
        with _signals() as signals:
            try:
                reloading = _Reloading(arguments, settings, kind, stream, distributor, signals)
                _serve(stream, view, swaps, reloading, arguments, signals, ledger)
            finally:
                stopped = stream.stop(STOP_S)
                swaps.tell()
                _write_ledger(ledger, stream)
    return _tell_end(arguments, stream, stopped)


def _serve(
    stream: Any,
    view: LiveView,
    swaps: _Swaps,
    reloading: _Reloading,
    arguments: argparse.Namespace,
    signals: _Signals,
    ledger: LedgerFile | None,
) -> None:
    """Until every camera has ended, or a signal comes."""
    from edgevision.streams.sinks.json_lines import print_line
    from edgevision.streams.sinks.messages import encode
    from edgevision.streams.troubles import TroubleWatch

    troubles = TroubleWatch()
    written_s = time.monotonic()
    stream.start()
    console = output.console(error=arguments.json)
    with view.shown(stream, console) as refresh:
        while not signals.stop.is_set() and not stream.wait(REFRESH_S):
            refresh()
            if arguments.json:
                for news in troubles.news(stream):
                    print_line(encode(news.to_dict()))
            swaps.tell()
            for line in reloading.look():
                print(f"edgevision: {output.plain(line)}", file=sys.stderr)
            if time.monotonic() - written_s >= LEDGER_S:
                written_s = time.monotonic()
                _write_ledger(ledger, stream)
        refresh()


# ---- what is asked for ----


def _settings(arguments: argparse.Namespace) -> Settings:
    """The file's settings with what the command line adds. Raises InputError."""
    from edgevision.streams.options import CameraOptions
    from edgevision.streams.settings import Settings, SinkSettings, read_settings

    settings = read_settings(arguments.config) if arguments.config is not None else Settings()
    cameras = list(settings.cameras)
    for given in arguments.camera:
        name, url = _name_and_url(given)
        if name is None:
            name = _free_name({camera.name for camera in cameras})
        if any(camera.name == name for camera in cameras):
            raise InputError(f"there is a camera {name!r} already; give each its own name: --camera NAME=URL")
        cameras.append(CameraOptions(name, url))
    settings = replace(
        settings,
        model=arguments.bundle or settings.model,
        then=arguments.then or settings.then,
        cameras=tuple(cameras),
        sinks=(*settings.sinks, *(SinkSettings(url) for url in arguments.sink)),
    )
    if settings.model is None:
        raise InputError("no model: name the .edge file, or give model = … in --config")
    if not settings.cameras:
        raise InputError("no camera: give --camera URL, or a [[camera]] in --config")
    return settings


def _name_and_url(given: str) -> tuple[str | None, str]:
    """``till=rtsp://…`` has a name; a ``=`` further on belongs to the URL."""
    found = re.fullmatch(r"([\w.-]+)=(.+)", given, re.DOTALL)
    return (None, given) if found is None else (found[1], found[2])


def _free_name(taken: set[str]) -> str:
    number = 1
    while f"cam{number}" in taken:
        number += 1
    return f"cam{number}"


def _counter(settings: Settings) -> InventoryCounter | None:
    from edgevision.streams.inventory.counting import InventoryCounter

    return InventoryCounter(settings.places, settings.tracker) if settings.places else None


def _kind_of(settings: Settings) -> str:
    """What the model does, such as detect. Raises BundleError for a file, or a second one, that is no bundle."""
    from edgevision.bundle.reader import open_bundle

    assert settings.model is not None  # _settings sees to that
    if settings.then is not None:
        open_bundle(settings.then).close()
    with open_bundle(settings.model) as bundle:
        return bundle.manifest.task.kind


def _check_finds_boxes(kind: str, settings: Settings) -> None:
    """Raise InputError where products are to be followed, or to be recognised by a second model, and the model gives no boxes."""
    from edgevision.tasks.registry import task_type

    if task_type(kind).finds_boxes:
        return
    if settings.then is not None:
        raise InputError(
            f"a second model needs a first that finds boxes, and {settings.model} can {kind} alone; give a detector"
        )
    if settings.places:
        raise InputError(
            f"lines and zones need a model that finds boxes, and {settings.model} can {kind} alone; give a detector, and "
            "this model with --then"
        )


def _sinks(settings: Settings, *, json: bool) -> list[Sink]:
    from edgevision.streams.sinks.inventory import InventorySink
    from edgevision.streams.sinks.json_lines import STDOUT, JsonLinesSink
    from edgevision.tracking.places import Zone

    sinks = [one.make() for one in settings.sinks]
    for sink in sinks:
        if isinstance(sink, InventorySink):
            sink.zones = [
                (camera, place.name)
                for camera, some in settings.places.items()
                for place in some
                if isinstance(place, Zone)
            ]
    return [*sinks, JsonLinesSink(STDOUT)] if json else sinks


# ---- signals, and changes of the file ----


class _Signals:
    """``stop``: SIGTERM or Ctrl-C came; ``reload``: SIGHUP."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.reload = threading.Event()


@contextmanager
def _signals() -> Iterator[_Signals]:
    """Inside, signals end or change the stream. A second Ctrl-C interrupts as usual."""
    signals = _Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return

    def stop(number: int, frame: FrameType | None) -> None:
        signals.stop.set()
        signal.signal(signal.SIGINT, before[signal.SIGINT])

    before: dict[int, Any] = {signal.SIGINT: signal.signal(signal.SIGINT, stop)}
    before[signal.SIGTERM] = signal.signal(signal.SIGTERM, stop)
    if hasattr(signal, "SIGHUP"):
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda number, frame: signals.reload.set())
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Reloading:
    """Takes up what changed in the settings file, and a model whose file was replaced. ``kind``: of the model, which stays."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        settings: Settings,
        kind: str,
        stream: Any,
        distributor: Distributor,
        signals: _Signals,
    ) -> None:
        self._arguments = arguments
        self._settings = settings
        self._kind = kind
        self._stream = stream
        self._distributor = distributor
        self._signals = signals
        self._seen = self._look_at_file()
        self._models = _look_at_models(settings)
        self._next_s = time.monotonic() + LOOK_S

    def look(self) -> list[str]:
        """Look whether there is something to take up, and do it. What to tell the user."""
        asked = self._signals.reload.is_set()
        if not asked and (self._arguments.config is None or time.monotonic() < self._next_s):
            return []
        self._signals.reload.clear()
        self._next_s = time.monotonic() + LOOK_S
        seen = self._look_at_file()
        if not asked and (seen == self._seen or seen is None):
            return []
        self._seen = seen
        try:
            return self._take_up(_settings(self._arguments), asked=asked)
        except EdgeVisionError as error:
            return [f"{error}; the settings stay as they were"]

    def _take_up(self, new: Settings, *, asked: bool) -> list[str]:
        """All of it, or nothing: what the start of the program refuses is refused here, before anything is changed. Raises
        EdgeVisionError."""
        from edgevision.streams.settings import changes
        from edgevision.streams.sources.registry import make_source

        found = changes(self._settings, new)
        swaps = found.model or (asked and self._is_another_model(new))
        kind = _kind_of(new) if swaps else self._kind
        _check_finds_boxes(kind, new)
        if kind != self._kind:
            raise InputError(
                f"{new.model} can {kind}, and the model that serves can {self._kind}; start the program anew for that"
            )
        counter = _counter(new)
        sources = [(camera, make_source(camera)) for camera in (*found.added, *found.changed)]

        for name in (*found.removed, *(camera.name for camera in found.changed)):
            self._stream.remove(name)
        for camera, source in sources:
            self._stream.add(camera, source=source)
        if found.places:
            self._distributor.count_with(counter)
        self._settings = new
        if swaps:
            self._models = _look_at_models(new)
            load = {"then": new.then, "engine": self._arguments.engine, "threads": self._arguments.threads}
            self._stream.swap(new.model, options=new.swap, **load)
        return self._told(found, swaps)

    def _is_another_model(self, new: Settings) -> bool:
        """Whether its file was replaced, or what was there was not taken up."""
        from edgevision.streams.model_change import Step

        last = next(reversed(self._stream.model_changes), None)
        failed = last is not None and last.step in (Step.REFUSED, Step.ROLLED_BACK)
        return failed or _look_at_models(new) != self._models

    def _told(self, found: Changes, swaps: bool) -> list[str]:
        parts = {
            "added": [camera.name for camera in found.added], "removed": found.removed,
            "changed": [camera.name for camera in found.changed],
        }  # fmt: skip
        told = [f"cameras {word}: {', '.join(names)}" for word, names in parts.items() if names]
        if found.places:
            told.append("lines and zones were taken up; counting begins anew")
        if swaps:
            told.append(f"the model is to be {self._settings.model}")
        if found.swap:
            told.append("what a new model has to show was taken up")
        if found.restart:
            told.append(f"start the program anew to take up what changed in: {', '.join(found.restart)}")
        return told or ["the settings are as they were"]

    def _look_at_file(self) -> tuple[int, ...] | None:
        """What tells whether the file changed; None while it is not there, as when an editor replaces it."""
        return None if self._arguments.config is None else _look_at(self._arguments.config)


def _look_at_models(settings: Settings) -> list[tuple[int, ...] | None]:
    """The same of the models' files."""
    return [_look_at(path) for path in (settings.model, settings.then) if path is not None]


def _look_at(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


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


def _tell_end(arguments: argparse.Namespace, stream: Any, stopped: bool) -> int:
    """What became of all frames, and of what the sinks were given."""
    from edgevision.streams.explain import explain
    from edgevision.streams.sinks.json_lines import print_line
    from edgevision.streams.sinks.messages import encode
    from edgevision.streams.troubles import news_at_the_end

    if not arguments.json:
        for account in _accounts(stream):
            for line in explain(replace(account, at_ns=None)):
                output.say(output.plain(line))
    for news in news_at_the_end(stream.sinks):
        if arguments.json:
            print_line(encode(news.to_dict()))
        _warn(news.words)
    if not stopped:
        print(f"edgevision: something hangs, and was left behind after {STOP_S:.0f} s", file=sys.stderr)
    return 0 if stopped else 1
