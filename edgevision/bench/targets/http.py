"""``http:URL``: a server that speaks the Open Inference Protocol, version 2 (KServe, Triton, OpenVINO Model Server, …), over HTTP.

``http://host:8000/v2/models/NAME`` or ``http://host:8000@model=NAME``. The client is one keep-alive connection. Tensors go in the
protocol's binary form where the server offers it, else as JSON. What is measured is what an app on this machine gets: preprocessing
here, the way there and back, the server's work.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import urllib.parse
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgevision.bench.targets.address import TargetAddress
from edgevision.bench.targets.base import Allowance, Identity
from edgevision.bench.targets.facts import versions_of
from edgevision.bench.targets.knowledge import find_knowledge
from edgevision.bench.targets.onnx import as_float32, fixed_size
from edgevision.bench.targets.tensor_target import Tensor, TensorTarget, notes_of, plain_spec, task_name
from edgevision.errors import InputError, TargetError
from edgevision.tensors import TensorInfo

# The protocol's names of element types.
_DTYPES = {
    "BOOL": "bool", "UINT8": "uint8", "INT8": "int8", "INT32": "int32", "INT64": "int64", "FP16": "float16", "FP32": "float32",
    "FP64": "float64",
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_BINARY = "binary_tensor_data"
_HEAD_LENGTH = "Inference-Header-Content-Length"
TIMEOUT_S = 60.0
MAX_ANSWER_BYTES = 1 << 30


def open(address: TargetAddress, allowance: Allowance) -> TensorTarget:
    """Connect, and ask the server for its model's metadata. The ``allowance`` binds this side alone: the server has its own.

    Raises InputError for a URL or model that cannot be asked, TargetError where the server does not answer.
    """
    url = urllib.parse.urlsplit(address.what if "//" in address.what else f"http://{address.what}")
    if url.scheme not in ("http", "https") or not url.hostname:
        raise InputError(f"'{address.text}' is no URL of a server; expected http://host:port/v2/models/NAME")
    path = _model_path(address, url.path)
    client = _Client(url, address.text)
    try:
        server, model = client.get(_root(path)), client.get(path)
        inputs, outputs = model.get("inputs") or [], [_info(one) for one in model.get("outputs") or []]
        if len(inputs) != 1 or not outputs:
            raise InputError(
                f"'{address.text}': expected a model with one input, the picture, and outputs; got {len(inputs)} and {len(outputs)}"
            )
        info = _info(inputs[0])
        shape = list(info.shape)
        knowledge = find_knowledge(address, {}, lambda _: outputs, fixed_size(shape))
        spec = plain_spec(shape, info.dtype, f"'{address.text}'") if knowledge is None else knowledge.spec
    except BaseException:
        client.close()
        raise
    binary = _BINARY in (server.get("extensions") or [])
    ask = f"{path}/infer"

    def run(tensor: Tensor) -> Mapping[str, Tensor]:
        body, headers = request(info.name, tensor, binary)
        found = response(*client.post(ask, body, headers))
        return {name: as_float32(array) for name, array in found.items()}

    name = " ".join(str(server[key]) for key in ("name", "version") if server.get(key))
    identity = Identity(
        kind="http", file="", sha256="", bytes=0, task=task_name(knowledge), precision="unknown: it is in the server",
        engine=name or "a server without a name", provider=str(model.get("platform") or "the server does not say"),
        threads=allowance.threads, input_shape=(1, *spec.tensor_shape),
        versions=versions_of(("numpy", "opencv-python-headless", "opencv-python")),
        notes=(
            *notes_of(knowledge, spec), f"tensors travel {'in binary' if binary else 'as JSON'} over one connection; infer holds the way there and back",
            "threads and cores are of the client; the server's are its own",
        ),
    )  # fmt: skip
    return TensorTarget(identity, run, knowledge, spec, shape[0], client.close)


class _Client:
    """One connection, opened again where the server closed it between two requests."""

    def __init__(self, url: urllib.parse.SplitResult, text: str) -> None:
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        assert url.hostname is not None
        self._connection = kind(url.hostname, url.port, timeout=TIMEOUT_S)
        self._text = text

    def get(self, path: str) -> dict[str, Any]:
        data, _ = self._ask("GET", path, None, {})
        try:
            found = json.loads(data)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise TargetError(
                f"'{self._text}': {path} gives no JSON object; expected a server of the Open Inference Protocol, version 2"
            )
        return found

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[bytes, int | None]:
        """The answer's bytes, and how many of them are its JSON, None for all."""
        return self._ask("POST", path, body, headers)

    def close(self) -> None:
        self._connection.close()

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[bytes, int | None]:
        fresh = self._connection.sock is None
        try:
            return self._ask_once(method, path, body, headers)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
            self._connection.close()
            if fresh:
                raise self._gone(error) from None
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise self._gone(error) from None
        try:  # a server may close a connection that was idle
            return self._ask_once(method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise self._gone(error) from None

    def _ask_once(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[bytes, int | None]:
        connection = self._connection
        if connection.sock is None:
            connection.connect()
            # Head and body are two writes; with Nagle's algorithm the second waits for an acknowledgement.
            opened: socket.socket | None = connection.sock
            assert opened is not None
            with contextlib.suppress(OSError):
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        data = answer.read(MAX_ANSWER_BYTES)
        if answer.status >= 400:
            raise TargetError(
                f"'{self._text}': the server answers {method} {path} with {answer.status}: {_error_in(data)}"
            )
        length = answer.headers.get(_HEAD_LENGTH)
        return data, None if length is None else int(length)

    def _gone(self, error: Exception) -> TargetError:
        host = f"{self._connection.host}:{self._connection.port}"
        return TargetError(
            f"'{self._text}': the server at {host} does not answer ({error or type(error).__name__}); is it running?"
        )


def request(name: str, tensor: Tensor, binary: bool) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a request for one input. JSON has no form for float16: it goes as binary, or not at all."""
    tensor = np.ascontiguousarray(tensor)
    said: dict[str, Any] = {"name": name, "shape": list(tensor.shape), "datatype": _NAMES[tensor.dtype.name]}
    if not binary:
        said["data"] = tensor.reshape(-1).tolist()
        return json.dumps({"inputs": [said]}).encode(), {"Content-Type": "application/json"}
    said["parameters"] = {"binary_data_size": tensor.nbytes}
    head = json.dumps({"inputs": [said], "parameters": {"binary_data_output": True}}).encode()
    headers = {"Content-Type": "application/octet-stream", _HEAD_LENGTH: str(len(head))}
    return head + tensor.tobytes(), headers


def response(data: bytes, head_bytes: int | None) -> dict[str, Tensor]:
    """The outputs in an answer by name. Raises TargetError for one that breaks the protocol."""
    try:
        head = json.loads(data[:head_bytes])
        place = len(data) if head_bytes is None else head_bytes
        found: dict[str, Tensor] = {}
        for one in head["outputs"]:
            dtype = np.dtype(_DTYPES[one["datatype"]]).newbyteorder("<")
            size = (one.get("parameters") or {}).get("binary_data_size")
            if size is None:
                array = np.array(one["data"], dtype)
            else:
                array = np.frombuffer(data[place : place + size], dtype)
                place += size
            found[str(one["name"])] = array.reshape(one["shape"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise TargetError(
            f"a server's answer breaks the Open Inference Protocol ({type(error).__name__}: {error})"
        ) from None
    return found


def _model_path(address: TargetAddress, path: str) -> str:
    """``/v2/models/NAME``, without what may stand behind."""
    path = path.rstrip("/").removesuffix("/infer")
    name = address.options.get("model")
    if name is not None:
        return f"{path.partition('/v2')[0]}/v2/models/{urllib.parse.quote(name)}"
    if "/v2/models/" not in path:
        raise InputError(f"'{address.text}' names no model; expected http://host:port/v2/models/NAME, or @model=NAME")
    return path


def _root(path: str) -> str:
    return path.partition("/v2/")[0] + "/v2"


def _info(said: Any) -> TensorInfo:
    try:
        shape = tuple(None if side < 0 else int(side) for side in said["shape"])
        return TensorInfo(str(said["name"]), _DTYPES.get(said["datatype"], str(said["datatype"])), shape)
    except (KeyError, TypeError):
        raise TargetError(f"a server's metadata break the Open Inference Protocol: {str(said)[:200]}") from None


def _error_in(data: bytes) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(json.loads(data)["error"])[:300]
    return data[:200].decode(errors="replace") or "nothing"
