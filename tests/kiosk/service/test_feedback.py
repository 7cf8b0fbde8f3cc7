"""Corrections with their picture: checked, kept once, within a quota, and read by ``train``."""

from __future__ import annotations

import errno
import json
import os
import struct
import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from live_service import LABELS, MODEL, app_of, ask, jpeg_of, recognised, unsure

from edgevision.errors import EdgeVisionError, InputError
from edgevision.evaluate.data.dataset import read_dataset
from edgevision.kiosk.service.bodies import Budget
from edgevision.kiosk.service.feedback import feedback_routes
from edgevision.kiosk.service.live.said import AnswersSaid
from edgevision.kiosk.service.picture_folder import MANIFEST, PictureFolder, Quota, QuotaError, label_folders
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("serve")


def app(folder: PictureFolder | None, said: AnswersSaid | None = None, model=MODEL, budget: Budget | None = None):
    return app_of(feedback_routes(folder, lambda: model, (said or AnswersSaid()).of, budget or Budget(1 << 20)))


def post(routes, label, body: bytes, **query):
    rest = "".join(f"&{name}={value}" for name, value in query.items())
    return ask(routes, "POST", f"/v1/feedback?label={label}{rest}", body)


def notes(folder: Path) -> list[dict]:
    path = folder / MANIFEST
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def pictures(folder: Path) -> list[str]:
    return sorted(f"{one.parent.name}/{one.name}" for one in folder.glob("*/*"))


def test_a_correction_is_kept_with_what_the_model_had_said(tmp_path):
    said = AnswersSaid()
    said.see(recognised(3))
    said.see(unsure(4))
    routes = app(PictureFolder(tmp_path), said)
    answer = post(routes, 9, jpeg_of(1), placement=3)
    assert answer.status == 201
    kept = answer.json["kept"]
    assert kept.startswith("Gruyère/")
    assert (tmp_path / kept).read_bytes() == jpeg_of(1)
    post(routes, 7, jpeg_of(2), placement=4, station="till")
    post(routes, 7, jpeg_of(3))
    first, second, third = notes(tmp_path)
    assert (first["picture"], first["label"], first["name"], first["model"]) == (kept, 9, "Gruyère", MODEL.id)
    assert (first["placement"], first["station"], first["score"], first["said"]["event"]) == (
        3,
        "till",
        0.97,
        "recognised",
    )
    assert (first["height"], first["width"]) == (24, 32)
    assert (second["score"], [one["id"] for one in second["said"]["choices"]]) == (0.6, [9, 7])
    assert (third["placement"], third["said"], third["score"]) == (None, None, None)


def test_two_stations_with_the_same_placement_are_not_mixed_up():
    said = AnswersSaid()
    said.see(recognised(1, "till"))
    said.see(unsure(1, "page-1"))
    assert said.of(1) is None
    assert said.of(1, "page-1")["event"] == "unsure"
    assert said.of(1, "other") is None


def test_only_the_last_answers_are_remembered():
    said = AnswersSaid(most=2)
    for placement in (1, 2, 3):
        said.see(recognised(placement))
    assert [said.of(placement) is None for placement in (1, 2, 3)] == [True, False, False]


def test_train_reads_what_was_kept(tmp_path):
    folder = PictureFolder(tmp_path)
    folder.write_labels(LABELS)
    routes = app(folder)
    for seed, label in enumerate((7, 7, 9, 11)):
        assert post(routes, label, jpeg_of(seed)).status == 201
    dataset = read_dataset(tmp_path, tmp_path / "labels.csv")
    labels = dataset.labels
    assert labels is not None
    found = {Path(photo.path).name: labels[photo.label].id for photo in dataset if photo.label is not None}
    assert sorted(found.values()) == [7, 7, 9, 11]
    assert {note["picture"].split("/")[1]: note["label"] for note in notes(tmp_path)} == found
    assert sorted(label.name for label in read_dataset(tmp_path).labels or ()) == sorted(label.name for label in LABELS)


def test_names_that_cannot_be_folders_become_ids_and_train_reads_them_too(tmp_path):
    labels = (Label(7, "1/2 pear"), Label(9, "kiwi"))
    folder = PictureFolder(tmp_path)
    folder.write_labels(labels)
    routes = app(folder, model=replace(MODEL, labels=labels))
    post(routes, 7, jpeg_of(0))
    post(routes, 9, jpeg_of(1))
    assert {one.split("/")[0] for one in pictures(tmp_path)} == {"7", "9"}
    dataset = read_dataset(tmp_path, tmp_path / "labels.csv")
    assert {label.name for label in dataset.labels or ()} == {"1/2 pear", "kiwi"}
    assert len(dataset) == 2


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "a:b",
        "a\nb",
        "\x00",
        ".hidden",
        "__MACOSX",
        "@eaDir",
        " a",
        "a ",
        "a.",
        "x" * 201,
        "a\u202eb",
    ],
)
def test_what_is_no_name_for_a_folder(name):
    assert label_folders((Label(7, name), Label(9, "kiwi"))) == {7: "7", 9: "9"}


def test_names_that_differ_in_case_alone_are_ids():
    assert label_folders((Label(1, "Pear"), Label(2, "pear"))) == {1: "1", 2: "2"}


def bomb() -> bytes:
    size = struct.pack(">BHHB", 8, 60_000, 60_000, 3) + b"\x01\x11\x00\x02\x11\x00\x03\x11\x00"
    return (
        b"\xff\xd8\xff\xc0"
        + struct.pack(">H", len(size) + 2)
        + size
        + b"\xff\xda\x00\x0c"
        + b"\x00" * 400
        + b"\xff\xd9"
    )


@pytest.mark.parametrize(
    ("label", "query", "body", "status", "words"),
    [
        ("", {}, b"", 400, "label is the id"),
        ("pear", {}, b"", 400, "label is the id"),
        ("8", {}, b"", 404, "no product with the id 8"),
        ("7", {"placement": "-1"}, b"", 400, "placement is the number"),
        ("7", {"placement": "1" * 30}, b"", 400, "placement is the number"),
        ("7", {"station": "%0a"}, b"", 400, "station is the name"),
        ("7", {}, b"", 415, "JPEG, PNG or WebP"),
        ("7", {}, b"GIF89a" + bytes(100), 415, "JPEG, PNG or WebP"),
        ("7", {}, jpeg_of(1)[:300], 422, "ends within its header"),
        ("7", {}, bomb(), 422, "take"),
    ],
)
def test_what_is_refused_leaves_nothing(tmp_path, label, query, body, status, words):
    answer = post(app(PictureFolder(tmp_path)), label, body, **query)
    assert answer.status == status
    assert words in answer.json["error"]
    assert not list(tmp_path.iterdir())


def test_a_body_that_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr("edgevision.kiosk.service.feedback.MAX_BODY_BYTES", 100)
    assert post(app(PictureFolder(tmp_path)), 7, jpeg_of(1)).status == 413


def test_a_picture_takes_its_share_of_what_all_requests_may_hold(tmp_path, monkeypatch):
    picture = jpeg_of(1)
    budget = Budget(len(picture) + 10)
    folder, held = PictureFolder(tmp_path), []
    keep = folder.keep
    monkeypatch.setattr(folder, "keep", lambda *given: (held.append(budget.taken), keep(*given))[1])
    routes = app(folder, budget=budget)
    with budget.share() as other:
        other.take(11)
        answer = post(routes, 7, picture)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert post(routes, 7, picture).status == 201
    assert held == [len(picture)]  # also while it is written
    assert budget.taken == 0


def test_without_a_folder_nothing_is_kept():
    answer = post(app(None), 7, jpeg_of(1))
    assert answer.status == 404
    assert "--feedback" in answer.json["error"]


@pytest.mark.parametrize(("suffix", "ending"), [(".png", ".png"), (".webp", ".webp")])
def test_other_kinds_of_pictures(tmp_path, suffix, ending):
    done, data = cv2.imencode(suffix, np.zeros((8, 8, 3), np.uint8))
    assert done
    assert post(app(PictureFolder(tmp_path)), 7, data.tobytes()).json["kept"].endswith(ending)


def test_the_same_picture_again_is_kept_once(tmp_path):
    routes = app(PictureFolder(tmp_path))
    first, again = post(routes, 7, jpeg_of(1)), post(routes, 7, jpeg_of(1))
    assert (first.status, again.status) == (201, 200)
    assert again.json == {"kept": first.json["kept"], "again": True}
    after_restart = post(app(PictureFolder(tmp_path)), 7, jpeg_of(1))
    assert after_restart.json == again.json
    assert len(pictures(tmp_path)) == len(notes(tmp_path)) == 1


def test_who_thinks_better_of_it_moves_the_picture(tmp_path):
    routes = app(PictureFolder(tmp_path))
    first, other = post(routes, 7, jpeg_of(1)).json["kept"], post(routes, 9, jpeg_of(1)).json["kept"]
    assert pictures(tmp_path) == [other]
    assert [note["instead_of"] for note in notes(tmp_path)] == [None, first]


def test_the_quota_holds_in_files_and_in_bytes(tmp_path):
    size = len(jpeg_of(0))
    by_files = app(PictureFolder(tmp_path / "files", Quota(files=2)))
    assert [post(by_files, 7, jpeg_of(seed)).status for seed in range(3)] == [201, 201, 507]
    by_bytes = app(PictureFolder(tmp_path / "bytes", Quota(bytes=2 * size + 2000)))
    statuses = [post(by_bytes, 7, jpeg_of(seed)).status for seed in range(4)]
    assert statuses[0] == 201
    assert statuses[-1] == 507
    used = sum(one.stat().st_size for one in (tmp_path / "bytes").rglob("*") if one.is_file())
    assert used <= 2 * size + 2000
    full = PictureFolder(tmp_path / "files", Quota(files=2))
    assert full.use.to_dict()["files"] == 2  # pictures of an earlier run count
    assert post(app(full), 7, jpeg_of(9)).status == 507
    assert post(app(full), 9, jpeg_of(0)).status == 201  # moved, which needs no more room
    (tmp_path / "files" / pictures(tmp_path / "files")[0]).unlink()
    assert post(app(PictureFolder(tmp_path / "files", Quota(files=2))), 7, jpeg_of(9)).status == 201


@pytest.mark.parametrize("quota", [Quota(files=2), Quota(bytes=2 * len(jpeg_of(0)) + 1200)])
def test_pictures_that_people_take_out_make_room_at_once(tmp_path, quota):
    routes = app(PictureFolder(tmp_path, quota))
    assert [post(routes, 7, jpeg_of(seed)).status for seed in range(3)] == [201, 201, 507]
    for name in (*pictures(tmp_path), MANIFEST):
        (tmp_path / name).unlink()
    assert [post(routes, 7, jpeg_of(seed)).status for seed in (2, 3, 4)] == [201, 201, 507]


def test_a_picture_that_was_taken_out_is_kept_when_it_comes_again(tmp_path):
    folder = PictureFolder(tmp_path)
    routes = app(folder)
    post(routes, 7, jpeg_of(2))
    first = post(routes, 7, jpeg_of(1)).json["kept"]
    (tmp_path / first).unlink()
    again = post(routes, 7, jpeg_of(1))
    assert (again.status, again.json["again"]) == (201, False)
    assert (tmp_path / again.json["kept"]).read_bytes() == jpeg_of(1)
    assert folder.use.files == len(pictures(tmp_path)) == 2
    (tmp_path / again.json["kept"]).rename(tmp_path / "by hand.jpg")
    assert post(routes, 9, jpeg_of(1)).json["again"] is False
    assert folder.use.files == len(pictures(tmp_path)) == 2


def test_many_at_once_do_not_break_the_quota(tmp_path):
    folder = PictureFolder(tmp_path, Quota(files=10))
    told: list[str] = []

    def keep(start: int) -> None:
        for seed in range(start, start + 10):
            try:
                folder.keep(jpeg_of(seed % 30), ".jpg", "pear", {"label": 7})
            except QuotaError:
                told.append("full")

    threads = [threading.Thread(target=keep, args=(10 * n,)) for n in range(6)]  # each picture comes twice
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pictures(tmp_path)) == folder.use.files == 10
    assert told
    assert sorted(note["picture"] for note in notes(tmp_path)) == pictures(tmp_path)
    measured = sum(one.stat().st_size for one in tmp_path.rglob("*") if one.is_file())
    assert folder.use.bytes == measured


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("where", ["picture", "manifest"])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, monkeypatch, code, where):
    folder = PictureFolder(tmp_path)
    routes = app(folder)
    post(routes, 7, jpeg_of(1))
    before = folder.use

    def full(*arguments: object) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        if where == "picture":
            patched.setattr("edgevision.files.os.fsync", full)
        else:
            patched.setattr("edgevision.kiosk.service.picture_folder.os.write", full)
        answer = post(routes, 7, jpeg_of(2))
    assert (answer.status, answer.json["error"]) == (507, "the disk is full; free some space")
    assert folder.use == before
    assert len(pictures(tmp_path)) == len(notes(tmp_path)) == 1
    assert post(routes, 7, jpeg_of(2)).status == 201  # when there is room again


def test_a_manifest_line_is_whole_or_not_there(tmp_path, monkeypatch):
    folder = PictureFolder(tmp_path)
    real, calls = os.write, []

    def half(descriptor: int, data: memoryview) -> int:
        calls.append(len(data))
        if len(calls) == 1:
            return real(descriptor, data[:10])
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        patched.setattr("edgevision.kiosk.service.picture_folder.os.write", half)
        with pytest.raises(QuotaError):
            folder.keep(jpeg_of(1), ".jpg", "pear", {})
    assert (tmp_path / MANIFEST).read_bytes() == b""
    folder.keep(jpeg_of(1), ".jpg", "pear", {})
    assert len(notes(tmp_path)) == 1


def test_a_disk_that_fails_otherwise_tells_no_path(tmp_path, monkeypatch):
    def broken(*arguments: object) -> int:
        raise OSError(errno.EIO, "input/output error", str(tmp_path))

    monkeypatch.setattr("edgevision.files.os.fsync", broken)
    answer = post(app(PictureFolder(tmp_path)), 7, jpeg_of(1))
    assert answer.status == 500
    assert str(tmp_path) not in answer.json["error"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / "pear").mkdir()
    left = tmp_path / "pear" / f".edgevision-{'0' * 16}.tmp"
    left.write_bytes(b"half a picture")
    assert PictureFolder(tmp_path).use.files == 0
    assert not left.exists()


def test_a_folder_that_cannot_be_one(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="cannot use the folder"):
        PictureFolder(tmp_path / "file")
    with pytest.raises(InputError):
        Quota(files=0)


def test_links_are_not_followed_out_of_the_folder(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder = tmp_path / "feedback"
    folder.mkdir()
    (folder / "pear").symlink_to(elsewhere, target_is_directory=True)
    made = PictureFolder(folder)
    with pytest.raises(EdgeVisionError):
        made.keep(jpeg_of(1), ".jpg", "pear", {})
    assert not list(elsewhere.iterdir())


def test_however_many_come_few_are_decoded_at_once(tmp_path, monkeypatch):
    import asyncio

    from live_service import ask_here

    from edgevision.kiosk.service import feedback

    at_once, most, lock, real = [0], [0], threading.Lock(), feedback.read_image

    def counted(*arguments: object, **more: object):
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        try:
            threading.Event().wait(0.02)
            return real(*arguments, **more)  # type: ignore[arg-type]
        finally:
            with lock:
                at_once[0] -= 1

    monkeypatch.setattr(feedback, "read_image", counted)
    routes = app(PictureFolder(tmp_path))

    async def post_all() -> list[int]:
        got = await asyncio.gather(
            *(ask_here(routes, "POST", "/v1/feedback?label=7", jpeg_of(seed)) for seed in range(12))
        )
        return [one.status for one in got]

    assert asyncio.run(post_all()) == [201] * 12
    assert most[0] <= 2
