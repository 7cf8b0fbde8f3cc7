"""The end of a server under load, and models that are replaced under load: no request is lost."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from colors import plain
from http_clients import ask, served
from stream_items import wait_until

from edgevision.decode import encode_png
from edgevision.errors import InputError
from edgevision.kiosk.service import models
from edgevision.kiosk.service.answers import RefusedError
from edgevision.kiosk.service.models import ModelSource
from edgevision.kiosk.service.options import ServiceOptions
from edgevision.kiosk.service.service import Service
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("serve")

RED = encode_png(plain((250, 10, 20)))
OPTIONS = ServiceOptions(engine="onnxruntime", threads=1)


class Crowd:
    """Clients that ask again and again, each on one connection, until the server tells them to close it, or ``enough``.

    ``answers``: (status, version) of all. ``lost``: requests that were sent whole and not answered.
    """

    def __init__(self, server, count: int, path: str = "/v1/recognise") -> None:
        self.answers: list[tuple[int, str]] = []
        self.lost: list[str] = []
        self.enough = threading.Event()
        self._server = server
        self._path = path
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        connection = self._server.connection()
        try:
            connection.connect()
        except OSError:
            return
        with contextlib.closing(connection):
            while not self.enough.is_set():
                try:
                    answered = ask(connection, "POST", self._path, RED)
                except OSError as error:
                    self.lost.append(repr(error))
                    return
                version = answered.json["model"]["version"] if answered.status == 200 else str(answered.body)
                self.answers.append((answered.status, version))
                if answered.headers.get("connection") == "close":
                    return

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads)

    def statuses(self) -> Counter[int]:
        return Counter(status for status, _ in self.answers)


def another(manifest):
    """The same task in another bundle."""
    return replace(manifest, source={"name": "second.pt"})


def test_all_that_was_accepted_is_answered_when_the_server_stops(color_bundle):
    service = Service([color_bundle()], OPTIONS)
    with served(service) as server:
        crowd = Crowd(server, 8)
        wait_until(lambda: len(crowd.answers) > 40, 60.0)
        server.stop.set()
        crowd.join()
        server.thread.join(30)
        assert not server.thread.is_alive()
        with pytest.raises(ConnectionError):
            server.ask("GET", "/v2/health/live")
    assert crowd.lost == []
    assert set(crowd.statuses()) == {200}
    account = service.ledger.account("color")
    assert account.balanced
    assert account.in_flight == 0
    assert account.captured == len(crowd.answers)


def test_the_end_comes_in_time_though_an_answer_does_not(color_bundle):
    service = Service([color_bundle()], OPTIONS)
    go = threading.Event()
    batched = service.models.get().batched
    batched.predict_frames = lambda works: go.wait(60)
    with served(service, stop_timeout_s=1.0) as server:
        crowd = Crowd(server, 1)
        wait_until(lambda: service.models.get().in_flight == 1, 30.0)
        server.stop.set()
        server.thread.join(20)
        ended = not server.thread.is_alive()
        go.set()
        assert ended
        crowd.join()
    assert 200 not in crowd.statuses()


def test_what_has_no_end_is_told_to_end(color_bundle):
    service = Service([color_bundle()], OPTIONS)
    told = threading.Event()
    service.when_stopping(told.set)
    with served(service) as server:
        assert server.ask("GET", "/v2/health/ready").status == 200
        server.stop.set()
        assert told.wait(30)
    assert not service.is_ready


def test_a_model_is_replaced_under_load_and_no_request_fails(color_bundle):
    path, second = color_bundle("live.edge"), color_bundle("second.edge", manifest=another)
    service = Service([path], OPTIONS)
    changes = []
    service.models.watch(changes.append)
    first = service.models.get().version
    with served(service) as server:
        crowd = Crowd(server, 8)
        wait_until(lambda: len(crowd.answers) > 20, 60.0)
        second.replace(path)
        answered = server.ask("POST", "/v1/models/color/reload")
        before = len(crowd.answers)
        wait_until(lambda: len(crowd.answers) > before + 40, 60.0)
        crowd.enough.set()
        crowd.join()
        now = service.models.get().version
        assert server.ask("GET", "/v2/models/color").json["versions"] == [now]
    assert answered.status == 200
    assert {key: answered.json[key] for key in ("name", "versions", "before", "changed")} == {
        "name": "color",
        "versions": [now],
        "before": [first],
        "changed": True,
    }
    assert [one.after for one in changes] == [(now,)]
    assert now != first
    assert crowd.lost == []
    assert set(crowd.statuses()) == {200}
    assert {version for _, version in crowd.answers} == {first, now}
    assert crowd.answers[-1][1] == now


def test_what_is_the_same_stays(color_bundle):
    with Service([color_bundle()], OPTIONS) as service:
        before = service.models.get()
        told = service.models.reload("color")
        assert service.models.get() is before
        assert not told.changed
        assert told.words == "model 'color' is as it was"


def other_labels(manifest):
    return replace(manifest, task=replace(manifest.task, labels=(Label(1, "a"), Label(2, "b"), Label(3, "c"))))


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"spoiled": ("onnxruntime-int8", "onnxruntime-float"), "manifest": another}, "does not do here what it did"),
        (b"no bundle", "bad.edge"),
        (None, "bad.edge"),
    ],
    ids=["golden frames", "no bundle", "no file"],
)
def test_a_bundle_that_is_refused_changes_nothing(color_bundle, tmp_path, made, words):
    path = color_bundle("bad.edge")
    service = Service([path], OPTIONS)
    before = service.models.get()
    if isinstance(made, dict):
        color_bundle("new.edge", **made).replace(path)
    elif made is None:
        path.unlink()
    else:
        (tmp_path / "new").write_bytes(made)
        (tmp_path / "new").replace(path)
    with served(service) as server:
        answered = server.ask("POST", "/v1/models/color/reload")
        assert answered.status == 409
        assert answered.error.startswith("model 'color' stays as it is: ")
        assert words in answered.error
        assert str(tmp_path) not in answered.error
        assert service.models.get() is before
        assert server.ask("POST", "/v1/recognise", RED).status == 200


def test_one_model_is_loaded_at_a_time_and_none_when_the_service_has_stopped(color_bundle, monkeypatch):
    others = set(threading.enumerate())  # that other tests of this process left
    path = color_bundle("live.edge")
    service = Service([path], OPTIONS)
    color_bundle("new.edge", manifest=another).replace(path)
    loading, go = threading.Event(), threading.Event()
    load = models.load_version

    def slow(*arguments):
        loading.set()
        assert go.wait(60)
        return load(*arguments)

    monkeypatch.setattr(models, "load_version", slow)
    before = service.models.get()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(service.models.reload, "color")
        assert loading.wait(30)
        with pytest.raises(RefusedError, match="being loaded already") as busy:
            service.models.reload("color")
        assert (busy.value.status, before.is_ready) == (503, True)
        assert not service.close(0.1)
        go.set()
        with pytest.raises(RefusedError, match="is stopping"):
            first.result(60)
    assert service.models.versions("color") == (before,)
    assert not [one for one in set(threading.enumerate()) - others if one.name == "edgevision-batcher"]


def test_other_labels_may_come(color_bundle):
    path = color_bundle("live.edge")
    with Service([path], OPTIONS) as service:
        color_bundle("new.edge", manifest=other_labels).replace(path)
        assert service.models.reload("color").changed
        assert [label.name for label in service.models.get().parts[0].labels] == ["a", "b", "c"]


def test_several_models_and_versions(color_bundle):
    one, two = color_bundle("one.edge"), color_bundle("two.edge", manifest=another)
    with Service([f"shelf={one}", f"shelf={two}", f"till={one}"], OPTIONS) as service, served(service) as server:
        assert service.models.names == ("shelf", "till")
        first, second = (version.version for version in service.models.versions("shelf"))
        assert server.ask("GET", "/v2/models/shelf").json["versions"] == [first, second]
        found = {
            path: server.ask("POST", f"/v1/recognise{path}", RED).json["model"]
            for path in ("", "?model=till", f"?model=shelf&version={first}")
        }
    assert found[""]["version"] == second
    assert (found["?model=till"]["name"], found["?model=till"]["version"]) == ("till", first)
    assert found[f"?model=shelf&version={first}"]["version"] == first


def test_the_same_bundle_twice_under_one_name_is_refused(color_bundle):
    path = color_bundle()
    with pytest.raises(InputError, match="given twice"):
        Service([path, path], OPTIONS)
    with pytest.raises(InputError, match="at least one model"):
        Service([], OPTIONS)


def test_a_model_that_you_loaded_stays_yours(color_bundle):
    import edgevision as ev

    with ev.load(color_bundle(), engine="onnxruntime") as model:
        with Service([ModelSource(model=model, name="mine")]) as service:
            assert service.models.get("mine").model is model
            assert not service.models.reload("mine").changed
        assert model.predict(RED).best.name == "red"


@pytest.mark.parametrize("name", ["", "a/b", "..", "-x", "a b", "x" * 65, "a\n"])
def test_names_fit_into_urls(color_bundle, name):
    with pytest.raises(InputError, match="a model's name is"):
        ModelSource(color_bundle(), name=name)


def test_names_of_bundles_are_made_to_fit(color_bundle):
    path = color_bundle(manifest={"name": "Obst & Gemüse/2"})
    with Service([path], OPTIONS) as service:
        assert service.models.names == ("Obst-Gem-se-2",)


def test_a_closed_service_refuses(color_bundle):
    service = Service([color_bundle()], OPTIONS)
    version = service.models.get()
    service.close()
    service.close()
    assert not service.is_ready

    async def ask_it() -> None:
        version.recognise([RED])

    with pytest.raises(RefusedError, match="is stopping") as refused:
        asyncio.run(ask_it())
    assert refused.value.status == 503
