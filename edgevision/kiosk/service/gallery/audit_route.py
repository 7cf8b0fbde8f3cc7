"""``GET /v1/gallery/audit``: what an operator may want to put right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevision.kiosk.service.answers import json_answer
from edgevision.kiosk.service.gallery.json_body import check_query
from edgevision.kiosk.service.gallery.listing import PATH
from edgevision.kiosk.service.gallery.shop_gallery import ShopGallery
from edgevision.kiosk.service.route import Scope, route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute


def audit_routes(shop: ShopGallery) -> list[BaseRoute]:
    """The route, for one gallery."""

    async def audit(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        from edgevision.gallery.audit import audit as audit_of

        check_query(request)
        found = await run_in_threadpool(audit_of, shop.now.gallery, shop.path.name)
        return json_answer({"findings": [one.to_dict() for one in found]}, headers={"Cache-Control": "no-store"})

    return [route(f"{PATH}/audit", audit, scope=Scope.READ, max_body_bytes=0)]
