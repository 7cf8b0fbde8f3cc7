"""``streams.toml``: cameras, sinks, lines and zones, and how the stream is run. Errors name the file and the line."""

from __future__ import annotations

import dataclasses
import difflib
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from edgevision.errors import InputError, MissingExtraError
from edgevision.streams.credentials import hide_secrets
from edgevision.streams.options import CameraOptions, Mode, StreamOptions, SwapOptions
from edgevision.streams.sinks.base import Sink
from edgevision.streams.sinks.registry import make_sink
from edgevision.tracking.places import Anchor, Line, Zone
from edgevision.tracking.tracker import TrackerOptions

MAX_BYTES = 1 << 20

Keys: TypeAlias = tuple[str | int, ...]
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class SinkSettings:
    """One sink. ``url``: as ``make_sink`` takes it, never shown, for it may hold a password; ``options``: what it is told besides."""

    url: str = field(repr=False)
    options: Mapping[str, str | int | float] = field(default_factory=dict)

    def make(self) -> Sink:
        """The sink. Raises InputError, MissingExtraError."""
        return make_sink(self.url, self.options)


@dataclass(frozen=True)
class Settings:
    """All that a file says. ``gallery``: whose products the model answers with, or the second one. ``threshold``: the first model's, as
    ``edgevision.load`` takes it; None: the bundle's own. ``places``: camera → its lines and zones."""

    model: Path | None = None
    then: Path | None = None
    gallery: Path | None = None
    threshold: float | None = None
    cameras: tuple[CameraOptions, ...] = ()
    places: Mapping[str, tuple[Line | Zone, ...]] = field(default_factory=dict)
    stream: StreamOptions = field(default_factory=StreamOptions)
    swap: SwapOptions = field(default_factory=SwapOptions)
    tracker: TrackerOptions = field(default_factory=TrackerOptions)
    sinks: tuple[SinkSettings, ...] = ()


@dataclass(frozen=True)
class Changes:
    """What a new file says otherwise. ``added``, ``removed`` and ``changed``: cameras. ``places``: whether lines, zones or the
    tracker changed; ``model``: whether the model did, the second one, the gallery or the threshold; ``swap``: what a new model has to show. ``restart``: parts
    of the file that only a new start of the program takes up."""

    added: tuple[CameraOptions, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[CameraOptions, ...] = ()
    places: bool = False
    model: bool = False
    swap: bool = False
    restart: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self != Changes()


def changes(old: Settings, new: Settings) -> Changes:
    """What has to be done to get from one to the other.

    >>> door = CameraOptions("door", "rtsp://10.0.0.7/main")
    >>> changes(Settings(), Settings(cameras=(door,))).added[0].name
    'door'
    """
    before = {camera.name: camera for camera in old.cameras}
    after = {camera.name: camera for camera in new.cameras}
    return Changes(
        added=tuple(camera for name, camera in after.items() if name not in before),
        removed=tuple(name for name in before if name not in after),
        changed=tuple(camera for name, camera in after.items() if name in before and before[name] != camera),
        places=(old.places, old.tracker) != (new.places, new.tracker),
        model=_served(old) != _served(new),
        swap=old.swap != new.swap,
        restart=tuple(name for name in ("stream", "sinks") if getattr(old, name) != getattr(new, name)),
    )


def _served(settings: Settings) -> tuple[object, ...]:
    """All that another model has to be loaded for."""
    return settings.model, settings.then, settings.gallery, settings.threshold


def read_settings(path: str | Path) -> Settings:
    """Read a file. Raises InputError that names the file and the line, MissingExtraError on Python 3.10 without tomli."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    if len(content) > MAX_BYTES:
        raise InputError(f"{path} has more than {MAX_BYTES} bytes; settings are shorter")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(f"{path}:{line}: TOML is UTF-8, and this is not; save the file as UTF-8") from None
    return parse_settings(text, str(path))


def parse_settings(text: str, name: str = "streams.toml") -> Settings:
    """The same for a text. ``name``: what errors call it.

    >>> parse_settings('[[camera]]\\nname = "door"\\nsorce = "rtsp://10.0.0.7/main"')
    Traceback (most recent call last):
    edgevision.errors.InputError: streams.toml:3: 'sorce' is not known in [[camera]]; did you mean source?
    """
    toml = _toml()
    text = text.replace("\r\n", "\n")
    try:
        values = toml.loads(text)
    except toml.TOMLDecodeError as error:
        raise InputError(_placed(name, text, str(error))) from None
    top = _Table(values, (), _Places(name, text))
    model, then, gallery = (top.take(name, _path) for name in ("model", "then", "gallery"))
    cameras, places = _cameras(top)
    settings = Settings(
        model=model,
        then=then,
        gallery=gallery,
        threshold=top.take("threshold", _score),
        cameras=cameras,
        places=places,
        stream=top.options("stream", StreamOptions),
        swap=top.options("swap", SwapOptions),
        tracker=top.options("tracker", TrackerOptions),
        sinks=tuple(_sink(table) for table in top.tables("sink")),
    )
    top.check_all_used()
    return settings


# ---- parts of the file ----


def _cameras(top: _Table) -> tuple[tuple[CameraOptions, ...], dict[str, tuple[Line | Zone, ...]]]:
    cameras: list[CameraOptions] = []
    places: dict[str, tuple[Line | Zone, ...]] = {}
    for table in top.tables("camera"):
        own = [_line(one) for one in table.tables("line")] + [_zone(one) for one in table.tables("zone")]
        camera = table.make(CameraOptions, mode=_mode)
        if any(camera.name == other.name for other in cameras):
            raise table.error(f"there is a camera {camera.name!r} already; give each its own name", "name")
        names = [place.name for place in own]
        for place in names:
            if names.count(place) > 1:
                raise table.error(f"camera {camera.name!r} has two lines or zones {place!r}; give each its own name")
        cameras.append(camera)
        if own:
            places[camera.name] = tuple(own)
    return tuple(cameras), places


def _line(table: _Table) -> Line | Zone:
    return table.make(Line, start=_point, end=_point, anchor=_anchor)


def _zone(table: _Table) -> Line | Zone:
    return table.make(Zone, corners=_points, anchor=_anchor)


def _sink(table: _Table) -> SinkSettings:
    url = table.take("url", _text)
    if url is None:
        raise table.error("a sink needs its url, such as jsonl:results.jsonl")
    made = SinkSettings(url, {key: table.take(key, _plain) for key in table.left()})
    try:
        made.make()  # nothing is opened yet: it is tried so that what is wrong is told with its line
    except InputError as error:
        raise table.error(str(error), table.named_in(str(error)) or "url") from None
    return made


# ---- values ----


class _Wrong(Exception):  # noqa: N818 - what was expected; it becomes an InputError with the line
    pass


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Wrong("a text in quotes")
    return value


def _path(value: Any) -> Path:
    return Path(_text(value))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _Wrong("a number")
    return float(value)


def _score(value: Any) -> float:
    number = _number(value)
    if not 0 <= number <= 1:
        raise _Wrong("a score, 0…1")
    return number


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Wrong("a whole number")
    return value


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong("true or false")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise _Wrong("a text or a number")
    return value


def _mode(value: Any) -> Mode:
    return Mode.parse(_text(value))


def _anchor(value: Any) -> Anchor:
    names = [anchor.name.lower() for anchor in Anchor]
    if value not in names:
        raise _Wrong(f"one of {', '.join(names)}")
    return Anchor[str(value).upper()]


def _point(value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise _Wrong("a point [x, y] in pixels")
    try:
        return _number(value[0]), _number(value[1])
    except _Wrong:
        raise _Wrong("a point [x, y] in pixels") from None


def _points(value: Any) -> list[tuple[float, float]]:
    if not isinstance(value, list):
        raise _Wrong("a list of points [[x, y], …] in pixels")
    return [_point(one) for one in value]


# How a field of a dataclass is read, by its annotation.
_READERS: dict[str, Callable[[Any], Any]] = {
    "str": _text, "float": _number, "int": _whole, "bool": _yes_or_no, "Transport": _text,
}  # fmt: skip


class _Table:
    """A table of the file, whose keys are taken one by one; what is left in the end is unknown."""

    def __init__(self, values: dict[str, Any], keys: Keys, places: _Places) -> None:
        self._values = dict(values)
        self._keys = keys
        self._places = places
        self._known: list[str] = []
        self._all = tuple(values)

    def take(self, name: str, read: Callable[[Any], Any]) -> Any:
        """The value of a key; None where it is not there."""
        self._known.append(name)
        if name not in self._values:
            return None
        value = self._values.pop(name)
        try:
            return read(value)
        except _Wrong as expected:
            raise self.error(f"{name} is {expected}, got {_shown(value)}", name) from None
        except InputError as error:
            raise self.error(str(error), name) from None

    def tables(self, name: str) -> list[_Table]:
        """The tables of a list ``[[name]]``."""
        self._known.append(name)
        value = self._values.pop(name, [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise self.error(f"write each {name} as a table of its own, under [[{self._header(name)}]]", name)
        return [_Table(one, (*self._keys, name, place), self._places) for place, one in enumerate(value)]

    def options(self, name: str, kind: type[_Made]) -> _Made:
        """The table ``[name]`` as a dataclass of options."""
        self._known.append(name)
        value = self._values.pop(name, {})
        if not isinstance(value, dict):
            raise self.error(f"write {name} as a table, under [{name}]", name)
        return _Table(value, (*self._keys, name), self._places).make(kind)

    def make(self, kind: type[_Made], **readers: Callable[[Any], Any]) -> _Made:
        """A dataclass of the keys that are left. ``readers``: how fields are read that are no plain values."""
        given = {}
        fields = dataclasses.fields(kind)  # type: ignore[arg-type]
        for one in fields:
            annotation = str(one.type).removesuffix(" | None")
            value = self.take(one.name, readers.get(one.name) or _READERS[annotation])
            if value is not None:
                given[one.name] = value
        self.check_all_used()
        for one in fields:
            if one.name not in given and one.default is dataclasses.MISSING:
                raise self.error(f"{self._what()} needs {one.name}")
        try:
            return kind(**given)
        except InputError as error:
            raise self.error(str(error), self.named_in(str(error))) from None

    def left(self) -> list[str]:
        """Keys that were not taken yet."""
        return list(self._values)

    def check_all_used(self) -> None:
        """Raise InputError for a key that nobody takes, with the nearest that is known."""
        for name in self._values:
            near = difflib.get_close_matches(name, self._known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(self._known)}"
            raise self.error(f"{name!r} is not known in {self._what()}; {hint}", name)

    def named_in(self, message: str) -> str | None:
        """The key of this table that a message speaks of."""
        words = set(re.findall(r"\w+", message))
        return next((name for name in self._all if name in words), None)

    def error(self, message: str, name: str | None = None) -> InputError:
        """An error that names the file, and the line of a key or of the table."""
        return InputError(
            f"{self._places.of(self._keys if name is None else (*self._keys, name))}: {hide_secrets(message)}"
        )

    def _header(self, name: str) -> str:
        return ".".join([*(str(key) for key in self._keys if isinstance(key, str)), name])

    def _what(self) -> str:
        if not self._keys:
            return "the file"
        header = ".".join(key for key in self._keys if isinstance(key, str))
        return f"[[{header}]]" if isinstance(self._keys[-1], int) else f"[{header}]"


class _Places:
    """Where each table and key of a file stands. The file was parsed before: it is whole."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._text = text
        self._lines: dict[Keys, int] | None = None

    def of(self, keys: Keys) -> str:
        """File and line; of the nearest table around it where the key itself is not found."""
        if self._lines is None:
            self._lines = _find_lines(self._text)
        while keys and keys not in self._lines:
            keys = keys[:-1]
        return f"{self._name}:{self._lines[keys]}" if keys else self._name


def _find_lines(text: str) -> dict[Keys, int]:
    """The line of each table and key. Statements are cut out by trying: a piece that TOML can read alone is one."""
    toml = _toml()
    found: dict[Keys, int] = {}
    counts: dict[Keys, int] = {}
    table: Keys = ()
    piece, first = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        if not piece and (not line.strip() or line.lstrip().startswith("#")):
            continue
        piece, first = (f"{piece}\n{line}", first) if piece else (line, number)
        try:
            values = toml.loads(piece)
        except toml.TOMLDecodeError:
            continue  # a text or list over several lines
        stripped = piece.lstrip()
        if stripped.startswith("["):
            table = _with_places(_names(values), counts, new=stripped.startswith("[["))
            found[table] = first
        else:
            for depth in range(1, len(names := _names(values)) + 1):
                found.setdefault((*table, *names[:depth]), first)
        piece = ""
    return found


def _names(values: dict[str, Any]) -> tuple[str, ...]:
    """The one path of keys in a statement: ``a.b = 1`` and ``[[a.b]]`` have (a, b)."""
    names: list[str] = []
    inner: Any = values
    while isinstance(inner, dict) and len(inner) == 1:
        name, inner = next(iter(inner.items()))
        names.append(name)
        if isinstance(inner, list) and len(inner) == 1 and inner[0] == {}:
            break
    return tuple(names)


def _with_places(names: tuple[str, ...], counts: dict[Keys, int], *, new: bool) -> Keys:
    """The path with the place in each list of tables: the last of it, or a new one."""
    keys: Keys = ()
    for depth, name in enumerate(names):
        keys = (*keys, name)
        if new and depth == len(names) - 1:
            counts[keys] = counts.get(keys, -1) + 1
        if keys in counts:
            keys = (*keys, counts[keys])
    return keys


def _placed(name: str, text: str, message: str) -> str:
    """What TOML's reader says, with the line where other errors have it."""
    message = hide_secrets(message)
    found = re.search(r" \(at line (\d+), column (\d+)\)$", message)
    if found is not None:
        return f"{name}:{found[1]}: {message[: found.start()]} (column {found[2]})"
    return f"{name}:{text.rstrip().count(chr(10)) + 1}: {message}"  # at the end of the document


def _shown(value: Any) -> str:
    text = hide_secrets(repr(value))
    return text if len(text) <= 60 else text[:59] + "…"


def _toml() -> Any:
    if sys.version_info >= (3, 11):
        import tomllib

        return tomllib
    try:
        import tomli
    except ImportError as error:
        raise MissingExtraError("tomli", "stream", "reading streams.toml on Python 3.10") from error
    return tomli
