"""``edgevision serve``."""

from __future__ import annotations

import argparse
import json
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cli import output
from edgevision.cli.extras import OptionAdder, check_threads
from edgevision.cli.signals import Signals, signals_caught
from edgevision.errors import EdgeVisionError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.routing import BaseRoute

    from edgevision.kiosk.service.service import Service


def add_parser(commands: Any) -> argparse.ArgumentParser:
    from edgevision.kiosk.service.options import ServiceOptions
    from edgevision.kiosk.service.server import ServerOptions

    p: argparse.ArgumentParser = commands.add_parser(
        "serve",
        help="recognise pictures that other programs send over HTTP",
        description="Serve models over HTTP: the Open Inference Protocol under /v2, and POST /v1/recognise. Ctrl-C or SIGTERM ends it; SIGHUP "
        "takes up models whose files were replaced.",
    )
    p.add_argument(
        "models",
        nargs="+",
        metavar="[NAME=]BUNDLE",
        help="the .edge files; the first answers where no name is asked for",
    )
    p.add_argument(
        "--then", type=Path, metavar="BUNDLE", help="a second bundle, which recognises each box that the first finds"
    )
    server, service = OptionAdder(p, ServerOptions), OptionAdder(p, ServiceOptions)
    server("--host", "host", "address to listen on (default {default}: this machine alone)")
    server("--port", "port", "0: one that is free (default {default})", type=int)
    server(
        "--stop-timeout",
        "stop_timeout_s",
        "seconds for what is under way when it is to stop (default {default})",
        type=float,
    )
    service("--queue", "queue", "pictures of a model that may wait or run; more get 503 (default {default})", type=int)
    service(
        "--max-batch",
        "max_batch",
        "pictures that run together, and in one request, at most (default {default})",
        type=int,
    )
    p.add_argument("--engine", help="onnxruntime or openvino (default: the quickest that runs here)")
    p.add_argument("--threads", type=int)
    return p


def run(arguments: argparse.Namespace) -> int:
    from edgevision.kiosk.service.app import make_app, need_serve

    need_serve()
    from edgevision.kiosk.service.models import ModelSource
    from edgevision.kiosk.service.options import ServiceOptions
    from edgevision.kiosk.service.server import ServerOptions, listen, serve
    from edgevision.kiosk.service.service import Service
    from edgevision.streams.allocator import keep_memory_flat

    check_threads(arguments.threads)
    if arguments.then is not None and len(arguments.models) > 1:
        raise InputError(
            f"--then makes one cascade of two bundles, got {len(arguments.models)} models before it; serve them from two programs"
        )
    options = ServiceOptions(
        queue=arguments.queue, max_batch=arguments.max_batch, engine=arguments.engine, threads=arguments.threads
    )
    where = ServerOptions(arguments.host, arguments.port, arguments.stop_timeout_s)
    if where.port:
        listen(where).close()  # before the models are loaded, which may take a while
    keep_memory_flat()
    sources = [ModelSource.parse(text, arguments.then) for text in arguments.models]
    with signals_caught() as signals, Service(sources, options) as service:
        app = make_app(service, _routes(arguments, service))
        reloading = _Reloading(service, signals)
        serve(
            app, service, where, stop=signals.stop, tick=reloading.look,
            started=lambda url: _tell_start(url, service, json=arguments.json),
        )  # fmt: skip
    return 0


def _routes(arguments: argparse.Namespace, service: Service) -> Sequence[BaseRoute]:
    """What is served besides recognising."""
    return ()


def _tell_start(url: str, service: Service, *, json: bool) -> None:
    """What is served, and where: of ``--json`` one line, as those who started this read it."""
    served = [one for name in service.models.names for one in service.models.versions(name)]
    if json:
        models = [{"name": one.name, "version": one.version, "id": one.id, "task": one.task} for one in served]
        _print_line({"url": url, "models": models})
        return
    for one in served:
        output.say(output.plain(f"{one.name} {one.version}: can {one.task}"))
    output.say(f"serving on {url}", style="bold")
    sys.stdout.flush()


def _print_line(data: object) -> None:
    print(json.dumps(data, ensure_ascii=False), flush=True)


class _Reloading:
    """Takes up models whose files were replaced, after SIGHUP, in a thread of its own: the server goes on."""

    def __init__(self, service: Service, signals: Signals) -> None:
        self._service = service
        self._signals = signals
        self._thread: threading.Thread | None = None

    def look(self) -> None:
        """Called ten times a second."""
        busy = self._thread is not None and self._thread.is_alive()
        if self._signals.reload.is_set() and not busy:
            self._signals.reload.clear()
            self._thread = threading.Thread(target=self._reload, name="edgevision-reload", daemon=True)
            self._thread.start()

    def _reload(self) -> None:
        for name in self._service.models.names:
            try:
                words = self._service.models.reload(name).words
            except EdgeVisionError as error:
                words = str(error)
            print(f"edgevision: {output.plain(words)}", file=sys.stderr, flush=True)
