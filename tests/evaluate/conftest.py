"""Photos for the tests of data sets: files whose bytes are known. Only test_run decodes any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """``put("a/b.jpg", "bytes")`` writes a file under tmp_path; its content is its own name where none is given."""

    def write(name: str, content: str | bytes | None = None) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = name if content is None else content
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return write
