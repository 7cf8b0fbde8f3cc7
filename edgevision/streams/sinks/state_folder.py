"""Where spools lie that nobody gave a place."""

from __future__ import annotations

import os
import re
import zlib
from pathlib import Path


def state_folder() -> Path:
    """``$EDGEVISION_STATE``, else what systemd gives a service (``$STATE_DIRECTORY``), else ``$XDG_STATE_HOME/edgevision``, else
    ``~/.local/state/edgevision``. Unlike a cache, it holds what cannot be made again."""
    for name, inner in (("EDGEVISION_STATE", ""), ("STATE_DIRECTORY", ""), ("XDG_STATE_HOME", "edgevision")):
        if given := os.environ.get(name):
            return Path(given.split(":")[0]) / inner
    return Path.home() / ".local" / "state" / "edgevision"


def spool_path(address: str) -> Path:
    """The spool of a sink, by its address without secrets: the same after a restart.

    >>> spool_path("mqtts://broker:8883/shop").name
    'mqtts-broker-8883-shop-64e2dbb2.spool'
    """
    readable = re.sub(r"[^A-Za-z0-9]+", "-", address).strip("-")[:80]
    return state_folder() / f"{readable}-{zlib.crc32(address.encode()):08x}.spool"
