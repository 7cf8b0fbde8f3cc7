"""``edgevision gallery`` with a real bundle that embeds, and with one that does not."""

from __future__ import annotations

import numpy as np
import pytest
from color_embedder import vector_of, write_color_embedder

from edgevision.decode import encode_png
from edgevision.gallery.gallery import open_gallery

pytestmark = pytest.mark.requires("onnx")

COLOURS = {"7 red": (250, 10, 10), "8 green": (10, 240, 20), "9 blue": (5, 10, 250)}


def checked(rgb, seed):
    """Squares in a colour, lighter and darker: the mean has the colour's direction."""
    shades = np.random.default_rng(seed).uniform(0.3, 1.0, (8, 8, 1))
    picture = np.kron(shades * np.array(rgb[::-1]), np.ones((4, 4, 1)))
    return encode_png(picture.round().astype(np.uint8))


@pytest.fixture
def shop(tmp_path):
    for name, rgb in COLOURS.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        for seed in range(3):
            (tmp_path / "photos" / name / f"{seed}.png").write_bytes(checked(rgb, seed))
    return write_color_embedder(tmp_path / "colors.edge"), tmp_path / "photos", tmp_path / "shop.evg"


def test_from_photos_to_an_answer(edgevision, shop, tmp_path):
    model, photos, path = shop
    assert edgevision("gallery", "new", path, "--model", model, "--json").json["dimension"] == 16
    assert edgevision("gallery", "add", path, "--model", model, photos, "--threads", 1).status == 0
    gallery = open_gallery(path)
    assert [(one.id, one.name) for one in gallery.products] == [(7, "red"), (8, "green"), (9, "blue")]
    for example, vector in zip(gallery.examples, gallery.vectors, strict=True):
        rgb = COLOURS[f"{example.product} {gallery.find(example.product).name}"]
        np.testing.assert_allclose(vector, vector_of(rgb), atol=0.02)
    query = tmp_path / "query.png"
    query.write_bytes(checked((20, 250, 20), 9))
    (answer,) = edgevision("gallery", "explain", path, "--model", model, query, "--json").json
    assert (answer["known"], answer["best"]["product"]["id"]) == (True, 8)


@pytest.mark.parametrize("verb", [["new"], ["add", "--id", "1", "--name", "x"]])
def test_a_classifier_makes_no_gallery(edgevision, shop, color_bundle, verb):
    _, photos, path = shop
    words = ["gallery", verb[0], path, "--model", color_bundle(), *verb[1:]]
    done = edgevision(*words, *([photos] if verb[0] == "add" else []))
    assert done.status == 2
    assert "this one can classify" in done.err
    assert "compile model.pt --task embed" in done.err
    assert not path.exists()
