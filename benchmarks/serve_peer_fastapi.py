"""A peer of ``serve_load``: the plain FastAPI route that a user writes. Run in an environment of its own, see there.

    python serve_peer_fastapi.py FOLDER PORT THREADS

``/recognise``: the raw body is a picture. ``/tensor``: the raw body is a float32 tensor [n, 3, H, W], and so is the answer.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import numpy as np
import uvicorn
from fastapi import Body, FastAPI
from fastapi.responses import Response
from serve_peer_model import PeerModel

Raw = Annotated[bytes, Body(media_type="application/octet-stream")]


def main(folder: str, port: str, threads: str) -> None:
    model = PeerModel(folder, int(threads))
    shape = (-1, 3, model.told["height"], model.told["width"])
    app = FastAPI()

    # No coroutines: FastAPI runs them in its threads, so that the event loop goes on and calls run side by side.
    @app.post("/recognise")
    def recognise(picture: Raw) -> list[dict[str, Any]]:
        return model.recognise(picture)

    @app.post("/tensor")
    def tensor(data: Raw) -> Response:
        found = model.run(np.frombuffer(data, np.float32).reshape(shape))
        return Response(found.tobytes(), media_type="application/octet-stream")

    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
