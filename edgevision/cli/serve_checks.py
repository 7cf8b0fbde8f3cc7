"""What can be seen of the options of ``edgevision serve`` before a model is loaded, which may take minutes on a small machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edgevision.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from edgevision.kiosk.service.access.settings import AccessSettings
    from edgevision.kiosk.service.live.settings import LiveSettings


def check_access(access: AccessSettings) -> None:
    """Raise InputError for names or origins that are none, and for tokens that cannot be read."""
    from edgevision.kiosk.service.access.hosts import own_names
    from edgevision.kiosk.service.access.origins import listed_origins
    from edgevision.kiosk.service.access.tokens import read_tokens

    own_names(access.host, access.host_names)
    listed_origins(access.allow_origins)
    listed_origins(access.allow_frames, "--allow-frame")
    if access.tokens is not None:
        read_tokens(access.tokens)


def check_shop(shop: LiveSettings) -> None:
    """Raise InputError for a price list, a folder, a webhook or a camera that cannot be used, MissingExtraError where a camera's package is missing.

    A camera need not answer yet: it may come later.
    """
    from edgevision.cli.extras import make_folder
    from edgevision.kiosk.service.products import Catalogue
    from edgevision.kiosk.service.receipts import ReceiptPost
    from edgevision.streams.options import CameraOptions
    from edgevision.streams.sources.registry import make_source

    Catalogue.read(shop.prices, shop.product_pictures)
    for folder in (shop.feedback, shop.keep):
        if folder is not None:
            make_folder(folder)
    if shop.receipts is not None:
        ReceiptPost(shop.receipts)
    if shop.camera is not None:
        make_source(CameraOptions(shop.camera_name, shop.camera))


def check_gallery(path: Path | None) -> None:
    """Raise InputError for a gallery that is not there and cannot be made. What is in one is looked at when the model is there."""
    from edgevision.files import ensure_writable

    if path is not None and not path.exists():
        ensure_writable(path)


def check_language(code: str | None) -> None:
    """Raise InputError, with those that the page has, for another language. None: the browser's."""
    from edgevision.kiosk.page.routes import FOLDER

    known = [one["code"] for one in json.loads((FOLDER / "languages" / "index.json").read_text("utf-8"))]
    if code is not None and code not in known:
        raise InputError(f"--language is one of {', '.join(known)}, got {code!r}")
