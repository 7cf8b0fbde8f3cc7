"""``edgevision demo``."""

from __future__ import annotations

import argparse
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

from edgevision.cli import output
from edgevision.cli.progress import step_progress
from edgevision.errors import InputError

PARTS = ("till", "belt", "gallery")
FRAMES = 240
SECONDS = 20.0
KIOSK_PORT = 8000
_READY_S = 60.0


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser(
        "demo",
        help="compile small models; watch them recognise rendered products at a till, count them on a belt, and learn new ones",
        description="Compile the checkpoints that come with EdgeVision to int8. Then recognise a live stream of rendered "
        "products, unlisted ones and empty trays among them; find, name, track and count what passes on a belt; and learn "
        "products that no model has seen from five photos each, and look for them in new ones. "
        "With --kiosk: open the kiosk's page, with a rendered camera before which products are placed.",
    )
    p.add_argument("--part", choices=PARTS, help="one of them alone (default: one after the other)")
    p.add_argument("--frames", type=int, help=f"frames to watch at the till (default {FRAMES}, about 20 s)")
    p.add_argument("--seconds", type=float, help=f"camera time to watch the belt (default {SECONDS:g})")
    p.add_argument("--seed", type=int, default=0, help="of what is rendered")
    p.add_argument("--threads", type=int, help="engine threads (default: all cores)")
    p.add_argument("--kiosk", action="store_true", help="serve the kiosk's page, until Ctrl-C")
    p.add_argument("--port", type=int, help=f"of the page, with --kiosk (default {KIOSK_PORT})")
    p.add_argument("--open", action="store_true", help="with --kiosk: open the page in this machine's browser")
    p.add_argument("-o", dest="folder", type=Path, default=Path("runs/demo"), metavar="DIR",
                   help="where the bundles, the gallery and a few frames go (default runs/demo)")  # fmt: skip
    return p


def run(arguments: argparse.Namespace) -> int:
    from edgevision.cli.extras import check_threads, need_compile

    parts = _parts(arguments)
    frames = FRAMES if arguments.frames is None else arguments.frames
    seconds = SECONDS if arguments.seconds is None else arguments.seconds
    if frames < 1:
        raise InputError(f"--frames is at least 1, got {frames}")
    if not 1 <= seconds <= 3600:
        raise InputError(f"--seconds is 1 to 3600, got {seconds:g}")
    check_threads(arguments.threads)
    if arguments.kiosk:
        return _run_kiosk(arguments)
    if arguments.open or arguments.port is not None:
        raise InputError("--open and --port are for the page of --kiosk; give --kiosk, or leave them out")
    need_compile("demo")
    from rich.console import Console

    from edgevision.demo.belt import run_belt
    from edgevision.demo.gallery import run_gallery
    from edgevision.demo.till import run_till

    console = Console(quiet=True) if arguments.json else output.console()
    found: dict[str, Any] = {}
    for part in parts:
        common = {
            "seed": arguments.seed, "threads": arguments.threads, "folder": arguments.folder,
            "progress": step_progress(not arguments.json),
        }  # fmt: skip
        match part:
            case "till":
                found[part] = run_till(console, frames=frames, **common).to_dict()
            case "belt":
                found[part] = run_belt(console, seconds=seconds, **common).to_dict()
            case _:
                found[part] = run_gallery(console, **common).to_dict()
    if arguments.json:
        output.show_json(found)
    return 0


def _parts(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Those that are to run; none with ``--kiosk``. Raises InputError for an option of one that is not."""
    if arguments.kiosk:
        parts: tuple[str, ...] = ()
    else:
        parts = PARTS if arguments.part is None else (arguments.part,)
    for name, value, part in (("--frames", arguments.frames, "till"), ("--seconds", arguments.seconds, "belt")):
        if value is not None and part not in parts:
            raise InputError(f"{name} is for the {part}; leave it out, or give --part {part}")
    return parts


def _run_kiosk(arguments: argparse.Namespace) -> int:
    """Prepare the shop, then do what ``edgevision serve`` does."""
    serve = import_module("edgevision.cli.serve")
    from edgevision.demo.kiosk import prepare_kiosk
    from edgevision.kiosk.service.app import need_serve
    from edgevision.kiosk.service.server import ServerOptions, listen

    need_serve("edgevision demo --kiosk")
    port = KIOSK_PORT if arguments.port is None else arguments.port
    listen(ServerOptions(port=port)).close()  # before anything is compiled, which takes minutes

    shop = prepare_kiosk(
        arguments.folder, seed=arguments.seed, threads=arguments.threads, progress=step_progress(not arguments.json)
    )
    words = [*shop.words(), "--port", str(port)]
    if arguments.threads is not None:
        words += ["--threads", str(arguments.threads)]
    if not arguments.json:
        output.say(output.plain(f"the same by hand: edgevision serve {shlex.join(words)}"))
    if arguments.open:
        _open_when_ready(port)
    commands = argparse.ArgumentParser(prog="edgevision").add_subparsers()
    parsed = serve.add_parser(commands).parse_args(words)
    parsed.takes_default_tokens = False  # it is for this machine, whatever devices have tokens
    parsed.json, parsed.debug = arguments.json, arguments.debug
    return int(serve.run(parsed))


def _open_when_ready(port: int) -> None:
    """Show the page in the browser as soon as it answers; not at all where it does not within a minute."""
    import socket
    import threading
    import time
    import webbrowser

    def wait() -> None:
        end_s = time.monotonic() + _READY_S
        while time.monotonic() < end_s:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                time.sleep(0.2)
                continue
            webbrowser.open(f"http://127.0.0.1:{port}/")
            return

    threading.Thread(target=wait, name="edgevision-open", daemon=True).start()
