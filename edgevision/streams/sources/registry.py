"""From a camera's ``source``, a URL or path, to the source itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from edgevision.errors import InputError
from edgevision.streams.credentials import hide_login
from edgevision.streams.options import CameraOptions
from edgevision.streams.sources.base import Source
from edgevision.streams.sources.device import DeviceCamera
from edgevision.streams.sources.film import VideoFile
from edgevision.streams.sources.folder import PictureFolder
from edgevision.streams.sources.network import SCHEMES, NetworkCamera

Maker = Callable[[CameraOptions], Source]
FORMS = "rtsp(s)://…, http(s)://…, v4l2:NAME, a video file, paced:FILE, a folder of pictures"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")  # two letters at least


def _paced(options: CameraOptions) -> Source:
    return VideoFile(options.name, Path(_after_scheme(options)), paced=True)


def _device(options: CameraOptions) -> Source:
    return DeviceCamera(options, _after_scheme(options))


_MAKERS: dict[str, Maker] = {**dict.fromkeys(SCHEMES, NetworkCamera), "v4l2": _device, "paced": _paced}


def register(scheme: str, maker: Maker) -> None:
    """Let ``make_source`` make sources of one more kind: those whose ``source`` begins with ``scheme`` and a colon.

    Raises InputError for a scheme that is taken.
    """
    if _MAKERS.setdefault(scheme.lower(), maker) is not maker:
        raise InputError(f"sources that begin with {scheme}: are known already")


def make_source(options: CameraOptions) -> Source:
    """The source that ``options`` describe, not opened yet.

    ``rtsp://`` ``rtsps://`` ``http://`` ``https://``: a camera of the network. ``v4l2:NAME``: one of this machine. A file: a video,
    as fast as it is read; ``paced:FILE``: at its own speed, as a camera. A folder: its pictures.

    Raises InputError, which never shows a password.
    """
    text = options.source
    if found := _SCHEME.match(text):
        scheme = found[1].lower()
        if scheme in _MAKERS:
            return _MAKERS[scheme](options)
        if not Path(text).exists():
            raise InputError(
                f"camera {options.name!r}: sources that begin with {scheme}: are not known, got {hide_login(text)!r}; "
                f"expected {FORMS}"
            )
    if text.startswith("/dev/"):
        return DeviceCamera(options, text)
    path = Path(text)
    if text and path.is_dir():
        return PictureFolder(options.name, path)
    if path.is_file():
        return VideoFile(options.name, path)
    raise InputError(f"camera {options.name!r}: there is no file or folder {hide_login(text)!r}; expected {FORMS}")


def _after_scheme(options: CameraOptions) -> str:
    return options.source.partition(":")[2]
