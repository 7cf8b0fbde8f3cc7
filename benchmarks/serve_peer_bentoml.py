"""A peer of ``serve_load``: BentoML. Run in an environment of its own, see there.

    python serve_peer_bentoml.py FOLDER PORT THREADS

``/recognise`` takes a picture as a file of a form.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import bentoml
from serve_peer_model import PeerModel


@bentoml.service(workers=1, threads=os.cpu_count() or 1, traffic={"timeout": 60, "max_concurrency": 64})
class Recognise:
    """In its worker process; calls run side by side in threads."""

    def __init__(self) -> None:
        self.model = PeerModel(os.environ["PEER_FOLDER"], int(os.environ["PEER_THREADS"]))

    @bentoml.api(route="/recognise")
    def recognise(self, picture: Path) -> list[dict[str, Any]]:
        return self.model.recognise(picture.read_bytes())


def main(folder: str, port: str, threads: str) -> None:
    environment = {**os.environ, "PEER_FOLDER": folder, "PEER_THREADS": threads, "BENTOML_DO_NOT_TRACK": "True"}
    here = str(Path(__file__).parent)
    command = [
        sys.executable,
        "-m",
        "bentoml",
        "serve",
        "serve_peer_bentoml:Recognise",
        "--working-dir",
        here,
        "--host",
        "127.0.0.1",
    ]
    os.execve(sys.executable, [*command, "--port", port], environment)


if __name__ == "__main__":
    main(*sys.argv[1:])
