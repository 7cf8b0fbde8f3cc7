"""``edgevision recommend``."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cli import output
from edgevision.errors import InputError

if TYPE_CHECKING:
    from edgevision.gallery.gallery import Gallery
    from edgevision.recommend.profile import Profile
    from edgevision.recommend.rules import Rule
    from edgevision.recommend.shelf import Shelf
    from edgevision.recommend.suggestions import Suggestion

_MOST_CANDIDATE_BYTES = 64 << 20
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser(
        "recommend",
        help="what to offer a shopper next, and why",
        description="Rank the products of a gallery for one shopper: by what they bought, by looks, by what goes together, and by what "
        "many buy. The profile is one small file on this device; nothing leaves it.",
    )
    p.add_argument("gallery", nargs="?", type=Path, help="the .evg file; not needed with --show and --forget")
    p.add_argument("--profile", type=Path, metavar="FILE", help="what is known of the shopper; begun by --bought")
    p.add_argument("--baskets", type=Path, metavar="FILE",
                   help="what the shop sells: receipts as JSON lines, a CSV file, or counts that --save-baskets wrote")  # fmt: skip
    p.add_argument("--basket", type=_ids, default=(), metavar="ID,ID", help="what is in the basket now")
    p.add_argument("--top", type=int, default=10, metavar="N", help="how many (default 10)")
    p.add_argument("--among", metavar="FILE", help="rank what a search found: the output of search --json, - for stdin")
    p.add_argument("--in-stock", action="store_true", help="nothing whose field stock is 0, or in_stock is false")
    p.add_argument("--max-price", type=float, metavar="PRICE", help="nothing that costs more")
    p.add_argument("--never", type=_ids, default=(), metavar="ID,ID", help="not these")
    p.add_argument("--variety", type=float, metavar="V", help="0: the best alone; 1: what is least alike (default 0.1)")
    p.add_argument("--bought", type=_ids, metavar="ID,ID", help="add a purchase to the profile, and recommend nothing")
    p.add_argument("--at", metavar="TIME", help="as of then, such as 2026-11-27T18:30 (default: now)")
    p.add_argument("--half-life", type=_duration, metavar="TIME",
                   help="of a new profile: after how long a purchase counts half, such as 60d or 12h (default 120d)")  # fmt: skip
    p.add_argument("--floor", type=int, metavar="N",
                   help="of a log: what fewer shoppers bought does not count (default 5)")  # fmt: skip
    p.add_argument("--save-baskets", type=Path, metavar="FILE", help="write the shop's counts, and recommend nothing")
    p.add_argument("--show", action="store_true", help="print all that the profile holds")
    p.add_argument("--export", type=Path, metavar="FILE", help="write the profile to another file, to take it along")
    p.add_argument("--forget", action="store_true", help="overwrite the profile and remove it")
    return p


def run(arguments: argparse.Namespace) -> int:
    acts = {"forget": _forget, "show": _show, "export": _export, "save_baskets": _save_baskets, "bought": _bought}
    wanted = [name for name in acts if getattr(arguments, name)]
    if len(wanted) > 1:
        options = " and ".join(f"--{name.replace('_', '-')}" for name in wanted)
        raise InputError(f"{options} are done one at a time; give one of them")
    return acts[wanted[0]](arguments) if wanted else _suggest(arguments)


def _forget(arguments: argparse.Namespace) -> int:
    from edgevision.recommend.profile_file import forget_profile

    path = _profile_path(arguments, "--forget")
    found = forget_profile(path)
    if arguments.json:
        output.show_json({"profile": str(path), "forgotten": found})
    else:
        output.say(f"{path} is forgotten" if found else f"there was nothing to forget at {path}")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from edgevision.recommend.profile_file import check_time

    profile = _existing(arguments, "--show")
    if arguments.json:
        output.show_json(profile.to_dict())
        return 0
    known = profile.to_dict()
    output.say(f"half-life {known['half_life_s'] / 86_400:g} days; baskets, as they have faded: {known['baskets']:g}")
    output.say(
        f"a vector of {len(known['interest'])} numbers: which looks are liked. No picture, name or other data of a person"
    )
    lines = [(id, f"{count:g}") for id, count in known["products"].items()]
    output.table("", ("product", "bought, as it has faded"), lines)
    try:
        check_time(arguments.profile, profile)
    except InputError as error:
        output.say(str(error))
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from edgevision.recommend.profile_file import check_time, is_profile_file, save_profile

    _check_target(arguments, arguments.export, "a profile", is_profile_file)
    profile = _existing(arguments, "--export")
    check_time(arguments.profile, profile)  # which names this file, not the new one
    save_profile(arguments.export, profile)
    _done(arguments, {"exported": str(arguments.export)}, f"wrote {arguments.export}")
    return 0


def _save_baskets(arguments: argparse.Namespace) -> int:
    from edgevision.recommend.baskets_file import is_baskets_file, save_baskets
    from edgevision.recommend.sources import open_baskets

    if arguments.baskets is None:
        raise InputError("--save-baskets needs what to count: give --baskets LOG")
    _check_target(arguments, arguments.save_baskets, "a file of basket counts", is_baskets_file)
    baskets = open_baskets(arguments.baskets, floor=arguments.floor)
    save_baskets(arguments.save_baskets, baskets)
    fields = {"baskets": baskets.total, "products": len(baskets.counts()), "floor": baskets.floor}
    _done(arguments, fields, f"wrote {arguments.save_baskets}: {fields['products']} products of {baskets.total} baskets, "
          f"each bought by {baskets.floor} shoppers or more")  # fmt: skip
    return 0


def _bought(arguments: argparse.Namespace) -> int:
    from edgevision.recommend.profile_file import open_profile, save_profile
    from edgevision.recommend.shelf import Shelf

    path = _profile_path(arguments, "--bought")
    gallery = _gallery(arguments)
    shelf = Shelf.of_gallery(gallery)
    _check_ids(arguments.bought, shelf)
    profile = open_profile(
        path, bundle_id=gallery.bundle_id, dimension=shelf.dimension, half_life_s=arguments.half_life
    )
    profile.bought({id: shelf.vector_of(id) for id in arguments.bought}, _now_s(arguments))
    save_profile(path, profile)
    _done(arguments, {"profile": str(path), "bought": list(arguments.bought)}, f"added to {path}")
    return 0


def _suggest(arguments: argparse.Namespace) -> int:
    from edgevision.recommend.baskets import Baskets
    from edgevision.recommend.candidates import read_candidates
    from edgevision.recommend.options import RecommendOptions
    from edgevision.recommend.profile_file import open_profile
    from edgevision.recommend.recommender import Recommender
    from edgevision.recommend.shelf import Shelf
    from edgevision.recommend.sources import open_baskets

    options = RecommendOptions() if arguments.variety is None else RecommendOptions(variety=arguments.variety)
    gallery = _gallery(arguments)
    shelf = Shelf.of_gallery(gallery)
    _check_ids(arguments.basket, shelf)
    profile = None
    if arguments.profile is not None:
        profile = open_profile(arguments.profile, bundle_id=gallery.bundle_id, dimension=shelf.dimension)
    baskets = Baskets() if arguments.baskets is None else open_baskets(arguments.baskets, floor=arguments.floor)
    among = None if arguments.among is None else read_candidates(_text(arguments.among))
    now_s = _now_s(arguments)
    found = Recommender(shelf, baskets, options).suggest(
        profile, now_s=now_s, basket=arguments.basket, top=arguments.top, rules=_rules(arguments), relevance=among
    )
    history = 0.0 if profile is None else profile.baskets(now_s)
    if arguments.json:
        output.show_json({
            "history_baskets": history, "shop_baskets": baskets.total, "suggestions": [one.to_dict() for one in found],
        })  # fmt: skip
        return 0
    if not found:
        output.say("nothing may be recommended: the basket and the rules leave no product")
        return 0
    if not history and not baskets.total:
        output.say("nothing is known yet of the shopper and of the shop: give --profile, --baskets or both")
    lines = [(one.product.name, f"{100 * one.score:.1f} %", _why(one)) for one in found]
    output.table("", ("product", "chance", "why"), lines, left=1)
    return 0


def _why(one: Suggestion) -> str:
    from edgevision.recommend.reasons import whole_percents

    percents = whole_percents({reason.term: reason.share for reason in one.reasons})
    return "; ".join(f"{percents[reason.term]} % {reason.words}" for reason in one.reasons)


def _rules(arguments: argparse.Namespace) -> list[Rule]:
    from edgevision.recommend import rules

    made: list[Rule] = []
    if arguments.in_stock:
        made.append(rules.in_stock)
    if arguments.max_price is not None:
        made.append(rules.at_most(arguments.max_price))
    if arguments.never:
        made.append(rules.none_of(arguments.never))
    return made


def _gallery(arguments: argparse.Namespace) -> Gallery:
    if arguments.gallery is None:
        raise InputError("give the gallery: edgevision recommend shop.evg …")
    from edgevision.gallery.gallery import open_gallery

    return open_gallery(arguments.gallery)


def _check_ids(ids: Iterable[int], shelf: Shelf) -> None:
    for id in ids:
        if id not in shelf.place:
            raise InputError(f"the gallery has no product {id}; edgevision gallery list shows all")


def _check_target(arguments: argparse.Namespace, target: Path, kind: str, is_kind: Callable[[Path], bool]) -> None:
    """Raise InputError where writing would replace what is read, or a file of another kind. An empty file is of any."""
    from edgevision.cli.outputs import check_target

    check_target(target, [arguments.gallery, arguments.profile, arguments.baskets, arguments.among])
    if _holds_something(target) and not is_kind(target):
        raise InputError(
            f"cannot write {target}: what is there is not {kind}, and would be lost; give another file, or remove it"
        )


def _holds_something(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size > 0
    except (OSError, ValueError):  # whoever writes says why it cannot be
        return False


def _profile_path(arguments: argparse.Namespace, option: str) -> Path:
    if arguments.profile is None:
        raise InputError(f"{option} needs the profile: give --profile FILE")
    return Path(arguments.profile)


def _existing(arguments: argparse.Namespace, option: str) -> Profile:
    from edgevision.recommend.profile_file import read_profile

    path = _profile_path(arguments, option)
    try:
        return read_profile(path)
    except FileNotFoundError:
        raise InputError(f"there is no profile at {path}; --bought begins one") from None


def _text(path: str) -> str:
    if path == "-":
        return sys.stdin.read()
    from edgevision.files import read_regular

    try:
        return read_regular(path, _MOST_CANDIDATE_BYTES).decode("utf-8")
    except OSError as error:
        raise InputError(f"cannot read the candidates {path}: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise InputError(f"{path} is not in UTF-8; give what edgevision search --json prints") from None


def _done(arguments: argparse.Namespace, fields: dict[str, Any], words: str) -> None:
    if arguments.json:
        output.show_json(fields)
    else:
        output.say(words)


def _now_s(arguments: argparse.Namespace) -> float:
    if arguments.at is None:
        return time.time()
    try:
        return datetime.fromisoformat(arguments.at.replace("Z", "+00:00")).timestamp()
    except ValueError:
        raise InputError(
            f"--at is a time such as 2026-11-27T18:30 or 2026-11-27T17:30Z, got {arguments.at!r}"
        ) from None


def _ids(text: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(int(one) for one in text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected ids with commas between them, such as 3,17, got {text!r}") from None


def _duration(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|min|h|d)", text)
    if match is None or not float(match[1]) > 0:
        raise argparse.ArgumentTypeError(f"expected a time such as 60d, 12h, 30min or 90s, got {text!r}")
    return float(match[1]) * _SECONDS[match[2]]
