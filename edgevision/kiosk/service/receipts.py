"""``POST /v1/receipts``: what was bought, checked, and brought to the shop's server however long that is away."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from edgevision.errors import EdgeVisionError, InputError, SinkError
from edgevision.evaluate.data.names import composed
from edgevision.kiosk.service.answers import RefusedError
from edgevision.kiosk.service.bodies import Budget, read_body
from edgevision.kiosk.service.described import ServedDescription
from edgevision.kiosk.service.money import MOST, amount, currency, shown
from edgevision.kiosk.service.products import Catalogue
from edgevision.kiosk.service.route import Scope, route
from edgevision.kiosk.service.watching import DEVICE
from edgevision.streams.sink_status import Health
from edgevision.streams.sinks.messages import Message, encode
from edgevision.streams.sinks.registry import make_sink
from edgevision.streams.sinks.state_folder import spool_path
from edgevision.streams.sinks.webhook import WebhookSink

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

PATH = "/v1/receipts"
MAX_BODY_BYTES = 256 << 10
MOST_ITEMS = 1000
MOST_QUANTITY = 9999
MOST_KEYS = 10_000  # of idempotency that are remembered: weeks of one till
KEEP_S = 366 * 86_400.0  # how long a receipt waits for a server that does not come back, before it is given up
_SPACE = uuid.UUID("6a1d5c7e-1f0b-4d65-9a53-0a2f0c6e3b11")  # of the ids that are made of idempotency keys
_KEY = re.compile(r"[!-~]{1,255}", re.ASCII)
_FIELDS = frozenset({"items", "total", "currency", "at"})
_ITEM_FIELDS = frozenset({"id", "name", "quantity", "price"})
_SPOOL_SHARE = 0.9  # of the spool's room: beyond it, receipts are refused, for a full spool drops its oldest


class ConflictError(EdgeVisionError):
    """Another receipt has this key."""


class NoRoomError(EdgeVisionError):
    """The receipt cannot be kept until the server takes it."""


@dataclass(frozen=True)
class Line:
    """One product of a receipt. ``price``: of one piece; None: not known, and not in the total."""

    id: int
    name: str
    quantity: int
    price: Decimal | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"id": self.id, "name": self.name, "quantity": self.quantity, "price": _shown(self.price)}


@dataclass(frozen=True)
class Receipt:
    """What was bought. ``total`` and ``currency``: None where no line has a price. ``at``: when, ISO 8601 with its offset from UTC, as the
    caller has it. ``sent``: a digest of what the caller sent, before anything was completed: a repetition has the same."""

    items: tuple[Line, ...]
    total: Decimal | None
    currency: str | None
    at: str
    sent: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "items": [one.to_dict() for one in self.items], "total": _shown(self.total), "currency": self.currency, "at": self.at,
        }  # fmt: skip


def read_receipt(body: bytes, catalogue: Catalogue, model: ServedDescription) -> Receipt:
    """The receipt in ``body``, checked: its products are known, its prices are the price list's, its total is their sum.

    A name and a price that are left out are completed. A line without any price does not count; where no line has one, the total is null.
    Raises InputError, which says what was expected.
    """
    given = _json(body)
    if not isinstance(given, dict):
        raise InputError("expected a JSON object with items, total, currency and at")
    _check_fields("the receipt", given, _FIELDS, required=frozenset({"items", "total"}))
    code = _currency(given, catalogue)
    items = given["items"]
    if not isinstance(items, list) or not 1 <= len(items) <= MOST_ITEMS:
        raise InputError(f"items is a list of 1 to {MOST_ITEMS} products")
    lines = tuple(_line(number, item, code, catalogue, model) for number, item in enumerate(items, 1))
    total = _total(given["total"], lines, code)
    return Receipt(lines, total, code, _time(given.get("at")), _digest(given))


def _digest(given: Any) -> str:
    """Of what the caller sent."""
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()


class Taken(NamedTuple):
    """A receipt that is on its way. ``again``: this key was taken before, with the same content. ``total``, ``currency``: as in ``Receipt``."""

    id: str
    again: bool
    total: Decimal | None
    currency: str | None


class ReceiptPost:
    """Brings receipts to a webhook; what it does not take waits on disk, through restarts. Thread-safe.

    ``address``: ``https://HOST/PATH#secret_env=NAME&…``, with the options of the webhook sink. Raises InputError.
    """

    def __init__(self, address: str) -> None:
        sink = make_sink(address)
        if not isinstance(sink, WebhookSink):
            raise InputError("receipts go to a webhook: give https://HOST/PATH, or http:// on this machine")
        options: dict[str, str | int | float] = (
            {} if "max_age_s=" in address.partition("#")[2] else {"max_age_s": KEEP_S}
        )
        if "spool=" not in address.partition("#")[2]:
            options["spool"] = str(
                spool_path(f"receipts {sink.name}")
            )  # not that of a stream that posts to the same server
        made = make_sink(address, options)
        assert isinstance(made, WebhookSink)
        self.name = made.name
        self._courier = made.courier
        # key → digest of the content, what was answered
        self._known: OrderedDict[str, tuple[str, Taken]] = OrderedDict()
        self._lock = threading.Lock()

    def open(self) -> None:
        """Begin to post what an earlier run left. Does not wait for the server. Raises SinkError, InputError."""
        self._courier.open()

    def close(self, timeout_s: float) -> bool:
        """Post what can be posted in time; the rest stays on disk. Whether the thread has ended."""
        return self._courier.close(timeout_s)

    def health(self) -> Health:
        """How the server is, and what waits for it."""
        return self._courier.health()

    def post(self, receipt: Receipt, model_id: str, key: str | None, device: str | None = None) -> Taken:
        """Keep a receipt on disk, and post it. Returns when it is safe there. Raises ConflictError, NoRoomError.

        ``key``: the caller's; what comes again from the same ``device`` with the same key is posted once. After a restart it may be posted
        again, under the same id: what was completed, such as the time, does not make it another receipt.
        """
        fields, digest = receipt.to_dict(), receipt.sent
        if key is not None:
            key = _own(key, device)
        id = str(uuid.uuid4() if key is None else uuid.uuid5(_SPACE, f"{key} {digest}"))
        with self._lock:
            known = None if key is None else self._known.get(key)
            if known is not None:
                if known[0] != digest:
                    raise ConflictError(
                        "another receipt came with this Idempotency-Key; give each receipt a key of its own"
                    )
                return known[1]._replace(again=True)
            received = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
            body = encode(
                {
                    "late": False,
                    "kind": "receipt",
                    "id": id,
                    "received": received,
                    "device": device,
                    "model": model_id,
                    **fields,
                }
            )
            self._keep(id, body)
            taken = Taken(id, again=False, total=receipt.total, currency=receipt.currency)
            if key is not None:
                self._known[key] = digest, taken
                if len(self._known) > MOST_KEYS:
                    self._known.popitem(last=False)
        return taken

    def taken_before(self, body: bytes, key: str | None, device: str | None = None) -> Taken | None:
        """What was answered where the same body came with this key from this device; else None. It is not looked at again: prices may have
        changed since. Raises InputError for what is no JSON."""
        if key is None:
            return None
        with self._lock:
            digest, taken = self._known.get(_own(key, device), ("", None))
        return taken._replace(again=True) if taken is not None and digest == _digest(_json(body)) else None

    def _keep(self, id: str, body: bytes) -> None:
        try:
            spool = self._courier.spool
            if spool.pending_bytes + len(body) > _SPOOL_SHARE * spool.max_bytes:
                raise NoRoomError("too many receipts wait for the shop's server; see that it can be reached")
            self._courier.send(Message(id, "event", "", body))
            spool.sync()
        except SinkError as error:
            raise NoRoomError("the receipt cannot be written to the disk; see the service's log") from error


def _own(key: str, device: str | None) -> str:
    """The key, of this device alone."""
    return f"{device or ''} {key}"


def receipt_routes(
    post: ReceiptPost | None, catalogue: Callable[[], Catalogue], model: Callable[[], ServedDescription], budget: Budget
) -> list[BaseRoute]:  # fmt: skip
    """The route that takes receipts. ``post``: what brings them to the shop's server; None: they are refused. ``catalogue``: as of now."""

    async def receipts(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import JSONResponse

        if post is None:
            raise RefusedError(404, "receipts are off; start the service with --receipts URL")
        key = request.headers.get("idempotency-key")
        if key is not None and _KEY.fullmatch(key) is None:
            raise RefusedError(400, "Idempotency-Key is 1 to 255 visible ASCII characters")
        with budget.share() as share:
            body = await read_body(request, share)
        now = model()
        try:
            device = request.scope.get(DEVICE)
            taken = await run_in_threadpool(post.taken_before, body, key, device)
            if taken is None:
                receipt = await run_in_threadpool(read_receipt, body, catalogue(), now)
                taken = await run_in_threadpool(post.post, receipt, now.id, key, device)
        except ConflictError as error:
            raise RefusedError(409, str(error)) from None
        except NoRoomError as error:
            raise RefusedError(507, str(error), retry_after_s=30.0) from error
        except InputError as error:
            raise RefusedError(422, str(error)) from None
        fields = {"id": taken.id, "again": taken.again, "total": _shown(taken.total), "currency": taken.currency}
        return JSONResponse(fields, 200 if taken.again else 202)

    return [route(PATH, receipts, scope=Scope.INFER, methods=("POST",), max_body_bytes=MAX_BODY_BYTES)]


# ---- what is in a receipt ----


def _json(body: bytes) -> Any:
    try:
        return json.loads(body.decode(), parse_float=str, parse_int=_whole, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InputError("expected JSON in UTF-8") from None


def _whole(text: str) -> int:
    if len(text) > 19:
        raise ValueError("too long")
    return int(text)


def _refuse_constant(text: str) -> Any:
    raise ValueError(text)


def _check_fields(what: str, given: Mapping[str, Any], known: frozenset[str], required: frozenset[str]) -> None:
    if missing := sorted(required - given.keys()):
        raise InputError(f"{what} lacks {missing[0]}")
    if unknown := sorted(given.keys() - known):
        raise InputError(f"{what} has {unknown[0][:40]!r}, which is not known; known are {', '.join(sorted(known))}")


def _currency(given: Mapping[str, Any], catalogue: Catalogue) -> str | None:
    """The receipt's currency, else the price list's; None where neither has one, for then nothing has a price."""
    listed = catalogue.prices.currency
    code = given.get("currency")
    if code is None:
        return listed
    if not isinstance(code, str):
        raise InputError("currency is three capital letters, such as EUR")
    if listed is not None and currency(code) != listed:
        raise InputError(f"the price list is in {listed}, got a receipt in {code}")
    return currency(code)


def _line(number: int, item: Any, code: str | None, catalogue: Catalogue, model: ServedDescription) -> Line:
    what = f"item {number}"
    if not isinstance(item, dict):
        raise InputError(f"{what}: expected an object with id, name, quantity and price")
    _check_fields(what, item, _ITEM_FIELDS, required=frozenset({"id", "quantity"}))
    id, quantity = item["id"], item["quantity"]
    if isinstance(id, bool) or not isinstance(id, int):
        raise InputError(f"{what}: id is a whole number")
    if isinstance(quantity, bool) or not isinstance(quantity, int) or not 1 <= quantity <= MOST_QUANTITY:
        raise InputError(f"{what}: quantity is a whole number from 1 to {MOST_QUANTITY}")
    label = next((one for one in model.labels if one.id == id), None)
    if label is None:
        raise InputError(f"{what}: the model knows no product with the id {id}; /v1/products lists them")
    name = item.get("name", label.name)
    if not isinstance(name, str) or composed(name) != composed(label.name):
        raise InputError(f"{what}: the product {id} is called {label.name!r}")
    listed = catalogue.price_of(label)
    if item.get("price") is None:
        return Line(id, label.name, quantity, listed)
    price = _amount(f"{what}: price", item["price"], code)
    if listed is not None and not catalogue.honours(label, price):
        raise InputError(f"{what}: {label.name!r} costs {shown(listed)}, got {shown(price)}; read /v1/products again")
    return Line(id, label.name, quantity, price)


def _total(given: Any, lines: Sequence[Line], code: str | None) -> Decimal | None:
    """The receipt's total, checked: the sum of the lines that have a price. None where none has one, and none is given."""
    prices = [one.price * one.quantity for one in lines if one.price is not None]
    if given is None and not prices:
        return None
    total = _amount("total", given, code)
    expected = sum(prices, Decimal(0))
    if expected > MOST:
        raise InputError(f"a receipt comes to at most {MOST:f}")
    if total != expected:
        unpriced = len(lines) - len(prices)
        without = f"; items without a price, which do not count: {unpriced}" if unpriced else ""
        raise InputError(f"the total of these items is {shown(expected)}, got {shown(total)}{without}")
    return total


def _shown(value: Decimal | None) -> str | None:
    return None if value is None else shown(value)


def _amount(what: str, given: Any, code: str | None) -> Decimal:
    """A text such as ``"1.29"``; also a number, read by its digits and never as a float."""
    if code is None:
        raise InputError("an amount needs its currency: three capital letters, such as EUR")
    if isinstance(given, bool) or not isinstance(given, (str, int)):
        raise InputError(f'{what} is an amount such as "1.29"')
    try:
        return amount(str(given), code)
    except InputError as error:
        raise InputError(f"{what}: {error}") from None


def _time(given: Any) -> str:
    if given is None:
        return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    try:
        read = datetime.fromisoformat(given.replace("Z", "+00:00"))
    except (ValueError, AttributeError, TypeError):
        raise InputError('at is a time such as "2026-11-28T15:30:00+01:00"') from None
    if read.tzinfo is None:
        raise InputError("at needs its offset from UTC, such as +01:00 or Z")
    return read.isoformat()
