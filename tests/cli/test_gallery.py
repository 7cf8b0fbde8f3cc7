"""``edgevision gallery``: each verb, as text and as JSON, with an embedder that sees colours alone."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil

import pytest
from example_photos import ColourEmbedder, photo, write_products

from edgevision.cli import gallery_add
from edgevision.cli.gallery import VERBS
from edgevision.gallery.gallery import open_gallery
from edgevision.gallery.listing import products_in_folder
from edgevision.gallery.photos import embed_photos, vectors_of
from edgevision.gallery.placing import place_products
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.writer import GalleryWriter


@pytest.fixture(autouse=True)
def embedder(monkeypatch):
    """What ``--model`` gives: its id is of the name, without reading a file."""

    @contextlib.contextmanager
    def fake(arguments):
        yield ColourEmbedder(bundle_id=arguments.model.stem.encode().hex().ljust(64, "0"))

    monkeypatch.setattr(gallery_add, "embedder", fake)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a gallery of four products with three photos each, and the photos."""
    place = tmp_path_factory.mktemp("shop")
    embedder = ColourEmbedder(bundle_id=b"embed".hex().ljust(64, "0"))
    with GalleryWriter(place / "my shop.evg", bundle_id=embedder.id, dimension=512) as writer:
        for one in place_products(products_in_folder(write_products(place / "photos", 4, 3)), ()):
            photos = list(embed_photos(embedder, one.photos))
            writer.add_product(one.product)
            sources, notes = [photo.source for photo in photos], [photo.path.name for photo in photos]
            writer.add_examples(one.product.id, vectors_of(photos, 512), sources, notes)
    return place


@pytest.fixture
def shop(made, tmp_path):
    """A copy of that gallery, and of the photos' folder."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "my shop.evg", tmp_path / "photos"


def state(path):
    gallery = open_gallery(path)
    return {one.id: (one.name, len(gallery.examples_of(one.id))) for one in gallery.products}


def test_new(edgevision, tmp_path):
    path = tmp_path / "shop.evg"
    done = edgevision("gallery", "new", path, "--model", "embed.edge", "--json")
    assert (done.status, done.json["dimension"]) == (0, 512)
    assert state(path) == {}
    again = edgevision("gallery", "new", path, "--model", "embed.edge")
    assert (again.status, again.out) == (2, "")
    assert "is there already" in again.err


def test_add_a_folder_of_products(edgevision, shop, tmp_path):
    _, folder = shop
    path = tmp_path / "new.evg"
    done = edgevision("gallery", "add", path, "--model", "embed.edge", folder)
    assert (done.status, done.err) == (0, "")
    assert state(path) == {number + 1: (f"product {number}", 3) for number in range(4)}
    again = edgevision("gallery", "add", path, "--model", "embed.edge", folder, "--json")
    assert again.status == 0
    assert [one["examples"] for one in again.json["products"]] == [0] * 4
    assert state(path)[1] == ("product 0", 3)


def test_add_one_product(edgevision, shop, tmp_path):
    path, _ = shop
    fresh = write_products(tmp_path / "new", 1, 2, first=60)
    words = [
        "gallery",
        "add",
        path,
        "--model",
        "embed.edge",
        "--id",
        7,
        "--name",
        "Royal Gala",
        "--field",
        "price=1.29",
    ]
    done = edgevision(*words, fresh / "product 60" / "0.png", fresh / "product 60" / "1.png")
    assert (done.status, done.err) == (0, "")
    assert "Royal Gala (7): 2 new examples of 2 photos" in done.out
    assert state(path)[7] == ("Royal Gala", 2)
    assert open_gallery(path).find(7).fields == {"price": 1.29}
    more = tmp_path / "more.png"
    more.write_bytes(photo(60, 5))
    assert edgevision("gallery", "add", path, "--model", "embed.edge", "--id", 7, more).status == 0
    assert state(path)[7] == ("Royal Gala", 3)


def test_a_photo_of_another_product_is_left_out_and_taken_anyway(edgevision, shop):
    path, folder = shop
    near = folder / "near.png"
    near.write_bytes(photo(2, 9))
    words = ["gallery", "add", path, "--model", "embed.edge", "--name", "x", near]
    done = edgevision(*words, folder / "product 2" / "0.png")
    assert done.status == 0
    assert "near.png: left out, it looks like product 2 (3)" in done.out
    assert "0.png: left out, it is an example of product 2 (3) already" in done.out
    assert "--anyway" in done.out
    assert 5 not in state(path)
    assert edgevision(*words, "--anyway").status == 0
    assert state(path)[5] == ("x", 1)


def test_add_a_csv(edgevision, shop, tmp_path):
    path, _ = shop
    folder = write_products(tmp_path / "new", 2, 2, first=60)
    with (folder / "list.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["photo", "id", "name", "price"])
        for number in (60, 61):
            for seed in range(2):
                writer.writerow([f"product {number}/{seed}.png", number, f"new {number}", number / 10])
    done = edgevision("gallery", "add", path, "--model", "embed.edge", folder / "list.csv", "--json")
    assert done.status == 0
    assert {one["product"]["id"]: one["examples"] for one in done.json["products"]} == {60: 2, 61: 2}
    assert open_gallery(path).find(61).fields == {"price": 6.1}


def add(edgevision, path, *words):
    return edgevision("gallery", "add", path, "--model", "embed.edge", *words)


def test_photos_and_fields_go_to_no_product_of_another_name(edgevision, shop, tmp_path):
    path, _ = shop
    before = path.read_bytes()
    (tmp_path / "new" / "2 plum").mkdir(parents=True)
    plum = tmp_path / "new" / "2 plum" / "1.png"
    plum.write_bytes(photo(60, 1))
    (tmp_path / "new" / "list.csv").write_text("photo,id,name\n2 plum/1.png,2,plum\n")
    for words in ([tmp_path / "new"], [tmp_path / "new" / "list.csv"], ["--id", 2, "--name", "plum", plum]):
        done = add(edgevision, path, *words)
        assert done.status == 2
        assert "the product 2 is called 'product 1' in the gallery, and 'plum' here" in done.err
    assert path.read_bytes() == before


def test_a_csv_adds_fields_to_a_known_product(edgevision, shop, tmp_path):
    path, folder = shop
    table = folder / "list.csv"
    table.write_text(f"photo,name,price,sscc\nproduct 1/0.png,product 1,1.5,{'3' * 18}\n")
    done = add(edgevision, path, table)
    assert (done.status, done.err) == (0, "")
    assert "price is 1.5 now" in done.out
    assert open_gallery(path).find(2).fields == {"price": 1.5, "sscc": "3" * 18}
    assert add(edgevision, path, table, "--json").json["products"][0]["new_fields"] == []
    table.write_text("photo,name,price\nproduct 1/0.png,product 1,2\n")
    refused = add(edgevision, path, table)
    assert refused.status == 2
    assert "price of 'product 1' (2) is 1.5 in the gallery, and 2 here" in refused.err


def test_photos_that_cannot_be_read_do_not_stop_the_others(edgevision, shop, tmp_path):
    path, _ = shop
    folder = write_products(tmp_path / "new", 2, 2, first=60)
    (folder / "product 60" / "bad.png").write_bytes(b"no picture")
    (folder / "product 61" / "cut.png").write_bytes(photo(61, 7)[:200])
    done = add(edgevision, path, folder)
    assert done.status == 1
    assert "2 photos cannot be read" in done.err
    assert "bad.png" in done.err
    assert "cut.png" in done.err
    assert (state(path)[5], state(path)[6]) == (("product 60", 2), ("product 61", 2))
    told = add(edgevision, path, folder, "--json")
    assert told.status == 1
    assert [one["photo"].rpartition("/")[2] for one in told.json["unreadable"]] == ["bad.png", "cut.png"]
    asked = edgevision("gallery", "explain", path, "--model", "embed.edge", folder / "product 60")
    assert asked.status == 1
    assert "It is product 60" in asked.out
    assert "1 photo cannot be read" in asked.err


@pytest.mark.parametrize("verb", ["add", "explain"])
def test_nothing_is_made_of_photos_that_cannot_be_read(edgevision, shop, tmp_path, verb):
    path, _ = shop
    os.mkfifo(tmp_path / "pipe.png")
    path = tmp_path / "other.evg" if verb == "add" else path
    name = ["--name", "x"] if verb == "add" else []
    done = edgevision("gallery", verb, path, "--model", "embed.edge", *name, tmp_path / "pipe.png")
    assert done.status == 2
    assert "pipe.png: it is not a regular file" in done.err
    assert not (tmp_path / "other.evg").exists()


def test_a_photo_without_a_product(edgevision, shop):
    path, folder = shop
    done = add(edgevision, path, folder / "product 0" / "0.png")
    assert done.status == 2
    assert "is a photo" in done.err
    assert "--name" in done.err
    assert "--id" in done.err


def test_an_id_below_0_is_refused(edgevision, shop):
    path, folder = shop
    done = add(edgevision, path, "--id", -3, "--name", "x", folder / "product 0")
    assert done.status == 2
    assert "whole number, 0 or more" in done.err


def test_one_is_not_many(edgevision, tmp_path):
    (tmp_path / "one.png").write_bytes(photo(1, 1))
    path = tmp_path / "shop.evg"
    assert "x (1): 1 new example of 1 photo\n" in add(edgevision, path, "--name", "x", tmp_path / "one.png").out
    assert "1 product, 1 example, for" in edgevision("gallery", "list", path).out
    assert "1 product, 1 example, 1 finding" in edgevision("gallery", "audit", path).out
    assert "1 product, 1 example" in edgevision("gallery", "export", path, "-o", tmp_path / "a.csv").out
    assert "and its 1 example\n" in edgevision("gallery", "remove", path, "--id", 1).out


@pytest.mark.parametrize("is_there", [True, False])
def test_another_program_adds_meanwhile(edgevision, tmp_path, monkeypatch, is_there):
    """Its product is added while ours are embedded: none is lost, and no id is given twice."""
    path = tmp_path / "shop.evg"
    folder = write_products(tmp_path / "new", 2, 2, first=60)
    bundle = b"embed".hex().ljust(64, "0")
    if is_there:
        with GalleryWriter(path, bundle_id=bundle, dimension=512):
            pass

    class Slow(ColourEmbedder):
        def predict(self, x):
            with GalleryWriter(path, bundle_id=bundle, dimension=512) as writer:
                writer.add_product(GalleryProduct(1, "theirs"))
            return super().predict(x)

    @contextlib.contextmanager
    def slow(arguments):
        yield Slow(bundle_id=bundle)

    monkeypatch.setattr(gallery_add, "embedder", slow)
    done = add(edgevision, path, folder)
    assert (done.status, done.err) == (0, "")
    assert state(path) == {1: ("theirs", 0), 2: ("product 60", 2), 3: ("product 61", 2)}


def test_another_program_makes_the_gallery_meanwhile(edgevision, tmp_path, monkeypatch):
    """After ours began to write, and before it had its name."""
    path = tmp_path / "shop.evg"
    folder = write_products(tmp_path / "new", 1, 2, first=60)
    add_product = GalleryWriter.add_product

    def late(writer, product):
        monkeypatch.setattr(GalleryWriter, "add_product", add_product)
        with GalleryWriter(path, bundle_id=writer.bundle_id, dimension=512) as other:
            other.add_product(GalleryProduct(1, "theirs"))
        add_product(writer, product)

    monkeypatch.setattr(GalleryWriter, "add_product", late)
    done = add(edgevision, path, folder)
    assert (done.status, done.err) == (0, "")
    assert state(path) == {1: ("theirs", 0), 2: ("product 60", 2)}


def test_a_field_that_another_program_sets_meanwhile_stays(edgevision, shop, monkeypatch):
    path, _ = shop
    enter = GalleryWriter.__enter__

    def late(writer):
        """Another program is first."""
        monkeypatch.setattr(GalleryWriter, "__enter__", enter)
        with GalleryWriter(path, bundle_id=writer.bundle_id, dimension=512) as other:
            other.set_fields(2, {"kind": "pear"})
        return enter(writer)

    monkeypatch.setattr(GalleryWriter, "__enter__", late)
    assert edgevision("gallery", "set", path, "--id", 2, "--field", "price=2").status == 0
    assert open_gallery(path).find(2).fields == {"kind": "pear", "price": 2}


def test_remove_rename_set_merge(edgevision, shop):
    path, _ = shop
    assert "removed product 0 (1) and its 3 examples" in edgevision("gallery", "remove", path, "--id", 1).out
    example = open_gallery(path).examples_of(2)[1].source
    done = edgevision("gallery", "remove", path, "--id", 2, "--example", example[:6], "--json")
    assert (done.status, done.json["removed_examples"]) == (0, 1)
    assert edgevision("gallery", "rename", path, "--id", 2, "--name", "Pear").status == 0
    words = ["gallery", "set", path, "--id", 2, "--field"]
    assert edgevision(*words, "price=2", "--field", "kind=pear").status == 0
    assert edgevision(*words, "price=", "--json").json["fields"] == {"kind": "pear"}
    moved = open_gallery(path).examples_of(3)[0].source
    assert edgevision("gallery", "merge", path, "--id", 3, "--into", 2, "--example", moved[:8]).status == 0
    assert state(path) == {2: ("Pear", 3), 3: ("product 2", 2), 4: ("product 3", 3)}
    assert edgevision("gallery", "merge", path, "--id", 4, "--into", 2, "--json").json["into"] == 2
    assert state(path) == {2: ("Pear", 6), 3: ("product 2", 2)}


def test_list_show_audit(edgevision, shop):
    path, _ = shop
    assert "4 products, 12 examples" in edgevision("gallery", "list", path).out
    data = edgevision("gallery", "list", path, "--json").json
    assert [(one["id"], one["examples"]) for one in data["products"]] == [(1, 3), (2, 3), (3, 3), (4, 3)]
    assert edgevision("gallery", "--json", "list", path).json == data
    assert "0.png" in edgevision("gallery", "show", path, "--id", 2).out
    shown = edgevision("gallery", "show", path, "--id", 2, "--json").json
    assert [one["note"] for one in shown["examples"]] == ["0.png", "1.png", "2.png"]
    assert all(0.5 < one["nearest_own"] <= 1 for one in shown["examples"])
    assert edgevision("gallery", "audit", path).out.startswith("4 products, 12 examples, 0 findings")
    assert edgevision("gallery", "audit", path, "--json").json["findings"] == []


def test_explain(edgevision, shop, tmp_path):
    path, _ = shop
    query = tmp_path / "query.png"
    query.write_bytes(photo(2, 9))
    done = edgevision("gallery", "explain", path, "--model", "embed.edge", query)
    assert done.status == 0
    assert "It is product 2" in done.out
    (data,) = edgevision("gallery", "explain", path, "--model", "embed.edge", query, "--json").json
    assert data["best"]["product"]["id"] == 3
    assert data["gap"] == pytest.approx(data["best"]["similarity"] - data["second"]["similarity"])


def test_export(edgevision, shop, tmp_path):
    path, _ = shop
    done = edgevision("gallery", "export", path, "-o", tmp_path / "a.csv", "--json")
    assert done.json["examples"] == 12
    assert len((tmp_path / "a.csv").read_text("utf-8-sig").splitlines()) == 13


def test_another_bundle_is_refused_and_the_cure_works(edgevision, shop, tmp_path):
    path, folder = shop
    refused = edgevision("gallery", "explain", path, "--model", "other.edge", folder)
    assert (refused.status, refused.out) == (2, "")
    assert "edgevision gallery reembed" in refused.err
    words = ["gallery", "reembed", path, "--model", "other.edge", "-o", tmp_path / "new.evg"]
    assert edgevision(*words, folder, "--json").json == {
        "gallery": str(tmp_path / "new.evg"), "products": 4, "examples": 12, "missing": [],
    }  # fmt: skip
    assert edgevision("gallery", "explain", tmp_path / "new.evg", "--model", "other.edge", folder).status == 0


def test_reembed_without_all_pictures(edgevision, shop, tmp_path):
    path, folder = shop
    (folder / "product 1" / "0.png").unlink()
    words = ["gallery", "reembed", path, "--model", "other.edge", "-o", tmp_path / "new.evg", folder]
    refused = edgevision(*words)
    assert refused.status == 2
    assert "the pictures of 1 of 12 examples" in refused.err
    assert not (tmp_path / "new.evg").exists()
    done = edgevision(*words, "--skip-missing")
    assert "0.png of the product 2" in done.out
    assert state(tmp_path / "new.evg")[2] == ("product 1", 2)


@pytest.mark.parametrize(
    "words",
    [
        ["gallery"],
        ["gallery", "cook"],
        ["gallery", "remove", "{path}"],
        ["gallery", "remove", "{path}", "--id", 99],
        ["gallery", "remove", "{path}", "--id", 1, "--example", "zz"],
        ["gallery", "remove", "{path}", "--id", 1, "--example", "zzzz"],
        ["gallery", "rename", "{path}", "--id", 1, "--name", " "],
        ["gallery", "set", "{path}", "--id", 1],
        ["gallery", "set", "{path}", "--id", 1, "--field", "price"],
        ["gallery", "merge", "{path}", "--id", 1, "--into", 1],
        ["gallery", "list", "{path}.gone"],
        ["gallery", "list", "{folder}"],
        ["gallery", "add", "{path}", "--model", "embed.edge", "--id", 99, "{folder}"],
        ["gallery", "add", "{path}", "--model", "embed.edge", "--id", 1, "--name", "other", "{folder}"],
        ["gallery", "add", "{path}", "--model", "embed.edge", "--id", 1, "--field", "a=1", "{folder}"],
        ["gallery", "add", "{path}", "--model", "embed.edge", "--field", "a=1", "{folder}"],
        ["gallery", "add", "{path}", "--model", "embed.edge", "{folder}", "{folder}"],
        ["gallery", "add", "{path}", "--model", "embed.edge", "{folder}/gone"],
        ["gallery", "add", "{path}", "--model", "embed.edge", "--id", 1, "{folder}/gone.png"],
        ["gallery", "add", "{path}", "--model", "other.edge", "--id", 1, "{folder}"],
        ["gallery", "export", "{path}", "-o", "{folder}"],
    ],
)
def test_wrong_usage_changes_nothing(edgevision, shop, words):
    path, folder = shop
    before = path.read_bytes()
    done = edgevision(*(str(word).format(path=path, folder=folder) for word in words))
    assert done.status == 2
    assert done.err.splitlines()[-1].startswith("edgevision")
    assert "Traceback" not in done.err
    assert path.read_bytes() == before


def test_every_verb_has_help(edgevision):
    for verb in VERBS:
        done = edgevision("gallery", verb, "--help")
        assert done.status == 0
        assert "--json" in done.out
