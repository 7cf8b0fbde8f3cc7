"""``edgevision camsim``."""

from __future__ import annotations

import argparse
import contextlib
import math
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cli import output
from edgevision.cli.extras import OptionAdder
from edgevision.errors import InputError
from edgevision.streams.camsim.server import CODECS, CameraSettings

if TYPE_CHECKING:
    from edgevision.streams.camsim.camera import SimulatedCamera
    from edgevision.streams.camsim.faults import Fault

FAULT_HELP = (
    "what goes wrong: CAMERA:KIND@START[+SECONDS][/EVERY] with KIND freeze (its process stops), stall (the network holds all "
    "back), slow=BYTES (a second), reset (connections break), down (nothing answers); may be given several times"
)


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser(
        "camsim",
        help="real RTSP cameras on this machine, which fail when they are told to",
        description="Start RTSP cameras whose pictures carry their time and number as a bar code, so that a reader knows how "
        "old each frame is and which are missing. They listen on 127.0.0.1. Ends with Ctrl-C. Needs GStreamer's RTSP server.",
        epilog="Example: edgevision camsim --cameras 4 --fps 22.4 --fault cam1:freeze@10+5/60",
    )
    add = OptionAdder(p, CameraSettings)
    p.add_argument("--cameras", type=int, default=1, metavar="N", help="how many: cam0, cam1 … (default 1)")
    p.add_argument("--port", type=int, default=8554, help="of cam0; the others follow (default 8554)")
    add("--width", "width", "of the pictures (default {default})", type=int, metavar="PX")
    add("--height", "height", "of the pictures (default {default})", type=int, metavar="PX")
    add("--fps", "fps", "the real rate (default {default})", type=float)
    add("--announced-fps", "announced_fps", "the rate that the cameras tell (default {default})", type=int)
    add("--codec", "codec", "how pictures are packed (default {default})", choices=CODECS)
    add("--key-frames", "key_frame_s", "seconds from one key frame to the next (default {default})", type=float)
    add("--bitrate", "bitrate_kbps", "kbit/s (default {default})", type=int, metavar="KBPS")
    p.add_argument("--film", metavar="FILE", help="raw I420 pictures of this size, shown below the bar code")
    p.add_argument("--user", help="who may look; without it everybody may")
    p.add_argument("--password-env", metavar="NAME", help="the environment variable that holds the user's password")
    p.add_argument("--password-file", metavar="FILE", help="a file that holds it")
    p.add_argument("--tls", action="store_true", help="RTSPS, with a certificate that is made at once")
    p.add_argument("--clock-off", type=float, default=0.0, metavar="SECONDS",
                   help="how far the cameras' own clocks are ahead (default 0); not with --tls")  # fmt: skip
    p.add_argument("--fault", action="append", default=[], metavar="FAULT", help=FAULT_HELP)
    p.add_argument("--seconds", type=float, default=math.inf, help="end after so long")
    return p


def run(arguments: argparse.Namespace) -> int:
    from edgevision.streams.camsim.camera import SimulatedCamera, need_gstreamer
    from edgevision.streams.camsim.certificates import make_certificate
    from edgevision.streams.camsim.faults import Fault

    if not 1 <= arguments.cameras <= 64:
        raise InputError(f"--cameras is 1…64, got {arguments.cameras}")
    if arguments.tls and arguments.clock_off:
        raise InputError("--clock-off changes what passes by, which TLS does not allow; leave one of them out")
    names = [f"cam{number}" for number in range(arguments.cameras)]
    faults = [Fault.parse(text, names) for text in arguments.fault]
    settings = _settings(arguments)
    need_gstreamer()
    with contextlib.ExitStack() as stack:
        told: dict[str, Any] = {}
        if arguments.tls:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            both, certificate = make_certificate(folder)
            settings = replace(settings, certificate=str(both))
            told["ca_file"] = str(certificate)
        cameras = {
            name: stack.enter_context(
                SimulatedCamera(settings, port=arguments.port + number, shift_s=arguments.clock_off)
            )
            for number, name in enumerate(names)
        }
        told["cameras"] = {name: camera.url for name, camera in cameras.items()}
        _tell(arguments, told)
        _play(arguments, cameras, faults)
    return 0


def _settings(arguments: argparse.Namespace) -> CameraSettings:
    from edgevision.streams.credentials import read_password

    password = read_password(env=arguments.password_env, file=arguments.password_file)
    if (password is None) != (arguments.user is None):
        raise InputError("--user needs --password-env or --password-file, and they need --user")
    return CameraSettings(
        width=arguments.width, height=arguments.height, fps=arguments.fps, announced_fps=arguments.announced_fps,
        codec=arguments.codec, key_frame_s=arguments.key_frame_s, bitrate_kbps=arguments.bitrate_kbps, film=arguments.film,
        user=arguments.user, password=None if password is None else password.reveal(),
    )  # fmt: skip


def _tell(arguments: argparse.Namespace, told: dict[str, Any]) -> None:
    if arguments.json:
        output.show_json(told)
        return
    for name, url in told["cameras"].items():
        print(f"{name}  {url}")
    if "ca_file" in told:
        print(f"their certificate, to be trusted: {told['ca_file']}")
    print("they run until Ctrl-C", flush=True)


def _play(arguments: argparse.Namespace, cameras: dict[str, SimulatedCamera], faults: list[Fault]) -> None:
    """Let the cameras run, and fail as told, until the time is over or Ctrl-C."""
    from edgevision.streams.camsim.faults import apply, upcoming

    start_s = time.monotonic()
    for turn in upcoming(faults, arguments.seconds):
        time.sleep(max(0.0, start_s + turn.at_s - time.monotonic()))
        apply(turn, cameras)
        if not arguments.json:
            print(f"{turn.at_s:8.1f} s  {turn.words}", flush=True)
    while (left_s := start_s + arguments.seconds - time.monotonic()) > 0:
        time.sleep(min(left_s, 3600.0))
