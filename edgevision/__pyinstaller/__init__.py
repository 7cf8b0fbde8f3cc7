"""For PyInstaller, which finds this by the entry point ``pyinstaller40``: what a frozen program with EdgeVision needs."""

from __future__ import annotations

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """Where the hook lies."""
    return [str(Path(__file__).parent)]
