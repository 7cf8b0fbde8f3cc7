"""Which threads decode a request's pictures and run the model on them."""

from __future__ import annotations

import asyncio
import threading

import pytest
from colors import plain
from stream_items import wait_until

from edgevision.decode import encode_png, to_frame
from edgevision.kiosk.service.options import ServiceOptions
from edgevision.kiosk.service.requests import answers
from edgevision.kiosk.service.service import Service

RED = encode_png(plain((250, 10, 20)))


@pytest.fixture
def service(color_bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))
    options = ServiceOptions(engine="onnxruntime", max_batch=1)
    with Service([str(color_bundle())], options) as made:
        yield made


def recognise(service):
    async def ask():
        (result,) = await answers(service.models.get().recognise([RED]))
        return result

    return asyncio.run(ask())


def test_the_thread_that_decoded_a_picture_runs_the_model(service):
    """Most times: a worker that is about to wait may take the next picture first."""
    batched = service.models.get().batched
    names, before = [], batched.predict_frames

    def noted(works):
        names.append(threading.current_thread().name)
        return before(works)

    batched.predict_frames = noted
    for _ in range(20):
        assert recognise(service).best.name == "red"
    assert names.count("edgevision-decode") >= 15


def test_while_a_thread_is_with_the_model_another_decodes_in_its_place(service, monkeypatch):
    batched = service.models.get().batched
    go, inside, before = threading.Event(), threading.Event(), batched.predict_frames
    decoded = []

    def held(works):
        inside.set()
        assert go.wait(60)
        return before(works)

    def noted(*given):
        decoded.append(given)
        return to_frame(*given)

    monkeypatch.setattr("edgevision.decode.to_frame", noted)
    batched.predict_frames = held
    service.decoders.most = 1
    clients = [threading.Thread(target=recognise, args=(service,)) for _ in range(2)]
    clients[0].start()
    assert inside.wait(30)
    clients[1].start()
    wait_until(lambda: len(decoded) == 2)  # the first is with the model still
    go.set()
    for one in clients:
        one.join(30)
        assert not one.is_alive()
    wait_until(lambda: service.decoders.most == 1)
