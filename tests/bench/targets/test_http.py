"""A server of the Open Inference Protocol, in its two forms: asked, misbehaving, gone."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from bench_frames import GREEN, RED, plain

from edgevision.bench.targets.http import request, response
from edgevision.errors import InputError, TargetError


class Server:
    """The classifier of ``color_bundle``, served: 8 × the mean of red, green and blue. ``binary``: offers the binary extension."""

    def __init__(self) -> None:
        self.binary = False
        self.spoil = ""
        self.connections = 0
        self.seen: list[tuple[str, bool]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 20

            def setup(self):
                outer.connections += 1
                super().setup()

            def log_message(self, *_):
                pass

            def do_GET(self):
                if self.path == "/v2":
                    extensions = ["binary_tensor_data"] if outer.binary else []
                    return self.say({"name": "tiny", "version": "1.2", "extensions": extensions})
                if self.path != "/v2/models/colors":
                    return self.say({"error": f"no model at {self.path}"}, 404)
                tensor = {"name": "input", "datatype": "FP32", "shape": [-1, 3, 8, 8]}
                inputs = [tensor] * (2 if outer.spoil == "inputs" else 1)
                outputs = [{"name": "output", "datatype": "FP32", "shape": [-1, 3]}]
                return self.say({"name": "colors", "platform": "numpy", "inputs": inputs, "outputs": outputs})

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                length = self.headers.get("Inference-Header-Content-Length")
                head = json.loads(body[: int(length)] if length else body)
                (one,) = head["inputs"]
                if length:
                    data = np.frombuffer(body[int(length) :], "<f4")
                    assert len(data) * 4 == one["parameters"]["binary_data_size"]
                else:
                    data = np.array(one["data"], np.float32)
                outer.seen.append((self.path, bool(length)))
                scores = 8 * data.reshape(one["shape"]).mean(axis=(2, 3)).astype("<f4")
                if outer.spoil == "error":
                    return self.say({"error": "the model is not ready"}, 503)
                if outer.spoil == "shape":
                    return self.say({"outputs": [{"name": "output", "datatype": "FP32", "shape": [7], "data": [1.0]}]})
                said = {"name": "output", "datatype": "FP32", "shape": list(scores.shape)}
                if length:
                    said["parameters"] = {"binary_data_size": scores.nbytes}
                    self.say({"outputs": [said]}, raw=scores.tobytes())
                else:
                    self.say({"outputs": [{**said, "data": scores.reshape(-1).tolist()}]})
                if outer.spoil == "close":
                    self.close_connection = True
                return None

            def say(self, value, status=200, raw=b""):
                head = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(head) + len(raw)))
                if raw:
                    self.send_header("Inference-Header-Content-Length", str(len(head)))
                self.end_headers()
                self.wfile.write(head + raw)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


@pytest.mark.parametrize("binary", [False, True])
def test_a_server_is_asked_over_one_connection(opened, color_bundle, server, binary):
    server.binary = binary
    target = opened(f"{server.url}/v2/models/colors@as={color_bundle()}")
    stages: dict[str, int] = {}
    for _ in range(3):
        results = target.answer([plain(RED), plain(GREEN)], stages)
        assert [target.read(one).classes[0] for one in results] == [0, 1]
    assert server.connections == 1
    assert server.seen == [("/v2/models/colors/infer", binary)] * 3
    assert set(stages) == {"preprocess", "infer", "post"}
    identity = target.identity
    assert (identity.kind, identity.engine, identity.provider) == ("http", "tiny 1.2", "numpy")
    assert any(("in binary" if binary else "as JSON") in note for note in identity.notes)


def test_the_model_may_be_an_option_and_nothing_known_of_it(opened, server):
    target = opened(f"http:127.0.0.1:{server.server.server_port}@model=colors")
    answer = target.read(target.answer([plain(RED)], None)[0])
    np.testing.assert_allclose(answer.tensors["output"], [8, 0, 0], atol=0.1)


def test_a_connection_that_was_closed_is_opened_again(opened, color_bundle, server):
    server.spoil = "close"
    target = opened(f"{server.url}/v2/models/colors@as={color_bundle()}")
    for _ in range(3):
        assert target.read(target.answer([plain(RED)], None)[0]).classes[0] == 0
    assert server.connections == 3  # metadata and the first request share one


@pytest.mark.parametrize(
    ("spoil", "said"),
    [("error", "with 503: the model is not ready"), ("shape", "breaks the Open Inference Protocol")],
)
def test_answers_that_are_none(opened, color_bundle, server, spoil, said):
    server.spoil = spoil
    target = opened(f"{server.url}/v2/models/colors@as={color_bundle()}")
    with pytest.raises(TargetError, match=said):
        target.answer([plain(RED)], None)


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        ("{}/v2/models/other", TargetError, "404: no model at /v2/models/other"),
        ("{}", InputError, "names no model"),
        ("{}/v2/models/colors", InputError, "got 2 and 1"),
        ("http://127.0.0.1:9/v2/models/colors", TargetError, "does not answer"),
        ("http:///v2/models/colors", InputError, "is no URL"),
    ],
)
def test_servers_that_cannot_be_asked(opened, server, url, error, said):
    server.spoil = "inputs"
    with pytest.raises(error, match=said):
        opened(url.format(server.url))


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int64", "float64", "bool"])
def test_tensors_travel_whole(dtype):
    tensor = np.arange(6).reshape(1, 2, 3).astype(dtype)
    body, headers = request("input", tensor, binary=True)
    length = int(headers["Inference-Header-Content-Length"])
    (one,) = json.loads(body[:length])["inputs"]
    head = json.dumps({"outputs": [one]}).encode()
    found = response(head + body[length:], len(head))["input"]
    np.testing.assert_array_equal(found, tensor)
    assert found.dtype == tensor.dtype
