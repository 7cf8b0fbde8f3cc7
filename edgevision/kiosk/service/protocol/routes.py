"""The routes under ``/v2``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from edgevision.errors import InputError
from edgevision.kiosk.service.answers import RefusedError, json_answer
from edgevision.kiosk.service.bodies import read_body
from edgevision.kiosk.service.deadlines import deadline_of
from edgevision.kiosk.service.protocol.datatypes import BYTES
from edgevision.kiosk.service.protocol.encoding import Encoded, encode
from edgevision.kiosk.service.protocol.parsing import Asked, parse
from edgevision.kiosk.service.protocol.signature import PLATFORM, Signature, signature_of
from edgevision.kiosk.service.requests import Reply, answers
from edgevision.kiosk.service.route import Scope, route
from edgevision.kiosk.service.versions import Retired, ServedVersion

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from edgevision.kiosk.service.service import Service

EXTENSIONS = ("binary_tensor_data",)
JSON_LENGTH = "inference-header-content-length"
MAX_HEAD_BYTES = 1 << 20  # of the JSON beside binary data,
MAX_JSON_BYTES = 32 << 20  # and of JSON that holds the numbers itself
_INLINE_BYTES = 1 << 15  # of JSON that is read where it comes: more would keep all other requests waiting
_INLINE_NUMBERS = 4096
_Made = TypeVar("_Made")


def protocol_routes(service: Service) -> Sequence[BaseRoute]:
    """All of them, for one service."""
    routes = _Routes(service)
    limit = max_infer_bytes(service)
    made = [
        route("/v2", routes.server, scope=Scope.INFER),
        route("/v2/health/live", routes.live, scope=Scope.OPEN),
        route("/v2/health/ready", routes.ready, scope=Scope.OPEN),
    ]
    for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        made += [
            route(model, routes.model, scope=Scope.INFER),
            route(f"{model}/ready", routes.model_ready, scope=Scope.INFER),
            route(f"{model}/infer", routes.infer, scope=Scope.INFER, methods=("POST",), max_body_bytes=limit),
        ]
    return made


def max_infer_bytes(service: Service) -> int:
    """The longest body of ``infer`` that any model takes: its largest batch as binary data, or as pictures."""
    return max(_limit(one, service) for name in service.models.names for one in service.models.versions(name))


def _limit(version: ServedVersion, service: Service) -> int:
    tensor = version.input
    item_bytes = 0
    if tensor is not None:
        item_bytes = 8
        for side in tensor.shape[1:]:
            item_bytes *= side or 1
    return MAX_HEAD_BYTES + version.max_items * max(item_bytes, service.options.max_picture_bytes)


class _Routes:
    def __init__(self, service: Service) -> None:
        self._service = service

    async def server(self, request: Request) -> Response:
        """What serves here."""
        from edgevision import __version__

        return json_answer({"name": "edgevision", "version": __version__, "extensions": list(EXTENSIONS)})

    async def live(self, request: Request) -> Response:
        """The process answers."""
        return json_answer({"live": True})

    async def ready(self, request: Request) -> Response:
        """Every model answers."""
        is_ready = self._service.is_ready
        return json_answer({"ready": is_ready}, 200 if is_ready else 503)

    async def model(self, request: Request) -> Response:
        """What a model takes and gives."""
        version = self._version(request)
        signature = signature_of(version)
        return json_answer(
            {
                "name": version.name, "versions": [one.version for one in self._service.models.versions(version.name)],
                "platform": PLATFORM, "inputs": [signature.input.to_dict()],
                "outputs": [port.to_dict() for port in signature.outputs],
            }
        )  # fmt: skip

    async def model_ready(self, request: Request) -> Response:
        """Whether a model answers."""
        version = self._version(request)
        is_ready = version.is_ready and not self._service.stopping.is_set()
        return json_answer({"name": version.name, "ready": is_ready}, 200 if is_ready else 503)

    async def infer(self, request: Request) -> Response:
        """Tensors, or encoded pictures, through a model."""
        from starlette.responses import Response

        deadline_s = deadline_of(request)
        json_length = _json_length(request)
        self._version(request)  # before the body is read
        with self._service.budget.share() as share:
            body = await read_body(request, share)
            json_bytes = len(body) if json_length is None else json_length
            _check_json(json_bytes, is_beside_binary=json_length is not None)
            while True:
                version = self._version(request)
                signature = signature_of(version)
                work = partial(parse, body, json_length, signature)
                asked = await self._done(work, json_bytes <= _INLINE_BYTES)
                try:
                    reply = _start(version, asked, deadline_s)
                    break
                except Retired:  # replaced a moment ago: the next one is there
                    continue
            found = await answers(reply, request.receive)
            encoded = await self._done(
                partial(encode, asked, found, version.name, version.version), _is_small(signature, asked)
            )
        return Response(encoded.body, 200, _headers(encoded), _media_type(encoded))

    def _version(self, request: Request) -> ServedVersion:
        return self._service.models.get(request.path_params["name"], request.path_params.get("version"))

    async def _done(self, work: partial[_Made], inline: bool) -> _Made:
        """Do it here where it is little, else in a thread."""
        if inline:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._service.numbers, work)


def _check_json(length: int, *, is_beside_binary: bool) -> None:
    """Raise RefusedError for more than is read: what comes of numbers in JSON takes ten times its length in memory, and seconds."""
    if is_beside_binary and length > MAX_HEAD_BYTES:
        raise RefusedError(413, f"expected at most {MAX_HEAD_BYTES} bytes of JSON beside binary data, got {length}")
    if length > MAX_JSON_BYTES:
        raise RefusedError(
            413, f"expected at most {MAX_JSON_BYTES} bytes of JSON, got {length}; send the tensor as binary data"
        )


def _start(version: ServedVersion, asked: Asked, deadline_s: float | None) -> Reply:
    if asked.tensor is not None:
        return version.run(asked.tensor, deadline_s=deadline_s)
    return version.recognise(asked.pictures, deadline_s=deadline_s, raw=True)


def _json_length(request: Request) -> int | None:
    text = request.headers.get(JSON_LENGTH)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise InputError(f"Inference-Header-Content-Length is a whole number, got {text[:40]!r}")
    return int(text)


def _is_small(signature: Signature, asked: Asked) -> bool:
    """Whether few numbers become text."""
    items = len(asked.pictures) if asked.tensor is None else len(asked.tensor)
    numbers = 0
    for port, is_binary in asked.outputs:
        if not is_binary and port.datatype != BYTES:
            each = items
            for side in port.shape[1:]:
                each *= max(side, 1)
            numbers += each
    return numbers <= _INLINE_NUMBERS


def _headers(encoded: Encoded) -> dict[str, Any]:
    return {} if encoded.json_length is None else {"Inference-Header-Content-Length": str(encoded.json_length)}


def _media_type(encoded: Encoded) -> str:
    return "application/json" if encoded.json_length is None else "application/octet-stream"
