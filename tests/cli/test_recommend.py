"""``edgevision recommend``: history, baskets, rules, and what is forgotten."""

from __future__ import annotations

import json
import sys

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
    assert edgevision(*bought, "--at", "2026-11-01T12:00Z").status == 0
    later = edgevision("recommend", "shop.evg", "--profile", "me.json", "--at", "2026-11-21T12:00Z", "--json")
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
        (("shop.evg", "--among", "none.json"), "none.json"),
        (("shop.evg", "--profile", "log.jsonl"), "log.jsonl is no profile"),
        (("--profile", "log.jsonl", "--forget"), "log.jsonl is no profile of edgevision; it was left alone"),
    ],
)
def test_what_cannot_be_done_is_said(edgevision, shop, arguments, message):
    before = sorted(one.name for one in shop.iterdir())
    done = edgevision("recommend", *arguments)
    assert done.status in (1, 2)
    assert message in done.err
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
