"""``WS /v1/gallery/teach``: a product is turned before a camera, the page sees which views were taken, and saves them with its name."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from edgevision.decode import read_image
from edgevision.errors import EdgeVisionError, ImageError, InputError
from edgevision.frames import Frame
from edgevision.gallery.checks import checked_name
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.taken_views import TakenView, TakenViews, save_views
from edgevision.kiosk.service.answers import RefusedError
from edgevision.kiosk.service.gallery.changes import WishedProduct, free_id, new_product, wished_product
from edgevision.kiosk.service.gallery.json_body import parse_object
from edgevision.kiosk.service.gallery.lesson import MOST, WANTED, Lesson, Seen
from edgevision.kiosk.service.gallery.listing import found_in
from edgevision.kiosk.service.gallery.shop_gallery import ShopGallery
from edgevision.kiosk.service.live.camera_route import CameraView
from edgevision.kiosk.service.live.messages import data_url, encoded
from edgevision.kiosk.service.live.sockets import SEND_S, TRY_LATER, accept, close
from edgevision.kiosk.service.route import Scope, socket_route

if TYPE_CHECKING:
    from starlette.routing import BaseRoute
    from starlette.websockets import WebSocket

    from edgevision.gallery.gallery import Gallery
    from edgevision.gallery.writer import GalleryWriter

PATH = "/v1/gallery/teach"
MOST_LESSONS = 4  # at once
MAX_PICTURE_BYTES = 4 << 20
MAX_DECODE_BYTES = 32_000_000  # of one picture: some 5 megapixels
SILENT_S = 300.0  # somebody may look for the product's name meanwhile
LOOK_S = 0.1  # between two frames of the service's own camera
_KEYS = frozenset({"do", "source", "name", "fields", "id"})
_QUERY = frozenset({"camera", "station", "product"})


def teach_routes(
    shop: ShopGallery, embed: Callable[[Sequence[Frame]], Sequence[Any]], *, stations: Callable[[], Mapping[str, CameraView]],
    closed: Callable[[], bool], trouble: Callable[[str], None], finds: bool = False, silent_s: float = SILENT_S,
) -> list[BaseRoute]:  # fmt: skip
    """The route. ``embed``: what the embedder says of frames, ``finds``: whether it finds products by itself; ``stations``: whose camera is
    the service's."""
    lessons = [0]

    async def teach(websocket: WebSocket) -> None:
        await accept(websocket)
        query, gallery, views = websocket.query_params, shop.now.gallery, stations()
        camera, product = query.get("camera", "page"), query.get("product")
        view = views.get(query.get("station", next(iter(views), ""))) if camera == "service" else None
        if strange := sorted(set(query) - _QUERY):
            await close(
                websocket, 1008, f"?{strange[0][:40]}= is not known here; known are {', '.join(sorted(_QUERY))}"
            )
        elif camera not in ("page", "service") or (camera == "service" and view is None):
            await close(websocket, 1008, "camera is page, or service where it has one; /v1/status lists them")
        elif product is not None and product not in {str(one.id) for one in gallery.products}:
            await close(websocket, 1008, "the gallery has no such product; /v1/gallery lists them")
        elif closed():
            await close(websocket, 1012, "the service ends")
        elif lessons[0] >= MOST_LESSONS:
            await close(websocket, TRY_LATER, f"{MOST_LESSONS} products are being taught already; try again later")
        else:
            lessons[0] += 1
            try:
                id = None if product is None else int(product)
                made = Lesson(embed, _views_of(id, gallery), finds=finds)
                await _Classroom(websocket, made, id, shop, view, closed, trouble, silent_s).run()
            finally:
                lessons[0] -= 1

    return [socket_route(PATH, teach, scope=Scope.ADMIN)]


class _Classroom:
    """One connection. A picture waits at most; what is asked for is done in the order that it came, in the connection's one thread."""

    def __init__(
        self, websocket: WebSocket, lesson: Lesson, product: int | None, shop: ShopGallery, camera: CameraView | None, closed: Callable[[], bool],
        trouble: Callable[[str], None], silent_s: float,
    ) -> None:  # fmt: skip
        self._websocket = websocket
        self._lesson = lesson
        self._product = product
        self._saved: dict[str, Any] | None = None  # what the last save told
        self._kept: frozenset[str] = frozenset()  # the sources of views that are saved
        self._shop = shop
        self._camera = camera
        self._looks = camera is None  # the service's own camera waits until somebody says that it may look
        self._closed = closed
        self._trouble = trouble
        self._silent_s = silent_s
        self._frames = 0
        self._picture: tuple[int, bytes] | None = None
        self._wishes: list[dict[str, Any]] = []
        self._came = asyncio.Event()
        self._told = ""
        self._shown: Frame | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="edgevision teach")

    async def run(self) -> None:
        """Until the page goes, or is told to."""
        reading, working = asyncio.ensure_future(self._read()), asyncio.ensure_future(self._work())
        try:
            await asyncio.wait({reading, working}, return_when=asyncio.FIRST_COMPLETED)
            for one in (reading, working):
                if one.done() and one.exception() is None and (end := one.result()) is not None:
                    await close(self._websocket, *end)
            if working.done() and (error := working.exception()) is not None:
                self._trouble(f"teaching failed: {type(error).__name__}: {error}")
                await close(self._websocket, 1011, "something failed; the service's log says what")
        finally:
            reading.cancel()
            working.cancel()
            await asyncio.gather(reading, working, return_exceptions=True)
            self._thread.shutdown(wait=False)

    async def _read(self) -> tuple[int, str] | None:
        """Take what comes. How the connection is to be closed; None where it is."""
        while True:
            try:
                message = await asyncio.wait_for(self._websocket.receive(), self._silent_s)
            except asyncio.TimeoutError:
                return 1001, f"nothing came for {self._silent_s:g} s"
            if message["type"] == "websocket.disconnect":
                return None
            data, text = message.get("bytes"), message.get("text")
            if data is not None:
                if self._camera is not None:
                    return 1003, "the camera is the service's; send no pictures"
                if len(data) > MAX_PICTURE_BYTES:
                    return 1009, f"a picture has at most {MAX_PICTURE_BYTES} bytes"
                self._frames += 1
                self._picture = (self._frames, data)
            else:
                try:
                    self._wishes.append(parse_object(text or "", _KEYS))
                except InputError as error:
                    return 1003, str(error)
                if len(self._wishes) > MOST:
                    return 1008, "too much is asked for at once"
            self._came.set()

    async def _work(self) -> tuple[int, str]:
        loop = asyncio.get_running_loop()
        await self._send(self._state())
        while not self._closed():
            if self._camera is None:
                await self._came.wait()
            else:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._came.wait(), LOOK_S)
            self._came.clear()
            wishes, self._wishes = self._wishes, []
            picture, self._picture = self._picture, None
            for wish in wishes:
                await self._send(await loop.run_in_executor(self._thread, self._done, wish))
            if self._looks and (self._camera is not None or picture is not None):
                told = await loop.run_in_executor(self._thread, self._looked, picture)
                if told is not None:
                    await self._send(told)
        return 1012, "the service ends"

    async def _send(self, fields: dict[str, Any]) -> None:
        await asyncio.wait_for(self._websocket.send_text(encoded(fields)), SEND_S)

    # ---- in the connection's thread ----

    def _looked(self, picture: tuple[int, bytes] | None) -> dict[str, Any] | None:
        """What is to be told of the next picture; None where the camera has no newer one."""
        number = {} if picture is None else {"frame": picture[0]}
        try:
            frame = self._next_frame() if picture is None else _frame(picture[1])
            if frame is None:
                return None
            seen = self._lesson.see(frame, time.monotonic())
        except ImageError as error:
            return {**self._state(), **number, "error": str(error)}
        except Exception as error:  # a model fails on one frame, and may be well on the next
            self._tell(f"teaching: the model failed on a picture: {type(error).__name__}: {error}")
            return {**self._state(), **number, "error": "the model failed on this picture; the service's log says why"}
        return {**self._state(), **number, "word": seen.word, **self._view(seen), **self._likeness(seen)}

    def _next_frame(self) -> Frame | None:
        assert self._camera is not None
        frame = self._camera.newest
        if frame is None or frame is self._shown:
            return None
        self._shown = frame
        return frame

    def _view(self, seen: Seen) -> dict[str, Any]:
        if seen.view is None or seen.picture is None:
            return {}
        return {"view": {"source": seen.view.source, "picture": data_url(seen.picture)}}

    def _likeness(self, seen: Seen) -> dict[str, Any]:
        """What the gallery takes it for as it is: perhaps it knows the product already."""
        if seen.embedding is None:
            return {}
        (matches,) = self._shop.now.gallery.match(seen.embedding.vector[None], top=1)
        best = matches.best
        if best is None:
            return {"like": None}
        return {"like": {"id": best.product.id, "name": best.product.name, "score": best.score, "known": matches.known}}

    def _done(self, wish: dict[str, Any]) -> dict[str, Any]:
        """Do what the page asks for. What to tell of it."""
        try:
            match wish.get("do"):
                case "empty":
                    self._looks = True
                    self._lesson.learn_empty()
                    return {**self._state(), "done": "empty"}
                case "begin":
                    self._looks = True
                    return {**self._state(), "done": "begin"}
                case "drop":
                    self._lesson.drop(str(wish.get("source")))
                    return {**self._state(), "done": "drop"}
                case "save":
                    return {"saved": self._save(wish), **self._state(), "done": "save"}
                case other:
                    raise InputError(f"do is begin, empty, drop or save, got {str(other)[:20]!r}")
        except (RefusedError, InputError) as error:
            return {**self._state(), "done": wish.get("do"), "error": str(error)}
        except EdgeVisionError as error:
            self._tell(f"teaching: {error}")
            return {
                **self._state(),
                "done": wish.get("do"),
                "error": "it could not be saved; the service's log says why",
            }

    def _save(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        """Save the views that are not saved yet. Raises InputError, RefusedError."""
        views = [one for one in self._lesson.views if one.source not in self._kept]
        if self._saved is not None:
            _check_same(wish, self._saved)
            if not views:
                found_in(self._shop.now.gallery, self._saved["id"])  # somebody may have removed it
                return {**self._saved, "added": 0, "sources": [], "new": False}
        if not views:
            raise InputError("there is no view to save yet; turn the product slowly before the camera")
        if self._product is None:
            work = partial(_save_new, wished_product(wish), views)
        else:
            work = partial(_save_more, self._product, views)
        saved = self._shop.change(work)
        self._product, self._saved = saved["id"], saved
        self._kept |= {one.source for one in views}
        return saved

    def _state(self) -> dict[str, Any]:
        return {"count": len(self._lesson.views), "wanted": WANTED, "most": MOST}

    def _tell(self, words: str) -> None:
        if words != self._told:
            self._trouble(words)
        self._told = words


def _check_same(wish: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    """A lesson is of one product. Raises InputError where another one is to be saved."""
    if "name" in wish and checked_name(wish["name"]) != saved["name"]:
        raise InputError(
            f"this lesson's product is saved as {saved['name']!r} ({saved['id']}); teach another one in a lesson of its own, or give this one another name with PATCH"
        )


def _views_of(product: int | None, gallery: Gallery) -> TakenViews:
    """None yet, of this product, or of a new one. A product may look like another one: that is when people teach it. They are told so, and
    decide."""
    id = free_id(gallery) if product is None else product
    return TakenViews(gallery, id, dimension=gallery.dimension, look_alikes=True)


def _save_new(
    wished: WishedProduct, views: Sequence[TakenView], gallery: Gallery, writer: GalleryWriter
) -> dict[str, Any]:
    return _saved(new_product(gallery, wished), views, writer, new=True)


def _save_more(id: int, views: Sequence[TakenView], gallery: Gallery, writer: GalleryWriter) -> dict[str, Any]:
    return _saved(found_in(gallery, id), views, writer, new=False)


def _saved(product: GalleryProduct, views: Sequence[TakenView], writer: GalleryWriter, *, new: bool) -> dict[str, Any]:
    added = save_views(writer, product, views)
    return {
        "id": product.id, "name": product.name, "added": added, "sources": [one.source for one in views], "new": new,
    }  # fmt: skip


def _frame(data: bytes) -> Frame:
    if not data.startswith(b"\xff\xd8\xff"):
        raise ImageError("expected a JPEG")
    return Frame.from_array(read_image(data, max_decode_bytes=MAX_DECODE_BYTES))
