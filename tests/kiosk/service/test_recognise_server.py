"""``POST /v1/recognise`` over a real server: answers, bounds, deadlines, crowds, clients that hang up."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from colors import NAMES, colors, plain, truth
from http_clients import ask, served
from stream_items import wait_until

import edgevision as ev
from edgevision.decode import encode_png
from edgevision.kiosk.service.options import ServiceOptions
from edgevision.kiosk.service.service import Service
from edgevision.machine import usable_cores
from edgevision.streams.batch_cost import BatchCost
from edgevision.streams.fates import Fate

pytestmark = pytest.mark.requires("serve")

RED = encode_png(plain((250, 10, 20)))


@pytest.fixture
def model(color_bundle):
    with ev.load(color_bundle(), engine="onnxruntime", threads=usable_cores()) as loaded:  # one call at once
        yield loaded


class Held:
    """Holds the model's calls until ``go`` is set. ``sizes``: of the batches it was called with."""

    def __init__(self, service: Service) -> None:
        self.go = threading.Event()
        self.inside = threading.Semaphore(0)
        self.sizes: list[int] = []
        self._batched = service.models.get().batched
        self._before = self._batched.predict_frames
        self._batched.predict_frames = self  # type: ignore[method-assign,assignment]

    def __call__(self, works):
        self.sizes.append(len(works))
        self.inside.release()
        assert self.go.wait(60)
        return self._before(works)


@pytest.fixture
def serving(model):
    made = []

    def start(**options):
        service = Service([model], ServiceOptions(**options))
        context = served(service)
        made.append(context)
        return service, context.__enter__()

    yield start
    for context in made:
        context.__exit__(None, None, None)


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "application/octet-stream", "IMAGE/PNG; a=b", None])
def test_it_answers_in_the_words_of_the_command_line(serving, model, media_type):
    _, server = serving()
    headers = {} if media_type is None else {"Content-Type": media_type}
    answered = server.ask("POST", "/v1/recognise", RED, headers)
    assert answered.status == 200
    told = answered.json
    expected = model.predict(RED).to_dict()
    assert set(told) == {*expected, "model", "ms"}
    assert told["model"] == {"name": "color", "version": model.id[:12], "id": model.id}
    assert told["ms"] > 0
    assert (told["known"], told["frame"]) == (expected["known"], expected["frame"])
    assert [one["name"] for one in told["top"]] == [one["name"] for one in expected["top"]]
    np.testing.assert_allclose(
        [one["score"] for one in told["top"]], [one["score"] for one in expected["top"]], atol=1e-6
    )


def test_many_clients_get_each_their_own_answer(serving):
    service, server = serving(queue=64)
    each = colors(48)

    def of(color) -> list[float]:
        answered = server.ask("POST", "/v1/recognise", encode_png(plain(color)))
        assert answered.status == 200, answered.body
        scores = {one["name"]: one["score"] for one in answered.json["top"]}
        return [scores[name] for name in NAMES]

    with ThreadPoolExecutor(16) as clients:
        found = list(clients.map(of, each))
    np.testing.assert_allclose(found, [truth(color) for color in each], atol=1e-5)
    wait_until(lambda: service.ledger.counts("color") == {Fate.SERVED: len(each)}, 30.0)
    assert service.models.get().in_flight == 0
    assert service.budget.taken == 0


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "words"),
    [
        ("/v1/recognise", b"", {}, 400, "got no bytes"),
        ("/v1/recognise", b"GIF", {}, 400, "image: "),
        ("/v1/recognise", RED[:-20], {}, 400, "truncated or damaged"),
        ("/v1/recognise", RED, {"Content-Type": "multipart/form-data; boundary=x"}, 415, "the picture itself"),
        ("/v1/recognise", RED, {"Content-Type": "application/json"}, 415, "the picture itself"),
        ("/v1/recognise", RED, {"Content-Encoding": "gzip"}, 415, "got 'gzip'"),
        ("/v1/recognise", bytes(5000), {}, 413, "4096 bytes"),
        ("/v1/recognise?model=none", RED, {}, 404, "there is no model 'none'"),
        ("/v1/recognise?version=1", RED, {}, 404, "there is no version '1'"),
        ("/v1/recognise", RED, {"EdgeVision-Deadline-Ms": "0"}, 400, "over 0"),
        ("/v1/recognise", RED, {"EdgeVision-Deadline-Ms": "-5"}, 400, "over 0"),
        ("/v1/recognise", RED, {"EdgeVision-Deadline-Ms": "nan"}, 400, "over 0"),
        ("/v1/recognise", RED, {"EdgeVision-Deadline-Ms": "1e400"}, 400, "over 0"),
        ("/v1/recognise", RED, {"EdgeVision-Deadline-Ms": "9" * 40}, 400, "over 0"),
    ],
)  # fmt: skip
def test_what_is_no_picture_or_no_request_is_refused(serving, path, body, headers, status, words):
    service, server = serving(max_picture_bytes=4096)
    answered = server.ask("POST", path, body, headers)
    assert answered.status == status
    assert words in answered.error
    assert service.models.get().in_flight == service.budget.taken == 0


def test_a_body_without_a_length_is_bounded_too(serving):
    _, server = serving(max_picture_bytes=4096)
    connection = server.connection()
    connection.request(
        "POST", "/v1/recognise", iter([bytes(1000)] * 5), {"Transfer-Encoding": "chunked"}, encode_chunked=True
    )
    assert connection.getresponse().status == 413
    connection.close()
    connection = server.connection()
    pieces = iter([RED[:40], RED[40:]])
    connection.request("POST", "/v1/recognise", pieces, {"Transfer-Encoding": "chunked"}, encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()


def test_pixels_are_bounded_by_the_header(serving):
    _, server = serving(max_decode_bytes=100_000)
    answered = server.ask("POST", "/v1/recognise", encode_png(np.zeros((2000, 2000, 3), np.uint8)))
    assert answered.status == 400
    assert "2000×2000 pixels" in answered.error


def test_a_full_queue_is_told_at_once_and_nothing_that_was_accepted_is_lost(serving):
    service, server = serving(queue=8, max_batch=2)
    held = Held(service)
    with ThreadPoolExecutor(16) as clients:
        accepted = [clients.submit(server.ask, "POST", "/v1/recognise", RED) for _ in range(8)]
        wait_until(lambda: service.models.get().in_flight == 8, 30.0)
        refused = [server.ask("POST", "/v1/recognise", RED) for _ in range(3)]
        held.go.set()
        answered = [one.result(60) for one in accepted]
    assert [one.status for one in refused] == [503] * 3
    assert all(int(one.headers["retry-after"]) >= 1 for one in refused)
    assert "8 pictures of 8 are with model 'color'" in refused[0].error
    assert [one.status for one in answered] == [200] * 8
    assert server.ask("POST", "/v1/recognise", RED).status == 200


def test_bodies_that_are_under_way_are_bounded_together(serving):
    service, server = serving(max_bytes_in_flight=3 * len(RED) // 2)
    held = Held(service)
    with ThreadPoolExecutor(1) as clients:
        first = clients.submit(server.ask, "POST", "/v1/recognise", RED)
        wait_until(lambda: service.models.get().in_flight == 1, 30.0)
        second = server.ask("POST", "/v1/recognise", RED)
        held.go.set()
        assert first.result(60).status == 200
    assert second.status == 503
    assert "as many bytes" in second.error
    assert service.budget.taken == 0
    assert server.ask("POST", "/v1/recognise", RED).status == 200


def test_a_deadline_that_cannot_be_met_is_told_before_the_work(serving):
    service, server = serving(max_batch=1)
    held = Held(service)
    with ThreadPoolExecutor(4) as clients:
        first = clients.submit(server.ask, "POST", "/v1/recognise", RED)
        assert held.inside.acquire(timeout=30)
        began_s = time.monotonic()
        hurried = clients.submit(server.ask, "POST", "/v1/recognise", RED, {"EdgeVision-Deadline-Ms": "150"})
        patient = clients.submit(server.ask, "POST", "/v1/recognise", RED, {"EdgeVision-Deadline-Ms": "60000"})
        wait_until(lambda: time.monotonic() - began_s > 0.3, 30.0)
        held.go.set()
        assert first.result(60).status == patient.result(60).status == 200
        late = hurried.result(60)
    assert late.status == 503
    assert "nothing was done" in late.error
    assert int(late.headers["retry-after"]) >= 1
    wait_until(lambda: service.ledger.counts("color").get(Fate.EXPIRED) == 1, 30.0)
    assert sum(held.sizes) == 2  # the model never saw the one that was late


def test_a_deadline_is_refused_by_what_batches_were_seen_to_cost(serving):
    service, server = serving()
    service.models.get().batcher._cost = BatchCost([(1, 0.5), (8, 4.0)])
    answered = server.ask("POST", "/v1/recognise", RED, {"EdgeVision-Deadline-Ms": "400"})
    assert answered.status == 503
    assert "the answer would take 500 ms" in answered.error
    assert service.ledger.account("color").captured == 0
    assert server.ask("POST", "/v1/recognise", RED, {"EdgeVision-Deadline-Ms": "5000"}).status == 200


def test_a_client_that_hangs_up_frees_its_place(serving):
    service, server = serving(queue=2, max_batch=1)
    held = Held(service)
    with ThreadPoolExecutor(1) as clients:
        first = clients.submit(server.ask, "POST", "/v1/recognise", RED)
        assert held.inside.acquire(timeout=30)
        second = server.connection()
        second.request("POST", "/v1/recognise", RED)
        wait_until(lambda: service.models.get().in_flight == 2, 30.0)
        assert server.ask("POST", "/v1/recognise", RED).status == 503
        second.close()
        wait_until(lambda: service.models.get().in_flight == 1, 30.0)
        held.go.set()
        assert first.result(60).status == 200
    wait_until(lambda: service.ledger.counts("color") == {Fate.SERVED: 1, Fate.STOPPED: 1}, 30.0)
    assert held.sizes == [1]


def test_a_client_that_hangs_up_in_the_middle_of_its_body_leaves_nothing(serving):
    service, server = serving()
    connection = server.connection()
    connection.putrequest("POST", "/v1/recognise")
    connection.putheader("Content-Length", str(len(RED)))
    connection.endheaders()
    connection.send(RED[:50])
    wait_until(lambda: service.budget.taken > 0, 30.0)
    connection.close()
    wait_until(lambda: service.budget.taken == 0, 30.0)
    assert service.models.get().in_flight == 0


def test_a_model_that_fails_is_told_without_its_inside(serving):
    service, server = serving()
    batched = service.models.get().batched
    before = batched.predict_frames

    def fail(works):
        raise RuntimeError("/secret/path")

    batched.predict_frames = fail
    answered = server.ask("POST", "/v1/recognise", RED)
    assert answered.status == 500
    assert "the model failed" in answered.error
    assert b"secret" not in answered.body
    assert "/secret/path" in service.troubles[-1].words
    batched.predict_frames = before
    assert server.ask("POST", "/v1/recognise", RED).status == 200


def test_connections_are_kept_and_each_request_on_one_is_answered(serving):
    _, server = serving()
    connection = server.connection()
    for color, name in (((240, 0, 0), "red"), ((0, 240, 0), "green"), ((0, 0, 240), "blue")):
        answered = ask(connection, "POST", "/v1/recognise", encode_png(plain(color)))
        assert answered.json["top"][0]["name"] == name
        assert answered.headers.get("connection") != "close"
        assert "server" not in answered.headers
    connection.close()
