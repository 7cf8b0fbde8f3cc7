"""The options of ``edgevision serve`` for its live part."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from edgevision.errors import InputError

if TYPE_CHECKING:
    from edgevision.kiosk.service.live.settings import LiveSettings
    from edgevision.kiosk.service.picture_folder import Quota

_QUOTA = re.compile(r"(?P<size>\d{1,9}(?:\.\d{1,3})?)\s?(?P<unit>kB|MB|GB)(?:,(?P<files>\d{1,9}))?", re.ASCII)
_UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9}


def add_live_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the kiosk")
    group.add_argument(
        "--camera", metavar="[NAME=]URL",
        help="a camera of this machine or its network, watched by the service (default: each page uses its own)",
    )  # fmt: skip
    group.add_argument("--prices", type=Path, metavar="FILE", help="price list: a CSV with id or name, price, currency")
    group.add_argument(
        "--gallery", type=Path, metavar="FILE",
        help="products by example (.evg) that an embedder answers from; taken up anew whenever it changes, and made where it is not there",
    )  # fmt: skip
    group.add_argument(
        "--currency",
        metavar="CODE",
        help="of the gallery's prices that name none, such as EUR (default: the price list's)",
    )
    group.add_argument("--product-pictures", type=Path, metavar="DIR", help="pictures of products: ID.jpg or NAME.jpg")
    group.add_argument(
        "--feedback", type=Path, metavar="DIR",
        help="keep the pictures that shoppers correct, in a folder for each product, for edgevision train (default: keep none)",
    )  # fmt: skip
    group.add_argument(
        "--feedback-quota",
        metavar="SIZE[,COUNT]",
        help="the most that folder may take, such as 500MB or 500MB,20000 (default 200MB,10000)",
    )
    group.add_argument(
        "--receipts",
        metavar="URL",
        help="post receipts to this webhook; what it does not take waits on disk (default: off)",
    )
    group.add_argument(
        "--keep",
        type=Path,
        metavar="DIR",
        help="keep the picture of every answer, within the same quota (default: keep none)",
    )


def live_of(arguments: argparse.Namespace) -> LiveSettings:
    """What the options ask for. Raises InputError."""
    from edgevision.kiosk.service.live.settings import LiveSettings
    from edgevision.kiosk.service.picture_folder import Quota

    name, url = (LiveSettings.camera_name, None) if arguments.camera is None else _name_and_url(arguments.camera)
    if arguments.feedback_quota is not None and arguments.feedback is None and arguments.keep is None:
        raise InputError(
            "--feedback-quota bounds the folders of --feedback and --keep; give one of them, or leave it out"
        )
    _check_receipts(arguments.receipts)
    quota = Quota() if arguments.feedback_quota is None else quota_of(arguments.feedback_quota)
    return LiveSettings(
        camera=url,
        camera_name=name,
        prices=arguments.prices,
        product_pictures=arguments.product_pictures,
        feedback=arguments.feedback,
        feedback_quota=quota,
        receipts=arguments.receipts,
        keep=arguments.keep,
        currency=arguments.currency,
    )


def _check_receipts(url: str | None) -> None:
    """Raise InputError unless it is for a webhook. It is not shown: whoever knows the path of a webhook may post to it."""
    scheme, colon, _ = ("https", ":", "") if url is None else url.partition(":")
    if not colon or scheme.lower() not in ("http", "https"):
        got = f"one that begins with {scheme[:20]}:" if colon else "one without http:// or https://"
        raise InputError(f"--receipts is the URL of a webhook, https://HOST/PATH or http://HOST/PATH, got {got}")


def quota_of(text: str) -> Quota:
    """``500MB`` or ``1.5GB,20000``. Raises InputError.

    >>> quota_of("500MB,20000")
    Quota(bytes=500000000, files=20000)
    """
    from edgevision.kiosk.service.picture_folder import Quota

    found = _QUOTA.fullmatch(text)
    if found is None:
        raise InputError(f"--feedback-quota is a size and perhaps a count, such as 500MB or 500MB,20000, got {text!r}")
    size = int(float(found["size"]) * _UNITS[found["unit"]])
    return Quota(size) if found["files"] is None else Quota(size, int(found["files"]))


def _name_and_url(given: str) -> tuple[str, str]:
    """``till=rtsp://…`` has a name; a ``=`` further on belongs to the URL."""
    from edgevision.kiosk.service.live.settings import LiveSettings

    found = re.fullmatch(r"([\w.-]{1,40})=(.+)", given, re.DOTALL)
    return (LiveSettings.camera_name, given) if found is None else (found[1], found[2])
