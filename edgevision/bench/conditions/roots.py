"""Where the kernel's files are, and how they are read: a missing one is an answer, not an error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Roots:
    """The folders that everything here is read from: ``proc`` and ``sys``. Tests give made-up ones."""

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")

    @property
    def cpus(self) -> Path:
        """The folder with one folder for each hardware thread."""
        return self.sys / "devices" / "system" / "cpu"


def text_of(path: Path) -> str | None:
    """The file's text without space at its ends; None where it is not there or may not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def number_of(path: Path) -> int | None:
    """The whole number in a file; None where there is none."""
    text = text_of(path)
    try:
        return int(text) if text else None
    except ValueError:
        return None
