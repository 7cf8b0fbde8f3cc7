"""A FastAPI program with routes of its own, and EdgeVision's service under /edgevision.

python examples/11_fastapi_route/main.py [BUNDLE [PORT]]

`/products/{shelf}` is what an app adds: it awaits the model with a deadline, and answers 503 where that cannot be met. Under /edgevision are
recognising (/v1/recognise), the Open Inference Protocol (/v2) and loading models anew; how to mount events, products and the page as well
is in docs/how-to/serve.md, "In your own app". Needs: pip install fastapi 'edgevision[serve]'
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request

import edgevision as ev
from edgevision.kiosk.service.app import make_app
from edgevision.kiosk.service.service import Service

MAX_BYTES = 8 << 20  # of a picture


def make(bundle: str) -> FastAPI:
    model = ev.load(bundle)
    service = Service([model])  # the same model: what is loaded once serves both

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()
        model.close()

    app = FastAPI(lifespan=lifespan)

    @app.post("/products/{shelf}")
    async def products(shelf: str, request: Request) -> dict[str, Any]:
        picture = bytearray()
        async for some in request.stream():
            picture += some
            if len(picture) > MAX_BYTES:
                raise HTTPException(413, f"a picture has at most {MAX_BYTES} bytes")
        try:
            result = await model.predict_async(bytes(picture), deadline_s=0.5)
        except (ev.errors.DeadlineError, ev.errors.BusyError) as error:
            raise HTTPException(503, str(error)) from None
        except ev.errors.InputError as error:
            raise HTTPException(400, str(error)) from None
        return {"shelf": shelf, **result.to_dict()}

    app.mount("/edgevision", make_app(service))
    return app


def main(bundle: str = "runs/demo/model.edge", port: str = "8000") -> None:
    uvicorn.run(make(bundle), host="127.0.0.1", port=int(port), http="h11", log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[1:])
