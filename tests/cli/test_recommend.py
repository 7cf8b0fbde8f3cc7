"""``edgevision recommend``: history, baskets, rules, and what is forgotten."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading

import numpy as np
import pytest

from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.writer import GalleryWriter

NAMES = ("Penne", "Fusilli", "Pesto", "Soap", "Shampoo")


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder with a gallery and a log of what was bought."""
    vectors = np.array([[9, 1, 0], [8, 2, 0], [5, 9, 0], [0, 0, 9], [0, 1, 8]], np.float32)
    # A dimension that embedders have.
    vectors = np.pad(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), ((0, 0), (0, 13)))
    with GalleryWriter(tmp_path / "shop.evg", bundle_id="b" * 64, dimension=16) as writer:
        for place, name in enumerate(NAMES):
            writer.add_product(GalleryProduct(place, name, {"price": 1.0 + place}))
            writer.add_examples(place, vectors[place : place + 1], [f"{place:064x}"], ["photo"])
    lines = [{"items": [0, 2]}] * 6 + [{"items": [3, 4]}] * 6 + [{"items": [1]}] * 9
    (tmp_path / "log.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def suggested(done):
    assert done.status == 0, done.err
    return [one["product"]["name"] for one in done.json["suggestions"]]


def test_a_shopper_s_way_through_it(edgevision, shop):
    """Nothing known, then a purchase, then rules; then shown, taken along and forgotten."""
    common = ("recommend", "shop.evg", "--baskets", "log.jsonl", "--profile", "me.json", "--variety", "0")
    found = edgevision(*common, "--json")
    assert suggested(found)[0] == "Fusilli"
    assert found.json["history_baskets"] == 0
    for _ in range(4):
        done = edgevision("recommend", "shop.evg", "--profile", "me.json", "--bought", "3", "--half-life", "30d")
        assert (done.status, done.out) == (0, "added to me.json\n")
    found = edgevision(*common, "--json")
    assert suggested(found)[0] == "Soap"
    assert found.json["history_baskets"] == pytest.approx(4, abs=0.01)
    best = found.json["suggestions"][0]
    assert sum(reason["share"] for reason in best["reasons"]) == pytest.approx(1, abs=0.02)
    assert "Soap" not in suggested(edgevision(*common, "--basket", "3", "--json"))
    assert suggested(edgevision(*common, "--max-price", "2.5", "--never", "1", "--json")) == ["Penne"]

    text = edgevision(*common, "--basket", "0")
    assert text.status == 0
    assert "others buy it together with Penne, in your basket" in text.out
    assert " % " in text.out

    shown = edgevision("recommend", "--profile", "me.json", "--show", "--json")
    assert shown.json == json.loads((shop / "me.json").read_text())
    assert set(shown.json["products"]) == {"3"}
    assert "half-life 30 days" in edgevision("recommend", "--profile", "me.json", "--show").out
    assert edgevision("recommend", "--profile", "me.json", "--export", "taken.json").status == 0
    assert (shop / "taken.json").read_bytes() == (shop / "me.json").read_bytes()
    assert edgevision("recommend", "--profile", "me.json", "--forget", "--json").json["forgotten"] is True
    assert edgevision("recommend", "--profile", "me.json", "--forget").out == "there was nothing to forget at me.json\n"
    assert sorted(one.name for one in shop.iterdir() if one.is_file()) == ["log.jsonl", "shop.evg", "taken.json"]


def test_counts_of_a_shop_can_be_kept(edgevision, shop):
    done = edgevision("recommend", "--baskets", "log.jsonl", "--save-baskets", "shop.json")
    assert done.out == "wrote shop.json: 5 products of 21 baskets, each bought by 5 shoppers or more\n"
    by_log, by_counts = (
        edgevision("recommend", "shop.evg", "--baskets", name, "--basket", "0", "--json")
        for name in ("log.jsonl", "shop.json")
    )
    assert suggested(by_log) == suggested(by_counts)
    assert suggested(by_log)[0] == "Pesto"


def test_what_a_search_found_is_ranked(edgevision, shop, monkeypatch):
    import io

    answer = {"known": True, "top": [{"product": {"id": place}, "score": 0.5} for place in (3, 1)]}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(answer)))
    found = edgevision("recommend", "shop.evg", "--baskets", "log.jsonl", "--among", "-", "--json")
    assert suggested(found) == ["Fusilli", "Soap"]
    assert sum(one["score"] for one in found.json["suggestions"]) == pytest.approx(1)


def test_time_fades_what_was_bought(edgevision, shop):
    bought = ("recommend", "shop.evg", "--profile", "me.json", "--half-life", "10d", "--bought", "3")
    assert edgevision(*bought, "--at", "2025-11-01T12:00Z").status == 0
    later = edgevision("recommend", "shop.evg", "--profile", "me.json", "--at", "2025-11-21T12:00Z", "--json")
    assert later.json["history_baskets"] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give the gallery"),
        (("--forget",), "--forget needs the profile"),
        (("--show", "--profile", "me.json"), "no profile at me.json; --bought begins one"),
        (("--save-baskets", "x.json"), "--save-baskets needs what to count"),
        (("shop.evg", "--bought", "99", "--profile", "me.json"), "no product 99"),
        (("shop.evg", "--bought", "1"), "--bought needs the profile"),
        (("shop.evg", "--basket", "apple"), "expected ids with commas"),
        (("shop.evg", "--half-life", "soon"), "expected a time such as 60d"),
        (("shop.evg", "--at", "noon"), "--at is a time such as"),
        (("shop.evg", "--top", "0"), "top is 1 or more"),
        (("shop.evg", "--variety", "2"), "variety is 0 to 1"),
        (("shop.evg", "--baskets", "none.csv"), "cannot read the log none.csv"),
        (("shop.evg", "--baskets", "log.jsonl", "--floor", "0"), "the floor is a number of shoppers"),
        (("shop.evg", "--among", "none.json"), "cannot read the candidates none.json: No such file"),
        (("shop.evg", "--basket", "999"), "the gallery has no product 999"),
        (("shop.evg", "--max-price", "nan"), "a highest price is a finite number, got nan"),
        (
            ("shop.evg", "--profile", "me.json", "--bought", "1", "--at", "2300-01-01"),
            "an event of 2300-01-01 has not happened yet",
        ),
        (("--profile", "log.jsonl", "--show", "--forget"), "--forget and --show are done one at a time"),
        (
            ("shop.evg", "--profile", "me.json", "--bought", "1", "--export", "x.json"),
            "--export and --bought are done one at a time",
        ),
        (("shop.evg", "--profile", "log.jsonl"), "log.jsonl is no profile"),
        (("--profile", "log.jsonl", "--forget"), "log.jsonl is no profile of edgevision; it was left alone"),
    ],
)
def test_what_cannot_be_done_is_said(edgevision, shop, arguments, message):
    before = sorted(one.name for one in shop.iterdir())
    done = edgevision("recommend", *arguments)
    assert done.status == 2
    assert message in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert sorted(one.name for one in shop.iterdir() if one.name != "cache") == [
        one for one in before if one != "cache"
    ]


def test_a_profile_of_another_bundle_is_refused(edgevision, shop):
    assert edgevision("recommend", "shop.evg", "--profile", "me.json", "--bought", "1").status == 0
    known = json.loads((shop / "me.json").read_text())
    (shop / "me.json").write_text(json.dumps({**known, "bundle_id": "c" * 64}, indent=1))
    for words in ((), ("--bought", "1")):
        done = edgevision("recommend", "shop.evg", "--profile", "me.json", *words)
        assert done.status == 2
        assert "belongs to another bundle (cccccccccccc, this is bbbbbbbbbbbb)" in done.err


def bought_in_the_future(edgevision, folder):
    """A profile as a clock of the year 2300 left it."""
    assert edgevision("recommend", "shop.evg", "--profile", "me.json", "--bought", "1").status == 0
    known = json.loads((folder / "me.json").read_text())
    (folder / "me.json").write_text(json.dumps({**known, "time_s": 10_413_792_000.0}, indent=1))


@pytest.mark.parametrize("words", [(), ("--bought", "1"), ("--export", "taken.json")])
def test_a_profile_of_a_wrong_clock_says_so_and_how_it_is_mended(edgevision, shop, words):
    bought_in_the_future(edgevision, shop)
    before = (shop / "me.json").read_bytes()
    done = edgevision("recommend", "shop.evg", "--profile", "me.json", *words)
    assert done.status == 2
    assert "me.json ends on 2300-01-01, and this device's clock says" in done.err
    assert "(--forget)" in done.err
    assert (shop / "me.json").read_bytes() == before
    assert not (shop / "taken.json").exists()


def test_a_profile_of_a_wrong_clock_can_be_looked_at_and_forgotten(edgevision, shop):
    bought_in_the_future(edgevision, shop)
    shown = edgevision("recommend", "--profile", "me.json", "--show")
    assert shown.status == 0
    assert "ends on 2300-01-01" in " ".join(shown.out.split())
    assert edgevision("recommend", "--profile", "me.json", "--forget").status == 0
    assert not (shop / "me.json").exists()


def test_where_nothing_is_known_it_says_so(edgevision, shop):
    done = edgevision("recommend", "shop.evg")
    assert "many here buy it" not in done.out
    assert "nothing is known yet of the shopper and of the shop: give --profile, --baskets or both" in done.out
    found = edgevision("recommend", "shop.evg", "--json").json
    assert (found["history_baskets"], found["shop_baskets"]) == (0, 0)
    assert {one["reasons"][0]["words"] for one in found["suggestions"]} == {"nothing is known yet of what sells here"}
    known = edgevision("recommend", "shop.evg", "--baskets", "log.jsonl")
    assert "many here buy it" in known.out
    assert "nothing is known" not in known.out


@pytest.mark.parametrize("target", ["shop.evg", "log.jsonl", "counts.json", "me.json", "link", "notes.txt"])
@pytest.mark.parametrize("act", ["--save-baskets", "--export"])
def test_nothing_of_another_kind_and_nothing_that_is_read_is_overwritten(edgevision, shop, act, target):
    """Each target but the act's own kind; ``--export`` would write the profile that it reads, ``--save-baskets`` the counts."""
    assert edgevision("recommend", "shop.evg", "--profile", "me.json", "--bought", "3").status == 0
    assert edgevision("recommend", "--baskets", "log.jsonl", "--save-baskets", "counts.json").status == 0
    (shop / "link").symlink_to("shop.evg")
    (shop / "notes.txt").write_text("precious")
    before = (shop / target).read_bytes()
    done = edgevision("recommend", "shop.evg", "--profile", "me.json", "--baskets", "counts.json", act, target)
    assert done.status == 2
    assert f"cannot write {target}: " in done.err
    assert (shop / target).read_bytes() == before


def test_the_gallery_is_not_overwritten_where_it_is_not_an_input(edgevision, shop):
    before = (shop / "shop.evg").read_bytes()
    assert edgevision("recommend", "--baskets", "log.jsonl", "--save-baskets", "shop.evg").status == 2
    assert (shop / "shop.evg").read_bytes() == before


def test_files_of_their_own_kind_are_written_anew(edgevision, shop):
    assert edgevision("recommend", "shop.evg", "--profile", "me.json", "--bought", "3").status == 0
    (shop / "counts.json").touch()
    for _ in range(2):
        assert edgevision("recommend", "--baskets", "log.jsonl", "--save-baskets", "counts.json").status == 0
        assert edgevision("recommend", "--profile", "me.json", "--export", "taken.json").status == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("option", ["--baskets", "--among"])
def test_a_named_pipe_is_not_waited_for(edgevision, shop, option):
    os.mkfifo(shop / "pipe")
    held = os.open(shop / "pipe", os.O_RDWR)  # whoever reads it waits, until the timer ends that
    closing = threading.Timer(2.0, os.close, [held])
    closing.start()
    try:
        done = edgevision("recommend", "shop.evg", option, "pipe")
    finally:
        closing.cancel()
        closing.join()
        with contextlib.suppress(OSError):
            os.close(held)
    assert done.status == 2
    assert "pipe: it is not a regular file" in done.err
