"""The served gallery: whoever changes the file, the service takes it up; a file that cannot be used changes nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from galleries import BUNDLE, DIMENSION, OTHER_BUNDLE, directions, make_gallery, source

from edgevision.errors import GalleryError, InputError
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.writer import GalleryWriter
from edgevision.kiosk.service.answers import RefusedError
from edgevision.kiosk.service.gallery.shop_gallery import GalleryUse, ShopGallery


@pytest.fixture
def path(tmp_path):
    make_gallery(tmp_path / "shop.evg", 3)
    return tmp_path / "shop.evg"


def add(path, id: int) -> None:
    with GalleryWriter(path, bundle_id=BUNDLE, dimension=DIMENSION) as writer:
        writer.add_product(GalleryProduct(id, f"new {id}"))
        writer.add_examples(id, directions(1, seed=id), [source(id)])


def test_what_another_program_adds_is_taken_up_at_the_next_look(path):
    shop, told = ShopGallery(path, BUNDLE, DIMENSION), []
    shop.when_changed(lambda: told.append(shop.use))
    before = shop.now
    for id in range(100, 110):  # within one tick of the clock, some of them
        add(path, id)
        shop.look()
        assert shop.now.gallery.match(directions(1, seed=id))[0].best.product.id == id
    assert len(told) == 10
    assert told[-1] == GalleryUse(13, 19)
    assert len(before.gallery.products) == 3  # whoever asks still has what it began with


def test_a_file_that_is_not_there_is_made_empty(tmp_path):
    shop = ShopGallery(tmp_path / "new.evg", BUNDLE, DIMENSION)
    assert shop.use == GalleryUse(0, 0)
    assert ShopGallery(tmp_path / "new.evg", BUNDLE, DIMENSION).use == GalleryUse(0, 0)


def test_another_bundles_gallery_is_refused(path):
    before = path.read_bytes()
    with pytest.raises(GalleryError, match="bundle"):
        ShopGallery(path, OTHER_BUNDLE, DIMENSION)
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there_is_told_before_anything_is_served(tmp_path):
    with pytest.raises(Exception, match="folder"):
        ShopGallery(tmp_path / "none" / "shop.evg", BUNDLE, DIMENSION)


@pytest.mark.parametrize("damage", [b"", b"no gallery", None])
def test_a_file_that_is_damaged_meanwhile_changes_nothing(path, damage):
    shop, told = ShopGallery(path, BUNDLE, DIMENSION), []
    shop.when_in_trouble(told.append)
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    shop.look()
    shop.look()
    assert shop.use == GalleryUse(3, 9)
    assert len(told) == 1
    assert "shop.evg" in told[0]


def test_a_change_that_fails_leaves_all_as_it_was(path):
    shop, before = ShopGallery(path, BUNDLE, DIMENSION), path.read_bytes()

    def half(gallery, writer):
        writer.add_product(GalleryProduct(50, "half"))
        raise InputError("not this one")

    with pytest.raises(InputError, match="not this one"):
        shop.change(half)
    assert (path.read_bytes(), shop.use.products) == (before, 3)


def test_readers_never_see_half_of_a_change(path):
    """Each change adds a product with one example: whoever reads finds as many more of both."""
    shop, seen, ending = ShopGallery(path, BUNDLE, DIMENSION), [], threading.Event()

    def read() -> None:
        while not ending.is_set():
            gallery = shop.now.gallery
            seen.append((len(gallery.products) - 3) - (len(gallery.examples) - 9))
            assert gallery.match(gallery.vectors[:2])[0].best is not None

    readers = [threading.Thread(target=read) for _ in range(3)]
    for one in readers:
        one.start()
    for id in range(200, 212):
        shop.change(
            lambda gallery, writer, id=id: (
                writer.add_product(GalleryProduct(id, "x")),
                writer.add_examples(id, directions(1, seed=id), [source(id)]),
            )
        )
    ending.set()
    for one in readers:
        one.join(10.0)
    assert set(seen) == {0}
    assert shop.use == GalleryUse(15, 21)


def test_a_change_sees_what_another_program_did_just_before(path, monkeypatch):
    shop, writer = ShopGallery(path, BUNDLE, DIMENSION), ShopGallery._writer

    def late(self):
        add(path, 100)  # after the change was asked for, and before it has the lock
        return writer(self)

    monkeypatch.setattr(ShopGallery, "_writer", late)
    assert 100 in shop.change(lambda gallery, writer: [one.id for one in gallery.products])


def test_changes_wait_in_a_row_that_has_an_end_and_hold_up_no_reader(path):
    shop, begun, held = ShopGallery(path, BUNDLE, DIMENSION), threading.Event(), threading.Event()

    async def ask_for_too_many():
        def first(gallery, writer):
            begun.set()
            return held.wait(30.0)

        waiting = [asyncio.ensure_future(shop.change_soon(first))]
        await asyncio.to_thread(begun.wait, 30.0)
        waiting += [asyncio.ensure_future(shop.change_soon(partial(new, id))) for id in range(50, 66)]
        await asyncio.sleep(0)
        with pytest.raises(RefusedError, match="under way") as refused:
            await shop.change_soon(partial(new, 70))
        readers = [asyncio.to_thread(lambda: shop.use.products) for _ in range(50)]
        read = await asyncio.wait_for(asyncio.gather(*readers), 30.0)
        held.set()
        await asyncio.gather(*waiting)
        return refused.value, read

    def new(id, gallery, writer):
        writer.add_product(GalleryProduct(id, f"new {id}"))

    refused, read = asyncio.run(ask_for_too_many())
    assert (refused.status, "Retry-After" in refused.headers) == (503, True)
    assert set(read) == {3}
    assert {one.id for one in shop.now.gallery.products} == {0, 1, 2, *range(50, 66)}
    shop.change(partial(new, 70))  # there is room again
    assert shop.use.products == 20


def test_at_the_end_what_waits_is_refused(path):
    shop, begun, held = ShopGallery(path, BUNDLE, DIMENSION), threading.Event(), threading.Event()

    def first(gallery, writer):
        begun.set()
        return held.wait(30.0)

    with ThreadPoolExecutor(2) as threads:
        running = threads.submit(shop.change, first)
        assert begun.wait(30.0)
        waiting = threads.submit(shop.change, lambda gallery, writer: True)
        while shop._queue._under_way < 2:
            time.sleep(0.001)
        shop.close()
        held.set()
        assert running.result(30.0) is True
        with pytest.raises(RefusedError, match="stopping"):
            waiting.result(30.0)
    with pytest.raises(RefusedError, match="stopping"):
        shop.change(lambda gallery, writer: True)
