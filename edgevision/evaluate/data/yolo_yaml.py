"""``data.yaml``: where the parts of a YOLO data set are, and what its classes are called.

path: shop            # optional; the folder that the parts are relative to, itself relative to this file
train: images/train   # a folder, a list file (.txt), or a list of these
val: images/val
nc: 2                 # optional beside names
names: [bottle, can]  # or {0: bottle, 1: can}
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevision.errors import DataError, MissingExtraError
from edgevision.evaluate.data.boxed import BoxedPhotos, check_names
from edgevision.evaluate.data.folders import FolderPhotos, photos_below
from edgevision.evaluate.data.lists import read_list
from edgevision.evaluate.data.text import first_three, read_text
from edgevision.evaluate.data.yolo import MAX_CLASSES, read_yolo_photos

PARTS = {"val": ("val", "valid", "validation"), "train": ("train",), "test": ("test",)}  # as files call them
_MAX_BYTES = 4 * 2**20  # of a data.yaml; those of a million classes are smaller


@dataclass(frozen=True)
class YoloYaml:
    """What a ``data.yaml`` says. ``parts``: folders and list files by part, as written; ``names`` of the classes. ``lines``: where
    each key stands, from 1."""

    path: Path
    root: Path
    parts: Mapping[str, tuple[str, ...]]
    names: tuple[str, ...]
    lines: Mapping[str, int]


def read_yolo(path: Path, part: str | None = None) -> BoxedPhotos:
    """The photos of one part of a YOLO data set. ``part``: ``train``, ``val`` or ``test``; None = ``val`` where there is one,
    else ``train``.

    Raises DataError for whatever does not fit, naming file and line, and MissingExtraError without PyYAML.
    """
    data = read_yaml(path)
    chosen = part or next((name for name in ("val", "train", "test") if name in data.parts), None)
    if chosen is None or chosen not in data.parts:
        wanted = f"'{part}'" if part else "'val' or 'train'"
        raise DataError(f"{path} names no photos as {wanted}; it has the keys {first_three(data.lines)}")
    found = [_photos(data, chosen, entry) for entry in data.parts[chosen]]
    photos = tuple(dict.fromkeys(photo for one in found for photo in one.photos))
    broken = tuple(link for one in found for link in one.broken_links)
    if not photos and not broken:
        raise DataError(
            f"{_at(data, chosen)}: no photos in {first_three(data.parts[chosen])}, looked for in {data.root}"
        )
    return read_yolo_photos(FolderPhotos(photos, broken), data.names, f"{path} ({chosen})")


def read_yaml(path: Path) -> YoloYaml:
    """Read a ``data.yaml``. Raises DataError, naming the line, and MissingExtraError without PyYAML."""
    content, lines = _mapping(path)
    names = _names(path, content, lines)
    parts = {}
    for name, spellings in PARTS.items():
        key = next((word for word in spellings if content.get(word)), None)
        if key is not None:
            parts[name] = _entries(path, lines, key, content[key])
            lines.setdefault(name, lines[key])
    root = path.parent
    if content.get("path") is not None:
        if not isinstance(content["path"], str):
            raise DataError(f"{path} line {lines['path']}: path is a folder, got {reprlib.repr(content['path'])}")
        root = path.parent / content["path"]
        if not root.is_dir():
            raise DataError(
                f"{path} line {lines['path']}: path is the folder {content['path']!r}, which is not there; it is relative to this "
                f"file, so it would be {root}"
            )
    return YoloYaml(path, root, parts, names, lines)


def is_yolo_yaml(path: Path) -> bool:
    """Whether the file's suffix says so."""
    return path.suffix.lower() in (".yaml", ".yml")


def _mapping(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The file's keys with their values, and their lines."""
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("pyyaml", "detect", f"reading {path.name}") from error
    text = read_text(path, "a data.yaml")
    if len(text) > _MAX_BYTES:
        raise DataError(f"expected a data.yaml, but {path} has {len(text) / 2**20:.0f} MB")
    loader = yaml.SafeLoader(text)
    try:
        aliases = [token.start_mark.line + 1 for token in yaml.scan(text) if isinstance(token, yaml.AliasToken)]
        node = loader.get_single_node()
        content = None if node is None or aliases else loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date such as 2026-13-45
        mark = getattr(error, "problem_mark", None)
        at = "" if mark is None else f" line {mark.line + 1}"
        problem = getattr(error, "problem", None) or "it is nested too deep, or holds a value that cannot be"
        raise DataError(f"{path}{at}: this is no YAML that can be read: {problem}") from error
    finally:
        loader.dispose()
    if aliases:
        raise DataError(
            f"{path} line {aliases[0]}: aliases (*name) are not read: a small file could grow without end by them"
        )
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected the keys train, val and names, got no keys at all")
    lines = {str(key.value): key.start_mark.line + 1 for key, _ in node.value}
    return {str(key): value for key, value in content.items()}, lines


def _names(path: Path, content: Mapping[str, Any], lines: Mapping[str, int]) -> tuple[str, ...]:
    count = content.get("nc")
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MAX_CLASSES):
        raise DataError(
            f"{path} line {lines['nc']}: nc is the number of classes, 1…{MAX_CLASSES}, got {reprlib.repr(count)}"
        )
    given = content.get("names")
    if given is None:
        if count is None:
            raise DataError(
                f"{path}: expected the classes as 'names', a list or {{0: name, …}}, got neither names nor nc"
            )
        return tuple(map(str, range(count)))
    line = lines["names"]
    listed = _in_order(path, line, given)
    if any(isinstance(name, bool) for name in listed):
        raise DataError(
            f"{path} line {line}: YAML reads yes, no, on and off as true or false; put quotes around names that are such words"
        )
    if not listed or not all(isinstance(name, (str, int, float)) and str(name).strip() for name in listed):
        raise DataError(f"{path} line {line}: names is a list of words, or {{0: word, …}}, got {reprlib.repr(given)}")
    if count is not None and count != len(listed):
        raise DataError(f"{path} line {lines['nc']}: nc is {count}, but names (line {line}) has {len(listed)} classes")
    names = tuple(str(name).strip() for name in listed)
    check_names(path, line, names)
    return names


def _in_order(path: Path, line: int, given: Any) -> list[Any]:
    """The names as a list; of a mapping, by number, which have to be 0…n-1."""
    if not isinstance(given, dict):
        return list(given) if isinstance(given, list) else []
    if not all(isinstance(key, int) for key in given) or sorted(given) != list(range(len(given))):
        raise DataError(
            f"{path} line {line}: names by number have the numbers 0…{len(given) - 1}, got {first_three(map(reprlib.repr, given))}"
        )
    return [given[number] for number in range(len(given))]


def _entries(path: Path, lines: Mapping[str, int], key: str, value: Any) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) and one for one in listed):
        raise DataError(
            f"{path} line {lines[key]}: {key} is a folder, a list file or a list of these, got {reprlib.repr(value)}"
        )
    return tuple(listed)


def _photos(data: YoloYaml, part: str, entry: str) -> FolderPhotos:
    place = _place(data, part, entry)
    if place.is_dir():
        return photos_below(place)
    return FolderPhotos(tuple(row.path for row in read_list(place)))


def _place(data: YoloYaml, part: str, entry: str) -> Path:
    """The folder or file that an entry means. Roboflow's exports say ``../train/images`` and mean ``train/images`` beside the file."""
    usual = data.root / entry
    places: Sequence[Path] = (usual, data.root / entry[3:]) if entry.startswith("../") else (usual,)
    found = next((place for place in places if place.exists()), None)
    if found is None:
        raise DataError(
            f"{_at(data, part)}: {part} is {entry!r}, which is not there; looked for {' and '.join(map(str, places))}"
        )
    return found


def _at(data: YoloYaml, part: str) -> str:
    return f"{data.path} line {data.lines[part]}"
