"""A small language that says which products are meant: ``price < 3 and kind = apple``.

    either    = both ("or" both)*
    both      = one ("and" one)*
    one       = "not" one | "(" either ")" | condition
    condition = FIELD ("=" | "!=" | "<" | "<=" | ">" | ">=" | "~") VALUE | FIELD ["not"] "in" "(" VALUE ("," VALUE)* ")"

A field is ``name``, ``id``, or any field of the products. Values are numbers, true, false, none, or words; what is more than one
word, or looks like something else, stands in quotes, ``"`` or ``'``. ``~`` means: contains. Nothing is ever evaluated as code.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from edgevision.errors import InputError
from edgevision.gallery.products import FieldValue, GalleryProduct

MAX_LENGTH = 10_000  # characters
MAX_DEPTH = 50  # of parentheses and nots within each other

_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<sign><=|>=|!=|==|[=<>~(),])|(?P<word>[^\s=<>!~(),"']+))""",
    re.DOTALL,
)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_CONSTANTS: dict[str, FieldValue] = {"true": True, "false": False, "none": None}
_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


@dataclass(frozen=True)
class Value:
    """``text``: as it was written. ``value``: what that means."""

    text: str
    value: FieldValue


@dataclass(frozen=True)
class Condition:
    """One field compared with one value or, of ``in``, several. ``at``: its place in the filter, in characters from 0."""

    field: str
    sign: str
    values: tuple[Value, ...]
    at: int

    def holds(self, product: GalleryProduct) -> bool:
        """A field that the product lacks is none: nothing is less, more or within it."""
        own = field_of(product, self.field)
        if self.sign == "~":
            return isinstance(own, str) and _folded(self.values[0].text) in _folded(own)
        if self.sign in _ORDER:
            limit = self.values[0].value
            return _is_number(own) and _is_number(limit) and _ORDER[self.sign](own, limit)  # type: ignore[arg-type]
        equal = any(_equal(own, one) for one in self.values)
        return not equal if self.sign in ("!=", "not in") else equal

    def __str__(self) -> str:
        listed = ", ".join(one.text for one in self.values)
        return f"{self.field} {self.sign} {f'({listed})' if self.sign.endswith('in') else listed}"


@dataclass(frozen=True)
class Not:
    """True where ``inner`` is not."""

    inner: Expression

    def holds(self, product: GalleryProduct) -> bool:
        """Whether the product is meant."""
        return not self.inner.holds(product)


@dataclass(frozen=True)
class AllOf:
    """True where all ``parts`` are."""

    parts: tuple[Expression, ...]

    def holds(self, product: GalleryProduct) -> bool:
        """Whether the product is meant."""
        return all(part.holds(product) for part in self.parts)


@dataclass(frozen=True)
class AnyOf:
    """True where one of ``parts`` is."""

    parts: tuple[Expression, ...]

    def holds(self, product: GalleryProduct) -> bool:
        """Whether the product is meant."""
        return any(part.holds(product) for part in self.parts)


Expression: TypeAlias = "Condition | Not | AllOf | AnyOf"


@dataclass(frozen=True)
class Filter:
    """Call it with a product: is it meant? Made by ``read_filter``."""

    text: str
    expression: Expression

    def __call__(self, product: GalleryProduct) -> bool:
        """Whether the product is meant."""
        return self.expression.holds(product)

    def conditions(self) -> Iterator[Condition]:
        """Its conditions, from left to right."""
        waiting: list[Expression] = [self.expression]
        while waiting:
            one = waiting.pop()
            if isinstance(one, Condition):
                yield one
            elif isinstance(one, Not):
                waiting.append(one.inner)
            else:
                waiting.extend(reversed(one.parts))

    def check(self, products: Iterable[GalleryProduct]) -> None:
        """Raise InputError for a field that no product has, and for ``<`` and the like where none is a number."""
        listed = tuple(products)
        if not listed:
            return
        known = sorted({"id", "name"}.union(*(one.fields for one in listed)))
        for condition in self.conditions():
            if condition.field not in known:
                _refuse(
                    self.text,
                    condition.at,
                    f"no product has the field '{condition.field}'; there are: {', '.join(known[:20])}",
                )
            if condition.sign in _ORDER and not any(_is_number(field_of(one, condition.field)) for one in listed):
                _refuse(
                    self.text,
                    condition.at,
                    f"'{condition.field}' is a number of no product, expected numbers for {condition.sign}",
                )


def read_filter(text: str) -> Filter:
    """Read a filter. Raises InputError, which says where it is wrong.

    >>> cheap = read_filter("price < 3 and kind in (apple, pear)")
    >>> cheap(GalleryProduct(1, "Royal Gala", {"price": 2.5, "kind": "Apple"}))
    True
    """
    if len(text) > MAX_LENGTH:
        raise InputError(f"the filter is {len(text)} characters long, expected at most {MAX_LENGTH}")
    return Filter(text, _Reader(text).read())


def field_of(product: GalleryProduct, field: str) -> FieldValue:
    """The product's value of a field; of ``name`` and ``id`` its own, unless a field has that name. None where it has none."""
    if field in product.fields:
        return product.fields[field]
    own: dict[str, FieldValue] = {"name": product.name, "id": product.id}
    return own.get(field)


@dataclass(frozen=True)
class _Token:
    kind: str  # quoted, sign, word, end
    text: str
    at: int


class _Reader:
    """Recursive descent over the tokens."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._place = 0
        self._depth = 0

    def read(self) -> Expression:
        expression = self._either()
        if self._next.kind != "end":
            self._expected("'and', 'or' or the end")
        return expression

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place]

    def _take(self) -> _Token:
        token = self._next
        self._place += 1
        return token

    def _is(self, *words: str) -> bool:
        """Whether one of the language's own words or signs comes next: in quotes it would be a value."""
        return self._next.kind != "quoted" and self._next.text.lower() in words

    def _either(self) -> Expression:
        parts = [self._both()]
        while self._is("or"):
            self._take()
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _both(self) -> Expression:
        parts = [self._one()]
        while self._is("and"):
            self._take()
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _one(self) -> Expression:
        if not self._is("not", "("):
            return self._condition()
        if self._depth == MAX_DEPTH:
            _refuse(self._text, self._next.at, f"more than {MAX_DEPTH} 'not' and parentheses within each other")
        self._depth += 1
        made: Expression
        if self._take().text == "(":
            made = self._either()
            self._take_sign(")")
        else:
            made = Not(self._one())
        self._depth -= 1
        return made

    def _condition(self) -> Condition:
        if self._next.kind not in ("word", "quoted") or self._is("and", "or", "in"):
            self._expected("the name of a field")
        field = self._take()
        name = _meaning(field)
        if self._is("in"):
            self._take()
            return Condition(name, "in", self._list(), field.at)
        if self._is("not"):
            self._take()
            if not self._is("in"):
                self._expected("'in' after 'not'")
            self._take()
            return Condition(name, "not in", self._list(), field.at)
        if not self._is("=", "==", "!=", "<", "<=", ">", ">=", "~"):
            self._expected(f"one of = != < <= > >= ~ in after '{name}'")
        sign = self._take().text.replace("==", "=")
        value_at = self._next.at
        value = self._value()
        if sign in _ORDER and not _is_number(value.value):
            _refuse(self._text, value_at, f"{sign} compares numbers, got '{value.text}'")
        return Condition(name, sign, (value,), field.at)

    def _list(self) -> tuple[Value, ...]:
        self._take_sign("(")
        values = [self._value()]
        while self._is(","):
            self._take()
            values.append(self._value())
        self._take_sign(")")
        return tuple(values)

    def _value(self) -> Value:
        if self._next.kind not in ("word", "quoted") or self._is("and", "or", "not", "in"):
            self._expected("a value (quote what is one of the filter's own words)")
        token = self._take()
        if token.kind == "word" and self._next.kind in ("word", "quoted") and not self._is("and", "or"):
            _refuse(
                self._text,
                self._next.at,
                f"'{self._next.text}' follows a value; quote values of several words: '{token.text} …'",
            )
        text = _meaning(token)
        if token.kind == "quoted":
            return Value(text, text)
        if text.lower() in _CONSTANTS:
            return Value(text, _CONSTANTS[text.lower()])
        return Value(text, float(text) if _NUMBER.fullmatch(text) else text)

    def _take_sign(self, sign: str) -> None:
        if not self._is(sign):
            self._expected(f"'{sign}'")
        self._take()

    def _expected(self, what: str) -> NoReturn:
        got = "the end" if self._next.kind == "end" else f"'{self._next.text}'"
        _refuse(self._text, self._next.at, f"expected {what}, got {got}")


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while place < len(text.rstrip()):
        match = _TOKEN.match(text, place)
        if match is None:
            at = place + len(text[place:]) - len(text[place:].lstrip())
            what = "a quote that does not end" if text[at] in "\"'" else f"cannot be read: '{text[at]}'"
            _refuse(text, at, what)
        kind = match.lastgroup or ""
        yield _Token(kind, match[kind], match.start(kind))
        place = match.end()
    yield _Token("end", "", len(text))


def _meaning(token: _Token) -> str:
    """Without quotes; in them a backslash takes the next character as it is."""
    return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL) if token.kind == "quoted" else token.text


def _refuse(text: str, at: int, what: str) -> NoReturn:
    around = f"{text[max(0, at - 30) : at]}▸{text[at : at + 30]}"
    raise InputError(f"the filter is wrong at character {at + 1}: {what}: {around}")


def _is_number(value: FieldValue) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _folded(text: str) -> str:
    """For comparing: upper and lower case are the same, and so are Unicode's ways to write one letter."""
    return unicodedata.normalize("NFKC", text).casefold()


def _equal(own: FieldValue, given: Value) -> bool:
    """A text equals what was written, though that looks like a number: codes are often kept as texts."""
    if isinstance(own, str):
        return _folded(own) == _folded(given.text)
    if isinstance(own, bool) or isinstance(given.value, bool) or own is None:
        return own is given.value
    return _is_number(given.value) and own == given.value
