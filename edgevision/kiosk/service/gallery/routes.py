"""All routes of a gallery: what is in it, what changes it, search, and teaching it before a camera."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgevision.frames import Frame
from edgevision.kiosk.service.bodies import Budget
from edgevision.kiosk.service.gallery.asked import AskPicture
from edgevision.kiosk.service.gallery.audit_route import audit_routes
from edgevision.kiosk.service.gallery.changes import change_routes
from edgevision.kiosk.service.gallery.listing import listing_routes
from edgevision.kiosk.service.gallery.photos import photo_routes
from edgevision.kiosk.service.gallery.searching import search_routes
from edgevision.kiosk.service.gallery.shop_gallery import ShopGallery
from edgevision.kiosk.service.gallery.teach_socket import teach_routes
from edgevision.kiosk.service.live.camera_route import CameraView
from edgevision.kiosk.service.products import Catalogue

if TYPE_CHECKING:
    from starlette.routing import BaseRoute


@dataclass(frozen=True)
class GalleryService:
    """A gallery that is served. ``ask``: embeds the picture that is a request's body; ``embed``: what the embedder says of frames.
    ``finds``: whether it finds products by itself, before it embeds them. ``max_picture_bytes``: of one picture."""

    shop: ShopGallery
    ask: AskPicture
    embed: Callable[[Sequence[Frame]], Sequence[Any]]
    max_picture_bytes: int
    finds: bool = False


def gallery_routes(
    gallery: GalleryService, catalogue: Callable[[], Catalogue], budget: Budget, *, stations: Callable[[], Mapping[str, CameraView]],
    closed: Callable[[], bool], trouble: Callable[[str], None],
) -> list[BaseRoute]:  # fmt: skip
    """The routes. ``catalogue``: prices and pictures, as of now; ``stations``: whose camera is the service's; ``closed``: whether the
    service ends; ``trouble``: called with what goes wrong."""
    shop = gallery.shop
    return [
        *audit_routes(shop),  # before those with an id in the path
        *change_routes(shop, budget),
        *listing_routes(shop, catalogue),
        *photo_routes(shop, gallery.ask, gallery.max_picture_bytes),
        *search_routes(shop, gallery.ask, catalogue, budget, gallery.max_picture_bytes),
        *teach_routes(shop, gallery.embed, stations=stations, closed=closed, trouble=trouble, finds=gallery.finds),
    ]
