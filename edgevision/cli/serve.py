"""``edgevision serve``."""

from __future__ import annotations

import argparse
import json
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cli import output, stopped
from edgevision.cli.extras import OptionAdder, check_threads
from edgevision.cli.serve_access import access_of, access_words, add_access_options
from edgevision.cli.serve_checks import check_access, check_gallery, check_language, check_shop
from edgevision.cli.serve_live import add_live_options, live_of
from edgevision.cli.serve_page import add_page_options, page_of
from edgevision.cli.serve_urls import urls_for_people
from edgevision.cli.signals import Signals, signals_caught
from edgevision.errors import EdgeVisionError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgevision.kiosk.service.live.live import Live
    from edgevision.kiosk.service.service import Service
    from edgevision.model import Model


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
    server("--port", "port", "0: one that is free (default {default})", type=int)
    server(
        "--stop-timeout",
        "stop_timeout_s",
        "seconds for what is under way when it is to stop (default {default})",
        type=float,
        metavar="SECONDS",
    )
    service("--queue", "queue", "pictures of a model that may wait or run; more get 503 (default {default})", type=int)
    service(
        "--max-batch",
        "max_batch",
        "pictures that run together, and in one request, at most (default {default})",
        type=int,
    )
    p.add_argument("--engine", help="onnxruntime or openvino (default: the quickest that runs here)")
    p.add_argument("--threads", type=int, help="engine threads (default: as many as suit this machine)")
    add_access_options(p)
    add_live_options(p)
    add_page_options(p)
    return p


def run(arguments: argparse.Namespace) -> int:
    from edgevision.kiosk.service.app import make_app, need_serve

    need_serve()
    from edgevision.kiosk.page.routes import page_routes
    from edgevision.kiosk.service.access.guard import check_routes, guarded
    from edgevision.kiosk.service.access.server_options import server_options
    from edgevision.kiosk.service.access.tls import certificate_of
    from edgevision.kiosk.service.live.for_service import live_for
    from edgevision.kiosk.service.logs import logging_into
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
    access, shop = access_of(arguments), live_of(arguments)
    _register_rendered_camera()
    check_language(arguments.language)
    check_access(access)
    check_shop(shop)
    check_gallery(arguments.gallery)
    certificate = certificate_of(access)
    where = ServerOptions(
        arguments.host, arguments.port, arguments.stop_timeout_s, https=certificate is not None,
        more=server_options(access, certificate),
    )  # fmt: skip
    if where.port:
        listen(where).close()  # before the models are loaded, which may take a while
    keep_memory_flat()
    sources = [ModelSource.parse(text, arguments.then) for text in arguments.models]
    with signals_caught() as signals, Service(sources, options, gallery=arguments.gallery) as service:
        if signals.stop.is_set():  # while the models were loaded
            output.show_error(stopped.MESSAGE, stopped.STATUS, json=arguments.json)
            return stopped.STATUS
        live = live_for(service, shop, tokens=access.tokens is not None)
        try:
            live.start()
            routes = [*live.routes(), *page_routes(page_of(arguments, shop, _first(service)))]
            app = make_app(service, routes)
            check_routes(app.routes)
            reloading = _Reloading(service, live, signals)
            words = access_words(access, certificate)
            with logging_into(live.log):
                serve(
                    live.watched(guarded(app, access)), service, where, stop=signals.stop, tick=reloading.look,
                    started=lambda url: _tell_start(urls_for_people(url, access.host, access.host_names), service, words, json=arguments.json),
                )  # fmt: skip
        finally:
            live.close(arguments.stop_timeout_s)
    return 0


def _first(service: Service) -> Model:
    """The model that answers where no name is asked for; of a cascade the one that looks first."""
    from edgevision.cascade import Cascade

    model = service.models.get().model
    return model.finder if isinstance(model, Cascade) else model


def _register_rendered_camera() -> None:
    """``--camera rendered:…``: the demo's, for whoever has no camera."""
    from edgevision.demo.rendered_camera import rendered_camera
    from edgevision.streams.sources.registry import register

    register("rendered", rendered_camera)


def _tell_start(urls: Sequence[str], service: Service, access: Sequence[str], *, json: bool) -> None:
    """What is served, and where: of ``--json`` one line, as those who started this read it."""
    served = [one for name in service.models.names for one in service.models.versions(name)]
    if json:
        models = [{"name": one.name, "version": one.version, "id": one.id, "task": one.task} for one in served]
        _print_line({"url": urls[0], "urls": list(urls), "models": models, "access": list(access)})
        return
    for one in served:
        output.say(output.plain(f"{one.name} {one.version}: can {one.task}"))
    for words in access:
        output.say(output.plain(words))
    for url in urls:
        output.say(f"serving on {url}", style="bold")
    sys.stdout.flush()


def _print_line(data: object) -> None:
    print(json.dumps(data, ensure_ascii=False), flush=True)


class _Reloading:
    """Takes up models whose files were replaced, after SIGHUP, in a thread of its own: the server goes on. The log says what came of it."""

    def __init__(self, service: Service, live: Live, signals: Signals) -> None:
        self._service = service
        self._live = live
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
                self._live.trouble(str(error))
            else:
                self._live.log.write("reload", model=name, words=words)
