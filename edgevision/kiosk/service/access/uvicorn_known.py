"""Whether uvicorn is one whose protocols we know: our bounds are methods that it calls."""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.errors import EdgeVisionError

KNOWN = "uvicorn>=0.52.4,<0.55"  # those that the tests ran with


def check_methods(base: type, methods: Sequence[str]) -> None:
    """Raise EdgeVisionError unless ``base`` has all ``methods``. A bound in a method that is never called would be none, and nobody would see it."""
    import uvicorn

    missing = [name for name in methods if not hasattr(base, name)]
    if missing:
        raise EdgeVisionError(
            f"uvicorn {uvicorn.__version__} works otherwise than this release knows ({base.__name__} has no {', '.join(missing)}); "
            f"install one that it was tested with: pip install '{KNOWN}'"
        )
