"""A peer of ``serve_load``: LitServe. Run in an environment of its own, see there.

    python serve_peer_litserve.py FOLDER PORT THREADS

``/predict`` takes a picture as a file of a form: LitServe decodes JSON and forms alone.
"""

import os  # no annotations from the future: LitServe looks at the type of the request itself
import sys
from typing import Any

import litserve
from fastapi import Request
from serve_peer_model import PeerModel


class Recognise(litserve.LitAPI):
    """In each of its worker processes."""

    def setup(self, device: str) -> None:
        self.model = PeerModel(os.environ["PEER_FOLDER"], int(os.environ["PEER_THREADS"]))

    def decode_request(self, request: Request) -> bytes:
        return request["request"].file.read()

    def predict(self, picture: bytes) -> list[dict[str, Any]]:
        return self.model.recognise(picture)

    def encode_response(self, answer: list[dict[str, Any]]) -> dict[str, Any]:
        return {"answer": answer}


def main(folder: str, port: str, threads: str) -> None:
    os.environ["PEER_FOLDER"], os.environ["PEER_THREADS"] = folder, threads
    workers = max(1, (os.cpu_count() or 1) // int(threads))
    server = litserve.LitServer(Recognise(), accelerator="cpu", workers_per_device=workers)
    server.run(host="127.0.0.1", port=int(port), generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[1:])
