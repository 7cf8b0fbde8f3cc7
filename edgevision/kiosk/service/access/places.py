"""Where tokens and the certificate are kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from edgevision.errors import InputError
from edgevision.files import atomic_write, make_private


def config_folder() -> Path:
    """``$EDGEVISION_CONFIG``, else ``$XDG_CONFIG_HOME/edgevision``, else ``~/.config/edgevision``."""
    if given := os.environ.get("EDGEVISION_CONFIG"):
        return Path(given)
    if given := os.environ.get("XDG_CONFIG_HOME"):
        return Path(given) / "edgevision"
    try:
        return Path.home() / ".config" / "edgevision"
    except RuntimeError:  # no home directory
        raise InputError(
            "this user has no home folder to keep tokens and certificates in; set EDGEVISION_CONFIG to a folder"
        ) from None


def default_tokens() -> Path:
    """The file of tokens that ``edgevision token`` writes and ``edgevision serve`` reads where none is named."""
    return config_folder() / "tokens.json"


def make_private_folder(folder: Path) -> None:
    """Make a folder that only this user may write, or see that it is one. Raises InputError where it cannot be."""
    try:
        make_private(folder)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"cannot keep secrets in {folder}: {reason}; choose a folder of your own, which others may not write to"
        ) from error


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only this user may read: whole or not at all, and closed before there is anything in it."""

    def write(file: BinaryIO) -> None:
        if hasattr(os, "fchmod"):
            os.fchmod(file.fileno(), 0o600)
        file.write(content)

    atomic_write(path, write)
