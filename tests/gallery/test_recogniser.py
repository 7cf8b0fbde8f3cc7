"""An embedder with a gallery, wherever a classifier may stand: pictures of plain colours, enrolled as products."""

from __future__ import annotations

import json
import pickle
import threading
import time

import numpy as np
import pytest
from colors import plain
from embedders import DIMENSION, vectors_of, write_colour_embedder
from spots import CELL, spot_picture, write_spot_finder

import edgevision as ev
from edgevision.cli.main import main
from edgevision.decode import encode_png
from edgevision.errors import EdgeVisionError, GalleryError, InputError
from edgevision.frames import Frame
from edgevision.gallery.gallery import open_gallery
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.recogniser import RecognisedProduct, load_with_gallery, recogniser
from edgevision.gallery.writer import GalleryWriter
from edgevision.reread import LOOK_S
from edgevision.tasks.results import Classification

pytestmark = pytest.mark.requires("onnx")

PRODUCTS = {7: ("tomato", (230, 20, 20)), 9: ("lime", (20, 220, 30)), 12: ("blueberry", (30, 30, 200))}


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_colour_embedder(tmp_path_factory.mktemp("embedder") / "embed.edge")


@pytest.fixture
def embedder(bundle):
    with ev.load(bundle) as model:
        yield model


def shades(rgb, count=4):
    return np.clip(np.asarray(rgb) + np.random.default_rng(rgb[0]).integers(-6, 7, (count, 3)), 0, 255)


def enrol(path, bundle_id, products=PRODUCTS):
    with GalleryWriter(path, bundle_id=bundle_id, dimension=DIMENSION) as gallery:
        for number, (name, rgb) in products.items():
            gallery.add_product(GalleryProduct(number, name, {"price": number / 10}))
            names = [f"{name}-{i}.jpg" for i in range(4)]
            sources = [f"{number:032x}{i:032x}" for i in range(4)]
            gallery.add_examples(number, vectors_of(shades(rgb)), sources, names)
    return path


@pytest.fixture
def shop(tmp_path, embedder):
    return enrol(tmp_path / "shop.evg", embedder.id)


@pytest.fixture
def model(embedder, shop):
    return recogniser(embedder, open_gallery(shop))


def test_pictures_are_answered_with_products(model):
    for number, (name, rgb) in PRODUCTS.items():
        answer = model.predict(plain(rgb))
        assert isinstance(answer, Classification)
        assert (answer.best.id, answer.best.name) == (number, name)
        assert answer.known
        assert [one.id for one in answer.top] == [match.product.id for match in answer.matches.top]
        assert [one.score for one in answer.top] == sorted((one.score for one in answer.top), reverse=True)
        best = answer.matches.best
        assert best.example.note.startswith(name)
        assert best.product.fields["price"] == number / 10
        assert best.similarity > 0.99
        assert answer.timing.decode_ms > 0


def test_what_is_no_product_is_not_known(model):
    yellow_of_no_product = model.predict(plain((240, 235, 10)))
    assert not yellow_of_no_product.known


def test_the_json_of_an_answer_says_by_which_example(model):
    data = model.predict(plain(PRODUCTS[9][1])).to_dict()
    assert data["top"][0]["id"] == 9
    assert data["matches"][0]["example"]["note"].startswith("lime")
    assert set(data) == {"top", "known", "timing", "frame", "matches"}


def test_it_describes_itself_as_a_classifier_of_the_products(model):
    assert {label.id: label.name for label in model.labels} == {number: name for number, (name, _) in PRODUCTS.items()}
    assert model.task.spec.kind == "classify"
    assert model.self_test().passed
    assert "3 labels" in repr(model)


def test_lists_and_regions_and_frames(model):
    from edgevision.preprocess import Region
    from edgevision.runtime.preparation import Item

    pictures = [plain(rgb) for _, rgb in PRODUCTS.values()] * 5
    assert [one.best.id for one in model.predict(pictures)] == list(PRODUCTS) * 5
    both = np.concatenate([plain(PRODUCTS[7][1]), plain(PRODUCTS[12][1])], axis=1)
    frame = Frame.from_array(both, camera="till", sequence=3)
    width = both.shape[1] // 2
    halves = [Item(frame, Region(0, 0, width, 30)), Item(frame, Region(width, 0, width, 30))]
    answers = model.predict_items(halves)
    assert [one.best.id for one in answers] == [7, 12]
    assert answers[0].frame.camera == "till"


def test_top_bounds_what_is_named(embedder, shop):
    assert len(recogniser(embedder, shop, top=2).predict(plain((230, 20, 20))).top) == 2


def test_both_have_one_engine_and_close_together(bundle, tmp_path):
    embedder = ev.load(bundle)
    model = recogniser(embedder, enrol(tmp_path / "shop.evg", embedder.id))
    assert embedder.predict(plain((1, 2, 3))).vector.shape == (DIMENSION,)  # it still embeds
    model.close()
    assert embedder.is_closed
    for closed in (model, embedder):
        with pytest.raises(EdgeVisionError, match="closed"):
            closed.predict(plain((1, 2, 3)))
    embedder.close()


def test_the_embedder_may_be_forgotten(bundle, tmp_path):
    embedder = ev.load(bundle)
    path = enrol(tmp_path / "shop.evg", embedder.id)
    with recogniser(embedder, path) as model:
        del embedder
        assert model.predict(plain(PRODUCTS[7][1])).best.id == 7


def test_a_pickled_one_knows_its_gallery(model):
    with pickle.loads(pickle.dumps(model)) as again:
        assert again.predict(plain(PRODUCTS[9][1])).best.id == 9
        assert len(again.labels) == 3


def test_a_pickled_one_follows_its_file(embedder, shop, monkeypatch):
    with pickle.loads(pickle.dumps(recogniser(embedder, shop))) as again:
        with_pear(shop, embedder.id)
        later(monkeypatch)
        again.predict(plain(PEAR))
        wait_for(lambda: len(again.labels) == 4)


def test_as_the_second_of_a_cascade(tmp_path, model):
    finder = write_spot_finder(tmp_path / "spots.edge")
    with ev.load(finder, then=model) as cascade:
        products = cascade.predict(spot_picture({(0, 0): PRODUCTS[7][1], (2, 4): PRODUCTS[9][1]}))
    found = {(round(p.detection.box[1] / CELL), round(p.detection.box[0] / CELL)): p.result.best.id for p in products}
    assert found == {(0, 0): 7, (2, 4): 9}
    assert all(isinstance(product.result, RecognisedProduct) for product in products)


def test_a_station_takes_it(model):
    from edgevision.kiosk.station.looks import Eyes

    eyes = Eyes(model)
    assert (eyes.finds_boxes, eyes.classes) == (False, 3)
    ((look,),) = eyes.look([Frame.from_array(plain(PRODUCTS[7][1]))])
    assert (look.predictions[0].id, look.known) == (7, True)


# ---- galleries that change ----

PEAR = (200, 230, 60)


def with_pear(path, bundle_id):
    with GalleryWriter(path, bundle_id=bundle_id, dimension=DIMENSION) as gallery:
        gallery.add_product(GalleryProduct(20, "pear"))
        gallery.add_examples(20, vectors_of(shades(PEAR)), [f"{20:032x}{i:032x}" for i in range(4)], ["pear.jpg"] * 4)


def test_another_gallery_serves_from_the_next_picture_on(embedder, model, shop):
    assert model.predict(plain(PEAR)).best.id != 20
    with_pear(shop, embedder.id)
    assert model.predict(plain(PEAR)).best.id != 20  # what open_gallery gave is a snapshot
    model.task.update(open_gallery(shop))
    answer = model.predict(plain(PEAR))
    assert (answer.best.id, answer.known, len(model.labels)) == (20, True, 4)


def later(monkeypatch):
    """The next look at the file is due."""
    now = time.monotonic
    monkeypatch.setattr("edgevision.gallery.followed.time.monotonic", lambda: now() + 2 * LOOK_S)


def wait_for(condition):
    until = time.monotonic() + 60
    while not condition() and time.monotonic() < until:
        time.sleep(0.005)
    assert condition()


def test_a_file_that_changed_is_taken_up(embedder, shop, monkeypatch):
    model = recogniser(embedder, shop)
    with_pear(shop, embedder.id)
    assert len(model.labels) == 3
    later(monkeypatch)
    model.predict(plain(PEAR))
    wait_for(lambda: len(model.labels) == 4)
    assert model.predict(plain(PEAR)).best.id == 20
    assert model.task.problem == ""


def test_a_file_that_cannot_serve_is_told_and_left(embedder, shop, monkeypatch):
    model = recogniser(embedder, shop)
    later(monkeypatch)
    shop.write_bytes(b"no gallery at all" * 100)
    model.predict(plain(PEAR))
    wait_for(lambda: model.task.problem)
    assert "the previous gallery stays in use" in model.task.problem
    assert model.predict(plain(PRODUCTS[7][1])).best.id == 7
    shop.unlink()
    later(monkeypatch)
    assert model.predict(plain(PRODUCTS[9][1])).best.id == 9


def emptied(path, bundle_id, *, keep_products=False):
    with GalleryWriter(path, bundle_id=bundle_id, dimension=DIMENSION) as gallery:
        for number in PRODUCTS:
            if keep_products:
                gallery.remove_examples(number, [f"{number:032x}{i:032x}" for i in range(4)])
            else:
                gallery.remove(number)


@pytest.mark.parametrize(("keep_products", "labels"), [(False, 0), (True, 3)])
def test_a_gallery_that_becomes_empty_knows_nothing_until_it_learns_again(
    embedder, shop, monkeypatch, keep_products, labels
):
    from edgevision.kiosk.station.looks import Eyes
    from edgevision.streams.live_view import describe
    from edgevision.tasks.draw import draw

    model = recogniser(embedder, shop)
    eyes = Eyes(model)
    assert eyes.classes == 3
    emptied(shop, embedder.id, keep_products=keep_products)
    later(monkeypatch)
    model.predict(plain(PEAR))
    wait_for(lambda: not model.task.gallery.examples)
    answer = model.predict(plain(PRODUCTS[7][1]))
    assert (answer.known, answer.top, answer.matches.top, len(model.labels)) == (False, (), (), labels)
    assert answer.to_dict()["matches"] == []
    with pytest.raises(InputError, match="no examples now; look at known first"):
        _ = answer.best
    assert describe(answer) == "unknown"
    assert draw(plain(PEAR), answer).size
    assert eyes.classes == max(1, labels)
    assert "has no examples" in model.task.problem
    with_pear(shop, embedder.id)
    later(monkeypatch)
    model.predict(plain(PEAR))
    wait_for(lambda: model.task.gallery.examples)
    assert (model.predict(plain(PEAR)).best.id, len(model.labels)) == (20, labels + 1)
    assert model.task.problem == ""


def test_an_empty_gallery_may_be_given_by_hand(embedder, model, shop):
    emptied(shop, embedder.id)
    model.task.update(open_gallery(shop))
    assert not model.predict(plain(PRODUCTS[7][1])).known


def test_threads_see_one_gallery_or_the_other(embedder, model, shop):
    before = model.task.gallery
    with_pear(shop, embedder.id)
    after = open_gallery(shop)
    wrong: list[object] = []
    stop = threading.Event()

    def ask():
        while not stop.is_set():
            answer = model.predict(plain(PEAR))
            if len(answer.top) != (4 if answer.best.id == 20 else 3):
                wrong.append(answer)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for gallery in (after, before) * 15:
        model.task.update(gallery)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong


# ---- refused ----


def test_a_gallery_of_another_bundle_is_refused_with_the_cure(tmp_path, embedder, model):
    foreign = enrol(tmp_path / "other.evg", "f" * 64)
    with pytest.raises(GalleryError, match="made for the bundle fff"):
        recogniser(embedder, foreign)
    with pytest.raises(GalleryError, match="made for the bundle fff"):
        recogniser(embedder, open_gallery(foreign))
    with pytest.raises(GalleryError, match="made for the bundle fff"):
        model.task.update(open_gallery(foreign))
    assert model.predict(plain(PRODUCTS[7][1])).best.id == 7


@pytest.fixture
def empty(tmp_path, embedder):
    """A gallery of one product without examples."""
    path = tmp_path / "empty.evg"
    with GalleryWriter(path, bundle_id=embedder.id, dimension=DIMENSION) as gallery:
        gallery.add_product(GalleryProduct(1, "nothing yet"))
    return path


@pytest.mark.parametrize("by_path", [True, False])
def test_a_gallery_without_examples_serves_from_the_start_and_says_so(embedder, empty, by_path, monkeypatch):
    """A program that starts anew while the shop empties its gallery comes up."""
    model = recogniser(embedder, empty if by_path else open_gallery(empty))
    assert not model.predict(plain(PRODUCTS[7][1])).known
    assert model.task.problem.startswith(f"{empty if by_path else 'the gallery'} has no examples")
    assert "gallery add" in model.task.problem
    if by_path:
        enrol(empty, embedder.id)
        later(monkeypatch)
        model.predict(plain(PEAR))
        wait_for(lambda: model.task.gallery.examples)
        assert model.predict(plain(PRODUCTS[7][1])).best.id == 7
    else:
        model.task.update(open_gallery(enrol(empty, embedder.id)))
    assert model.task.problem == ""


def test_a_file_that_is_no_gallery_is_refused_at_the_start(tmp_path, embedder):
    (tmp_path / "no.evg").write_bytes(b"no gallery at all" * 100)
    for name in ("no.evg", "none.evg"):
        with pytest.raises(GalleryError):
            recogniser(embedder, tmp_path / name)


def test_a_model_that_is_no_embedder_is_refused(color_bundle, model, shop):
    with ev.load(color_bundle()) as classifier, pytest.raises(InputError, match="needs an embedder"):
        recogniser(classifier, shop)
    with pytest.raises(InputError, match="needs an embedder"):
        recogniser(model, shop)


@pytest.mark.parametrize("top", [0, -1, 2.5, True, "5"])
def test_top_is_a_whole_number(embedder, shop, top):
    with pytest.raises(InputError, match="top is"):
        recogniser(embedder, shop, top=top)


# ---- loaded with a gallery ----


def test_the_last_model_gets_the_gallery(tmp_path, bundle, shop):
    with load_with_gallery(bundle, shop) as model:
        assert model.predict(plain(PRODUCTS[7][1])).best.id == 7
    finder = write_spot_finder(tmp_path / "spots.edge")
    with load_with_gallery(finder, shop, then=bundle, threshold=0.4) as cascade:
        (product,) = cascade.predict(spot_picture({(1, 1): PRODUCTS[12][1]}))
    assert product.result.best.name == "blueberry"
    with load_with_gallery(bundle) as embedder:
        assert embedder.task.spec.kind == "embed"


@pytest.mark.parametrize("then", [False, True])
def test_what_is_refused_leaves_no_model_open(tmp_path, bundle, then, monkeypatch):
    foreign = enrol(tmp_path / "other.evg", "f" * 64)
    closed: list[object] = []
    close = ev.Model.close
    monkeypatch.setattr(ev.Model, "close", lambda self, *given: (closed.append(self), close(self, *given)))
    with pytest.raises(GalleryError, match="made for the bundle"):
        load_with_gallery(
            write_spot_finder(tmp_path / "spots.edge") if then else bundle, foreign, then=bundle if then else None
        )
    assert len(closed) == 1


def test_the_command_line_names_products(tmp_path, bundle, shop, capsys):
    photo = tmp_path / "photo.png"
    photo.write_bytes(encode_png(plain(PRODUCTS[9][1])))
    assert main(["predict", str(bundle), "--gallery", str(shop), str(photo)]) == 0
    assert ": lime " in capsys.readouterr().out
    assert main(["predict", str(bundle), "--gallery", str(shop), str(photo), "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["matches"][0]["example"]["note"].startswith("lime")


@pytest.mark.parametrize("then", [False, True])
def test_the_command_line_says_where_the_gallery_has_no_examples(tmp_path, bundle, empty, then, capsys):
    photo = tmp_path / "photo.png"
    photo.write_bytes(encode_png(spot_picture({(1, 1): PRODUCTS[12][1]}) if then else plain(PRODUCTS[9][1])))
    models = [str(write_spot_finder(tmp_path / "spots.edge")), "--then", str(bundle)] if then else [str(bundle)]
    assert main(["predict", *models, "--gallery", str(empty), str(photo)]) == 0
    told = capsys.readouterr()
    assert "unknown (the gallery has no examples)" in told.out
    assert f"warning: {empty} has no examples" in told.err


def test_a_stream_takes_a_swap_with_its_gallery(bundle, shop):
    from edgevision.streams.served_model import ServedModel
    from edgevision.streams.swap import _loaded, _Wish

    with load_with_gallery(bundle, shop) as live:
        wish = _Wish(bundle, None, {"gallery": shop})
        new = _loaded(wish, ServedModel(live))
        assert new.predict_frames([Frame.from_array(plain(PRODUCTS[7][1]))])[0].best.id == 7
        new.model.close()
