"""Pictures in a folder for each label, with a quota: what ``edgevision train --data`` reads."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgevision.errors import EdgeVisionError, InputError
from edgevision.evaluate.data.names import composed
from edgevision.files import atomic_write, is_temporary
from edgevision.gallery.sources import source_of_bytes
from edgevision.kiosk.service.live.messages import encoded
from edgevision.tasks.results import Label

MANIFEST = "feedback.jsonl"
LABELS = "labels.csv"
_DIGEST = 32  # hexadecimal digits of SHA-256 in a name: 128 bits, so that one name is one content
_MOST_NAME_BYTES = 200
_RESERVED = frozenset('<>:"/\\|?*')  # not allowed in names of some system that photos are copied to
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class QuotaError(EdgeVisionError):
    """There is no room for another picture."""


@dataclass(frozen=True)
class Quota:
    """How much may lie in a folder. ``bytes`` counts pictures and the manifest; ``files`` pictures.

    200 MB are some 10,000 pictures of a product: many times what one training needs, and little beside a system on a small disk.
    """

    bytes: int = 200_000_000
    files: int = 10_000

    def __post_init__(self) -> None:
        if self.bytes < 1 or self.files < 1:
            raise InputError(f"a quota is over 0 in bytes and in files, got {self.bytes} and {self.files}")


@dataclass(frozen=True)
class Kept:
    """A picture in the folder. ``name``: its path from there; ``again``: it lay there already, under this label."""

    name: str
    again: bool


@dataclass(frozen=True)
class FolderUse:
    """How full a folder is."""

    files: int
    bytes: int
    quota: Quota

    def to_dict(self) -> dict[str, int]:
        """Plain JSON values."""
        return {
            "files": self.files,
            "bytes": self.bytes,
            "most_files": self.quota.files,
            "most_bytes": self.quota.bytes,
        }


class PictureFolder:
    """A folder that pictures are put into, and never more than ``quota`` allows. Thread-safe; one service uses it at a time.

    A picture lies in the folder of its label, named by when it came and what it holds, and a line of ``feedback.jsonl`` tells the rest.
    The same content comes once: again under the same label it is kept once; under another label it moves there, for somebody
    thought better of it. Pictures that were there before count. People may take pictures out: that is seen where a picture comes that lay
    there before, and where there seems to be no more room.

    Raises InputError where the folder cannot be used.
    """

    def __init__(self, folder: Path, quota: Quota | None = None) -> None:
        self.quota = Quota() if quota is None else quota
        self._folder = folder
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._count()
        except OSError as error:
            raise InputError(f"cannot use the folder {folder}: {error.strerror or error}") from error

    @property
    def use(self) -> FolderUse:
        """How full it is."""
        with self._lock:
            return FolderUse(len(self._sizes), self._bytes, self.quota)

    @property
    def _bytes(self) -> int:
        return sum(self._sizes.values()) + self._manifest_bytes

    def keep(self, data: bytes, suffix: str, label_folder: str, fields: Mapping[str, Any]) -> Kept:
        """Put a picture's bytes into the folder of a label. ``suffix``: such as ``.jpg``; ``fields``: for its line in the manifest.

        Raises QuotaError where the quota or the disk is full, EdgeVisionError where it cannot be written otherwise. Then nothing is
        left of it.
        """
        digest = source_of_bytes(data)[:_DIGEST]
        now = datetime.now(timezone.utc)
        name = f"{label_folder}/{now:%Y%m%dT%H%M%S}.{now.microsecond:06d}Z-{digest}{suffix}"
        with self._lock:
            earlier = self._earlier(digest)
            if earlier is not None and earlier.rpartition("/")[0] == label_folder:
                return Kept(earlier, again=True)
            line = encoded({"at": now.isoformat(), "picture": name, "instead_of": earlier, **fields}).encode() + b"\n"
            try:
                self._check_room(len(data), len(line), moved=earlier)
            except QuotaError:
                self._count_again()
                self._check_room(len(data), len(line), moved=earlier)
            try:
                self._make(label_folder)
                atomic_write(
                    self._folder / name, data
                )  # replaces nothing but the same content: its name holds the digest
            except (OSError, EdgeVisionError) as error:
                raise _explained(error) from error
            try:
                self._note(line)
            except OSError as error:
                with contextlib.suppress(OSError):
                    (self._folder / name).unlink()
                raise _explained(error) from error
            self._sizes[name], self._place_of[digest] = len(data), name
            if earlier is not None:
                with contextlib.suppress(OSError):  # somebody took it away
                    (self._folder / earlier).unlink()
                self._sizes.pop(earlier, None)
        return Kept(name, again=False)

    def write_labels(self, labels: Sequence[Label]) -> None:
        """Say beside the pictures which label is which: ``labels.csv``, for ``edgevision train --labels``. Raises EdgeVisionError."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(("name", "id"))
        rows.writerows((label.name, label.id) for label in labels)
        atomic_write(self._folder / LABELS, text.getvalue().encode())

    def _count(self) -> None:
        """What lies in the folder. Raises OSError."""
        self._sizes, self._place_of = _found_in(self._folder)
        manifest = self._folder / MANIFEST
        self._manifest_bytes = manifest.stat().st_size if manifest.exists() else 0

    def _count_again(self) -> None:
        """The same while the service runs: people take pictures out."""
        with contextlib.suppress(OSError):  # they are at it right now: the next time
            self._count()

    def _earlier(self, digest: str) -> str | None:
        """Where a picture of this content lies; None where it lies no more."""
        name = self._place_of.get(digest)
        if name is None or (self._folder / name).is_file():
            return name
        self._count_again()
        return self._place_of.get(digest)

    def _check_room(self, data_bytes: int, line_bytes: int, moved: str | None) -> None:
        given_back = 0 if moved is None else self._sizes.get(moved, 0)
        if self._bytes + data_bytes + line_bytes - given_back > self.quota.bytes:
            raise QuotaError(
                f"the folder for pictures is full: it may have {self.quota.bytes} bytes; take pictures out, or raise its quota"
            )
        if len(self._sizes) + (moved is None) > self.quota.files:
            raise QuotaError(
                f"the folder for pictures is full: it may have {self.quota.files} pictures; take some out, or raise its quota"
            )

    def _make(self, label_folder: str) -> None:
        """The folder of a label. Raises OSError, also where a link leads elsewhere: what lies there was not counted."""
        path = self._folder / label_folder
        path.mkdir(exist_ok=True)
        if path.is_symlink():
            raise NotADirectoryError(errno.ENOTDIR, "it is a link")

    def _note(self, line: bytes) -> None:
        """Append a line to the manifest, whole or not at all. Raises OSError."""
        descriptor = os.open(
            self._folder / MANIFEST, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o644
        )
        try:
            before = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, line)
                os.fsync(descriptor)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)
        self._manifest_bytes = before + len(line)


def label_folders(labels: Sequence[Label]) -> dict[int, str]:
    """The name of each label's folder, by its id: the label's name where all of them can be names of folders, else its id.

    >>> label_folders([Label(7, "pear"), Label(9, "kiwi")])
    {7: 'pear', 9: 'kiwi'}
    >>> label_folders([Label(7, "pear"), Label(9, "1/2 kiwi")])
    {7: '7', 9: '9'}
    """
    names = [label.name for label in labels]
    distinct = len({composed(name).casefold() for name in names}) == len(names)  # some systems take PEAR for pear
    if distinct and all(_is_folder_name(name) for name in names):
        return {label.id: label.name for label in labels}
    return {label.id: str(label.id) for label in labels}


def _is_folder_name(name: str) -> bool:
    return (
        bool(name)
        and name.isprintable()
        and not _RESERVED & set(name)
        and name == name.strip(" ")
        and not name.startswith((".", "$", "__", "@"))  # what readers of data sets pass over
        and not name.endswith(".")
        and len(name.encode(errors="surrogatepass")) <= _MOST_NAME_BYTES
    )


def _found_in(folder: Path) -> tuple[dict[str, int], dict[str, str]]:
    """The size of each picture by its path, and the path by its content's digest; what a killed process left is removed."""
    sizes: dict[str, int] = {}
    place_of: dict[str, str] = {}
    for inner in sorted(folder.iterdir()):
        if inner.is_symlink() or not inner.is_dir():
            continue
        for one in sorted(inner.iterdir()):
            if is_temporary(one):
                one.unlink()
            elif one.is_file():
                name = f"{inner.name}/{one.name}"
                sizes[name] = one.stat().st_size
                place_of[one.stem.rpartition("-")[2]] = name
    return sizes, place_of


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _explained(error: Exception) -> EdgeVisionError:
    """Without the path, which is nobody's business on the other side of the network."""
    cause = error if isinstance(error, OSError) else error.__cause__
    if isinstance(cause, OSError) and cause.errno in _FULL:
        return QuotaError("the disk is full; free some space")
    return EdgeVisionError("the picture cannot be written; see the service's log")
