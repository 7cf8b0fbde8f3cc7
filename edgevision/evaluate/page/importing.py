"""matplotlib, imported without writing into the home folder of a user who has never used it.

At its first import matplotlib makes a configuration folder in the home folder, and keeps there a list of the machine's
fonts. Ours go to the cache folder. Whoever has such a folder, or has set MPLCONFIGDIR, uses matplotlib and keeps it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

from edgevision.errors import MissingExtraError
from edgevision.files import cache_folder

_SETTING = "MPLCONFIGDIR"  # matplotlib reads it while it is imported, and remembers what it found
_FONTS = "matplotlib.font_manager"  # warns on stderr where the list of fonts takes long, or cannot be kept: nobody asked for it
_lock = threading.Lock()


def import_matplotlib() -> Any:
    """The module ``matplotlib``, with its ``figure``. Raises MissingExtraError where it is not installed."""
    with _lock:
        ours = not ("matplotlib" in sys.modules or os.environ.get(_SETTING) or _has_own_folder())
        if ours:
            os.environ[_SETTING] = str(cache_folder() / "matplotlib")
        log = logging.getLogger(_FONTS)
        level = log.level
        log.setLevel(logging.ERROR)
        try:
            import matplotlib.figure
        except ImportError as error:
            raise MissingExtraError("matplotlib", "report", "drawing the pictures of a report") from error
        finally:
            log.setLevel(level)
            if ours:
                os.environ.pop(_SETTING, None)
        return matplotlib


def _has_own_folder() -> bool:
    """Whether the user has a configuration folder of matplotlib's, in any of the places where it looks."""
    folders = [Path(os.environ[name]) for name in ("XDG_CONFIG_HOME", "LOCALAPPDATA") if os.environ.get(name)]
    with contextlib.suppress(RuntimeError):  # no home folder
        folders += [Path.home() / ".config", Path.home()]
    return any((folder / name).is_dir() for folder in folders for name in ("matplotlib", ".matplotlib"))
