"""``/v1/products``: what the model knows, what it costs, and a picture of each."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.errors import InputError
from edgevision.evaluate.data.names import composed
from edgevision.files import read_regular
from edgevision.kiosk.service.answers import RefusedError
from edgevision.kiosk.service.described import ServedDescription
from edgevision.kiosk.service.money import shown
from edgevision.kiosk.service.price_list import PriceChange, PriceList, prices_before, read_price_list
from edgevision.kiosk.service.route import Scope, route
from edgevision.tasks.results import Label

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

PATH = "/v1/products"
MAX_PICTURE_BYTES = 2 << 20
MOST_FILES = 100_000  # of the pictures' folder
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_ID = re.compile(r"-?\d{1,18}", re.ASCII)
_CACHE = "private, max-age=60"


@dataclass(frozen=True)
class ProductPictures:
    """Pictures of products, by the name of their file without its ending: the product's id, or its name.

    The folder is listed once, when this is made: what a request says never becomes part of a path.
    """

    files: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def of_folder(cls, folder: Path) -> ProductPictures:
        """The pictures directly in a folder: ``ID.jpg`` or ``NAME.jpg``, also PNG and WebP. Raises InputError."""
        try:
            found = sorted(
                one for one in folder.iterdir() if one.suffix.lower() in _SUFFIXES and not one.name.startswith(".")
            )
        except OSError as error:
            raise InputError(
                f"cannot read the folder of product pictures {folder}: {error.strerror or error}"
            ) from error
        if len(found) > MOST_FILES:
            raise InputError(
                f"the folder of product pictures {folder} has {len(found)} pictures; {MOST_FILES} are the most"
            )
        files: dict[str, Path] = {}
        for one in found:
            files.setdefault(composed(one.stem), one)
        return cls(files)

    def path_of(self, label: Label) -> Path | None:
        """The file that shows a product; None where there is none. The id counts before the name."""
        found = self.files.get(str(label.id))
        return self.files.get(composed(label.name)) if found is None else found


@dataclass(frozen=True)
class Catalogue:
    """What is known of the products besides what the model knows. ``earlier``: how the prices changed, the newest first, as long as what they
    were before is honoured."""

    prices: PriceList = field(default_factory=PriceList)
    pictures: ProductPictures = field(default_factory=ProductPictures)
    earlier: tuple[PriceChange, ...] = ()

    @classmethod
    def read(cls, prices: Path | None, pictures: Path | None) -> Catalogue:
        """From a CSV file and a folder, either of which may be left out. Raises InputError."""
        return cls(
            PriceList() if prices is None else read_price_list(prices),
            ProductPictures() if pictures is None else ProductPictures.of_folder(pictures),
        )

    def price_of(self, label: Label) -> Decimal | None:
        """What a product costs; None where that is not known."""
        return self.prices.price_of(label)

    def honours(self, label: Label, price: Decimal) -> bool:
        """Whether a shopper may pay so much: what it costs, or cost when it was placed; anything where that is not known."""
        listed = self.price_of(label)
        return listed is None or price == listed or price in prices_before(label, self.prices, self.earlier)


def product_routes(
    catalogue: Callable[[], Catalogue], model: Callable[[], ServedDescription], features: Mapping[str, bool] | None = None
) -> list[BaseRoute]:  # fmt: skip
    """The routes that tell what there is to be recognised. ``catalogue``, ``model``: as of now; ``features``: what else the service
    offers, for a page to know."""

    async def products(request: Request) -> Response:
        from starlette.responses import JSONResponse

        now, known = model(), catalogue()
        listed = [_product(known, label) for label in sorted(now.labels, key=lambda label: label.id)]
        fields = {"products": listed, "model": {"name": now.name, "id": now.id}, "features": dict(features or {})}
        return JSONResponse(fields, headers={"Cache-Control": "no-store"})

    async def picture(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import Response

        label = _label(request.path_params["id"], model().labels)
        path = None if label is None else catalogue().pictures.path_of(label)
        if path is None:
            raise RefusedError(404, "there is no picture of this product")
        try:
            data = await run_in_threadpool(read_regular, path, MAX_PICTURE_BYTES)
        except OSError:
            raise RefusedError(404, "the picture of this product cannot be read") from None
        kind = picture_type(data)
        if kind is None:
            raise RefusedError(404, "the picture of this product is neither JPEG, PNG nor WebP")
        tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
        headers = {"Cache-Control": _CACHE, "ETag": tag, "X-Content-Type-Options": "nosniff"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(data, media_type=kind, headers=headers)

    return [
        route(PATH, products, scope=Scope.READ, max_body_bytes=0),
        route(f"{PATH}/{{id}}/picture", picture, scope=Scope.READ, max_body_bytes=0),
    ]


def picture_type(data: bytes) -> str | None:
    """The media type of a picture's bytes; None for what browsers are not shown.

    >>> picture_type(b"RIFF....WEBPVP8 "), picture_type(b"<svg>")
    ('image/webp', None)
    """
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def _product(catalogue: Catalogue, label: Label) -> dict[str, Any]:
    price = catalogue.price_of(label)
    picture = None if catalogue.pictures.path_of(label) is None else f"{PATH}/{label.id}/picture"
    return {
        "id": label.id,
        "name": label.name,
        "price": None if price is None else shown(price),
        "currency": catalogue.prices.currency,
        "picture": picture,
    }


def _label(text: str, labels: tuple[Label, ...]) -> Label | None:
    if _ID.fullmatch(text) is None:
        return None
    return next((label for label in labels if label.id == int(text)), None)
