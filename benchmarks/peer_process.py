"""Ultralytics in a process of an environment of its own, asked by lines of JSON: see ``ultralytics_peer.py``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


class Peer:
    """Ultralytics in its own process; see ``ultralytics_peer.py``."""

    def __init__(self, python: Path) -> None:
        environment = {**os.environ, "YOLO_OFFLINE": "true", "YOLO_VERBOSE": "false"}
        environment.pop("PYTHONPATH", None)
        self._process = subprocess.Popen(
            [str(python), str(Path(__file__).with_name("ultralytics_peer.py"))], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=environment,
        )  # fmt: skip

    def ask(self, do: str, **request: Any) -> Any:
        """What the function answers. Leaves where the process has died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"do": do, **request}, default=str), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            sys.exit(f"the peer ended with status {self._process.wait()}")
        return json.loads(answer)

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
