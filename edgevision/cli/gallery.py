"""``edgevision gallery``: products by example. Its verbs' parsers; what they do is in ``gallery_add``, ``gallery_change`` and ``gallery_show``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

_ID = "the product's id, your number for it"


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser(
        "gallery",
        help="products by example: a file that learns a product from a few photos",
        description="Make and change a gallery (.evg), the file beside a bundle that embeds: products, and examples of each.",
        epilog='Example: edgevision gallery add shop.evg --model embed.edge --id 7 --name "Royal Gala" photos/gala',
    )
    verbs = p.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb, (about, options) in VERBS.items():
        own = verbs.add_parser(verb, help=about, description=about[:1].upper() + about[1:] + ".")
        own.add_argument("gallery", type=Path, metavar="GALLERY", help="the .evg file")
        options(own)
        # As before the verb; what is given there must not be forgotten here.
        own.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object instead of text"
        )
        own.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
        )
    return p


def run(arguments: argparse.Namespace) -> int:
    module = import_module(f"edgevision.cli.{_MODULES[arguments.verb]}")
    return int(getattr(module, arguments.verb.replace("-", "_"))(arguments))


def _model(p: argparse.ArgumentParser) -> None:
    p.add_argument("--model", type=Path, metavar="BUNDLE", required=True, help="the bundle that embeds")
    p.add_argument("--threads", type=int, metavar="N", help="of the engine (default: all cores)")


def _id(p: argparse.ArgumentParser, *, required: bool = True) -> None:
    p.add_argument("--id", type=int, metavar="N", required=required, help=_ID)


def _example(p: argparse.ArgumentParser, help: str) -> None:
    p.add_argument("--example", action="append", metavar="HEX", default=[], help=help)


def _field(p: argparse.ArgumentParser, help: str) -> None:
    p.add_argument("--field", action="append", metavar="NAME=VALUE", default=[], help=help)


def _new(p: argparse.ArgumentParser) -> None:
    _model(p)


def _add(p: argparse.ArgumentParser) -> None:
    _model(p)
    _id(p, required=False)
    p.add_argument("--name", metavar="TEXT", help="of a new product")
    _field(p, "of a new product, such as price=1.29; may be given again")
    p.add_argument(
        "--anyway", action="store_true",
        help="take photos that are blurred, or that the gallery knows as another product, too",
    )  # fmt: skip
    p.add_argument(
        "photos", nargs="+", type=Path, metavar="PHOTO",
        help="with --id or --name: photos of that product, or folders of them; else one folder that has a folder for each product, or a "
        "CSV with the columns photo, id, name and any fields",
    )  # fmt: skip


def _remove(p: argparse.ArgumentParser) -> None:
    _id(p)
    _example(p, "remove only this example, by the first digits of its source; may be given again")


def _rename(p: argparse.ArgumentParser) -> None:
    _id(p)
    p.add_argument("--name", metavar="TEXT", required=True, help="the new name")


def _set(p: argparse.ArgumentParser) -> None:
    _id(p)
    _field(p, "such as price=1.29; without a value it is taken away; may be given again")


def _merge(p: argparse.ArgumentParser) -> None:
    _id(p)
    p.add_argument("--into", type=int, metavar="N", required=True, help="the product that gets the examples")
    _example(p, "move only this example, by the first digits of its source, and keep the product; may be given again")


def _list(p: argparse.ArgumentParser) -> None:
    del p


def _show(p: argparse.ArgumentParser) -> None:
    _id(p)


def _explain(p: argparse.ArgumentParser) -> None:
    _model(p)
    p.add_argument("photos", nargs="+", type=Path, metavar="PHOTO", help="photos, or folders of photos")


def _export(p: argparse.ArgumentParser) -> None:
    p.add_argument("-o", "--output", type=Path, metavar="FILE", required=True, help="the CSV")


def _reembed(p: argparse.ArgumentParser) -> None:
    _model(p)
    p.add_argument("-o", "--output", type=Path, metavar="FILE", required=True, help="the new gallery")
    p.add_argument("--skip-missing", action="store_true", help="leave out examples whose picture is not found")
    p.add_argument(
        "photos", nargs="+", type=Path, metavar="PHOTO", help="where the pictures are: photos, or folders of them"
    )


VERBS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "new": ("make an empty gallery for a bundle", _new),
    "add": ("learn products from photos", _add),
    "remove": ("remove a product, or some of its examples", _remove),
    "rename": ("give a product another name", _rename),
    "set": ("change a product's fields", _set),
    "merge": ("give a product's examples to another product, and remove it", _merge),
    "list": ("list the products", _list),
    "show": ("show a product and its examples", _show),
    "explain": ("recognise photos, and say by which examples", _explain),
    "audit": ("look for what may be wrong: look-alikes, wrong names, duplicates", _list),
    "export": ("write products and examples to a CSV, without vectors", _export),
    "reembed": ("make the gallery anew for another bundle, from its pictures", _reembed),
}

_MODULES = {
    "new": "gallery_add",
    "add": "gallery_add",
    "reembed": "gallery_add",
    "explain": "gallery_add",
    "remove": "gallery_change",
    "rename": "gallery_change",
    "set": "gallery_change",
    "merge": "gallery_change",
    "list": "gallery_show",
    "show": "gallery_show",
    "audit": "gallery_show",
    "export": "gallery_show",
}
