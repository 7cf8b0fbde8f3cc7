"""The options of ``edgevision serve`` about its page."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgevision.kiosk.page.settings import PageSettings
    from edgevision.kiosk.service.live.settings import LiveSettings
    from edgevision.model import Model

_LEAST_PX, _MOST_PX = 320, 1280


def add_page_options(parser: argparse.ArgumentParser) -> None:
    """Add them to the parser of ``serve``."""
    group = parser.add_argument_group("the page")
    group.add_argument("--title", default="", metavar="TEXT", help="the shop's name, over the page")
    group.add_argument(
        "--language", metavar="CODE", help="en, de, zh, es (default: the first of the browser's that the page has)"
    )


def page_of(arguments: argparse.Namespace, shop: LiveSettings, model: Model) -> PageSettings:
    """What the page is told. ``model``: the one that looks at its pictures first."""
    from edgevision.kiosk.page.settings import CameraPlace, PageSettings

    place = CameraPlace.PAGE if shop.camera is None else CameraPlace.SERVER
    return PageSettings(
        place, picture_px(model), arguments.language, title=arguments.title, allow_frames=tuple(arguments.allow_frames)
    )


def picture_px(model: Model) -> int:
    """The longer side of the page's pictures: twice the network's, for a product may take half of the picture."""
    spec = model.preprocess
    return min(_MOST_PX, max(_LEAST_PX, 2 * max(spec.height, spec.width)))
