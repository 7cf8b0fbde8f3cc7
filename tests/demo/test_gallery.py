"""The third part of the demo: what is learnt, what is found, and what is counted of it."""

from __future__ import annotations

import io
import json
import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from embedders import write_colour_embedder
from rich.console import Console

import edgevision as ev
from edgevision.cli.main import main
from edgevision.demo import gallery as gallery_module
from edgevision.demo.gallery import SEARCHED, chosen_products, learn_and_find, run_gallery
from edgevision.demo.gallery_sheet import Pair, sheet
from edgevision.demo.gallery_tally import GalleryTally
from edgevision.demo.unseen import ENROLLED, unseen_products
from edgevision.errors import InputError
from edgevision.gallery.gallery import open_gallery
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.view_choice import Verdict
from edgevision.gallery.writer import GalleryWriter


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_colour_embedder(tmp_path_factory.mktemp("embedder") / "embed.edge")


def coloured(product, view):
    """A sharp picture in a colour of the product's own, which each view changes a little."""
    rng = np.random.default_rng((product.id, view))
    color = np.random.default_rng(product.id).integers(30, 226, 3) + rng.integers(-8, 9, 3)
    return np.clip(color + rng.integers(-25, 26, (48, 48, 3)), 0, 255).astype(np.uint8)


def of_an_earlier_demo(path):
    """Of another bundle."""
    with GalleryWriter(path, bundle_id="e" * 64, dimension=4) as writer:
        writer.add_product(unseen_products()[150].to_gallery())
    return path


def of_a_shop(path):
    of_an_earlier_demo(path)
    with GalleryWriter(path, bundle_id="e" * 64, dimension=4) as writer:
        writer.add_product(GalleryProduct(7, "an apple"))


@pytest.mark.parametrize(
    "make", [Path.mkdir, of_a_shop, lambda path: path.write_bytes(b"notes"), lambda path: path.symlink_to("none")]
)
def test_what_is_of_no_demo_is_refused_before_anything_is_compiled_and_stays(tmp_path, monkeypatch, make):
    monkeypatch.setattr(gallery_module, "compile_checkpoint", lambda *given, **named: pytest.fail("it was compiled"))
    path = tmp_path / "unseen.evg"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(InputError, match="not of an earlier demo"):
        run_gallery(Console(file=io.StringIO()), folder=tmp_path)
    assert (path.read_bytes() if path.is_file() else None) == before
    assert path.is_dir() or path.is_symlink() or before


@pytest.mark.parametrize("seed", [0, 7])
def test_whole_brands_are_learnt_and_strangers_are_of_others(seed):
    learnt, strangers = chosen_products(seed)
    assert (len(learnt), len(strangers)) == (40, 10)
    brands = [{one.design.brand for one in part} for part in (learnt, strangers)]
    assert len(brands[0]) == 10  # four products each
    assert not brands[0] & brands[1]
    assert (learnt, strangers) == chosen_products(seed) != chosen_products(seed + 1)


@pytest.mark.requires("onnx")
def test_what_is_learnt_is_found_and_counted(tmp_path, bundle):
    learnt, strangers = unseen_products()[:160:16], unseen_products()[8:160:40]
    console = Console(file=io.StringIO(), width=120)
    path = of_an_earlier_demo(tmp_path / "unseen.evg")
    with ev.load(bundle, threads=1) as model:
        tally, picture = learn_and_find(console, model, path, learnt, strangers, render=coloured)
        gallery = open_gallery(tmp_path / "unseen.evg", bundle_id=model.id)
    assert [one.to_dict() for one in gallery.products] == [one.to_gallery().to_dict() for one in learnt]
    assert sum(tally.shown.values()) == ENROLLED * len(learnt)
    assert tally.shown[Verdict.TAKEN] == len(gallery.examples) >= len(learnt)
    assert (tally.photos, tally.strangers) == (SEARCHED * len(learnt), SEARCHED * len(strangers))
    assert tally.right > 0.8 * tally.photos  # the colours are far apart
    assert tally.known + tally.mistaken <= tally.photos
    assert len(tally.learn_ms) == len(learnt)
    assert len(tally.find_ms) == tally.photos + tally.strangers
    assert console.file.getvalue().count("learnt 10 products") == 1
    assert cv2.imread(str(picture)).shape[1] == 4 * 320


@pytest.mark.requires("onnx")
def test_on_a_terminal_it_is_watched_and_told_once(tmp_path, bundle):
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=76, height=22)
    with ev.load(bundle, threads=1) as model:
        learn_and_find(
            console, model, tmp_path / "unseen.evg", unseen_products()[:2], unseen_products()[4:5], render=coloured
        )
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue())
    for words in ("products that no network saw", "the gallery says", "(not learnt)", "learnt 2 products"):
        assert words in text


@pytest.mark.requires("onnx")
def test_the_part_runs_without_a_terminal(tmp_path, bundle, monkeypatch):
    asked = []

    def compiled(*given, **named):
        asked.append(named)
        return SimpleNamespace(path=bundle, report=SimpleNamespace(why="It is small.", verdict_line=lambda: "proven"))

    monkeypatch.setattr(gallery_module, "compile_checkpoint", compiled)
    monkeypatch.setattr(gallery_module, "chosen_products", lambda seed: (unseen_products()[:2], unseen_products()[4:5]))
    monkeypatch.setattr(gallery_module, "learn_and_find", partial(learn_and_find, render=coloured))
    console = Console(file=io.StringIO(), width=120)
    found = run_gallery(console, threads=1, folder=tmp_path)
    assert asked == [{"task": "embed", "quick": True}]
    text = console.file.getvalue()
    assert "\x1b" not in text
    for part in ("2 products that the network never saw", "false accepts", "edgevision gallery list", "proven"):
        assert part in text
    data = json.loads(json.dumps(found.to_dict()))
    assert data["unseen"]["photos"] == 2 * SEARCHED
    assert data["unseen"]["strangers"]["photos"] == SEARCHED
    assert open_gallery(data["gallery"]).examples


@pytest.mark.requires("torch", "onnx")
@pytest.mark.parametrize("part", ["till", "belt", "gallery"])
def test_the_command_runs_the_part_that_is_asked_for(tmp_path, monkeypatch, capsys, part):
    given = {}

    def run(console, **named):
        given.update(named)
        return SimpleNamespace(to_dict=lambda: {"ran": part})

    monkeypatch.setattr(f"edgevision.demo.{part}.run_{part}", run)
    assert main(["demo", "--part", part, "--seed", "3", "-o", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {part: {"ran": part}}
    assert (given["seed"], given["folder"], given["threads"]) == (3, tmp_path, None)


@pytest.mark.requires("torch", "onnx")
@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--part", "gallery", "--frames", "5"], "till"),
        (["--part", "belt", "--frames", "240"], "till"),
        (["--part", "till", "--seconds", "5"], "belt"),
        (["--kiosk", "--seconds", "5"], "belt"),
    ],
)
def test_an_option_of_a_part_that_does_not_run_is_refused(tmp_path, capsys, words, part):
    assert main(["demo", *words, "-o", str(tmp_path)]) == 2
    assert f"is for the {part}" in capsys.readouterr().err


def answer(known):
    return SimpleNamespace(known=known)


def test_answers_are_counted_against_the_truth():
    one, brother, *_, other = unseen_products()  # the first two are of one brand
    tally = GalleryTally()
    for best, known in ((one, True), (one, False), (brother, True), (other, True), (other, False)):
        tally.add_found(one, answer(known), best)
    tally.add_found(other, answer(True), other)
    for known in (True, False, False):
        tally.add_stranger(answer(known))
    assert (tally.photos, tally.right, tally.brand, tally.known, tally.mistaken) == (6, 3, 4, 2, 2)
    assert (tally.strangers, tally.accepted) == (3, 1)
    low, high = tally.right_interval
    assert 0 <= low < 50 < high <= 100  # 2 of 5, and 1 of 1: two products tell little
    assert tally.to_dict()["right_percent"] == 50.0


def test_the_interval_of_what_is_always_right_says_that_products_are_few():
    tally = GalleryTally(hits={number: [True] * 3 for number in range(40)})
    low, high = tally.right_interval
    assert (round(low), high) == (91, 100.0)  # 1 - 0.025^(1/40): of products, not of photos


def test_the_sheet_says_what_is_right_wrong_and_unknown():
    photo = np.zeros((40, 60, 3), np.uint8)
    pairs = [
        Pair(photo, photo, "milk", 0.9, right, known) for right, known in ((True, True), (False, True), (True, False))
    ]
    drawn = sheet(pairs + pairs[:2])
    assert drawn.shape == (2 * (160 + 34), 4 * 320, 3)
    colors = [drawn[160:194, 320 * place : 320 * (place + 1)].reshape(-1, 3).astype(int) for place in range(3)]
    darkest = [strip[strip.sum(axis=1).argmin()] for strip in colors]
    assert darkest[0].argmax() == 1  # green, of B, G, R
    assert darkest[1].argmax() == 2
    assert np.ptp(darkest[2]) < 20
