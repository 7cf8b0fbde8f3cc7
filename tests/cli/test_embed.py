"""An embedder on the command line: vectors, similarities, products' vectors, figures."""

from __future__ import annotations

import numpy as np
import pytest
from color_embedder import vector_of, write_color_embedder

pytestmark = pytest.mark.requires("onnx")

COLORS = ((255, 10, 10), (250, 40, 10), (10, 10, 250))


@pytest.fixture
def embedder(tmp_path):
    return write_color_embedder(tmp_path / "colors.edge")


@pytest.fixture
def pictures(tmp_path):
    from edgevision.decode import encode_png

    paths = []
    for place, rgb in enumerate(COLORS):
        paths.append(tmp_path / f"{place}.png")
        paths[-1].write_bytes(encode_png(np.full((20, 30, 3), rgb[::-1], np.uint8)))
    return paths


def test_a_photo_gives_a_vector(edgevision, embedder, pictures):
    done = edgevision("predict", embedder, pictures[0])
    assert (done.status, done.err) == (0, "")
    assert done.out == f"{pictures[0]}: a vector of 16 numbers (0.998, 0.039, 0.039, …)\n"
    (told,) = edgevision("predict", embedder, pictures[0], "--json").json
    np.testing.assert_allclose(told["vector"], vector_of(COLORS[0]), atol=1e-6)


def test_several_photos_are_compared(edgevision, embedder, pictures):
    out = edgevision("predict", embedder, *pictures).out
    assert "Cosine similarity" in out
    expected = [float(vector_of(COLORS[0]) @ vector_of(rgb)) for rgb in COLORS]
    assert [f"{cosine:.3f}" for cosine in expected] == out.split("\n1 ")[1].split("\n")[0].split()[-3:]


def test_of_many_photos_each_is_shown_with_its_nearest(edgevision, embedder, photos):
    out = edgevision("predict", embedder, photos / "red").out
    assert "The most similar other photo" in out
    assert len(out.splitlines()) > 40  # 20 vectors, 20 neighbours


def test_a_picture_of_nothing_has_no_direction(edgevision, embedder, tmp_path):
    from edgevision.decode import encode_png

    (tmp_path / "black.png").write_bytes(encode_png(np.zeros((20, 30, 3), np.uint8)))
    done = edgevision("predict", embedder, tmp_path / "black.png")
    assert done.status == 1
    assert "vector 1 of 1 is zero" in done.err


def test_options_of_other_tasks_are_refused(edgevision, embedder, pictures, tmp_path):
    done = edgevision("predict", embedder, pictures[0], "--draw", tmp_path / "drawn")
    assert (done.status, "'embed'" in done.err) == (2, True)
    done = edgevision("predict", embedder, pictures[0], "--threshold", 0.5)
    assert done.status == 2
    assert "threshold" in done.err


def test_a_spoiled_bundle_is_refused(edgevision, tmp_path, pictures):
    done = edgevision("predict", write_color_embedder(tmp_path / "spoiled.edge", spoiled=True), pictures[0])
    assert done.status == 3
    assert "the vector is turned by" in done.err


def test_each_box_gets_a_vector(edgevision, embedder, tmp_path):
    import cv2
    from spots import spot_picture, write_spot_finder

    photo = tmp_path / "spots.png"
    cv2.imwrite(str(photo), spot_picture({(0, 1): (255, 10, 10), (2, 3): (10, 10, 250)}, 4))
    finder = write_spot_finder(tmp_path / "spots.edge")
    done = edgevision("predict", finder, photo, "--then", embedder, "--draw", tmp_path / "drawn")
    assert (done.status, done.err) == (0, "")
    assert "2 found" in done.out
    assert done.out.count("a vector of 16 numbers") == 2
    (told,) = edgevision("predict", finder, photo, "--then", embedder, "--json").json
    places = {round(product["detection"]["box"][0]): product["result"]["vector"] for product in told["products"]}
    np.testing.assert_allclose(places[32], vector_of((255, 10, 10)), atol=0.02)  # a margin of black lies around each
    np.testing.assert_allclose(places[96], vector_of((10, 10, 250)), atol=0.02)


def test_eval_says_how_often_the_product_is_found(edgevision, embedder, photos):
    done = edgevision("eval", embedder, "--data", photos, "--json")
    (model,) = done.json["models"]
    assert model["metrics"]["judged"] == 60
    assert model["metrics"]["recall1"] > 80  # of three colours
    text = edgevision("eval", embedder, "--data", photos, "--against", embedder).out
    for word in ("recall@1", "recall@5", "mean average precision", "AUROC right against wrong", "0 lost, 0 gained"):
        assert word in text


def test_eval_needs_two_photos_of_a_product(edgevision, embedder, tmp_path, photos):
    for name in ("red", "blue"):
        (tmp_path / "shop" / name).mkdir(parents=True)
        (tmp_path / "shop" / name / "1.png").write_bytes((photos / name / "1.png").read_bytes())
    done = edgevision("eval", embedder, "--data", tmp_path / "shop")
    assert done.status == 2
    assert "no product has two" in done.err


def test_inspect_names_the_task(edgevision, embedder):
    assert "embed, 0 labels" in edgevision("inspect", embedder).out
