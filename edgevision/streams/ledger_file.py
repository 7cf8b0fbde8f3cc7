"""The ledger on disk: what every camera's frames became, hour by hour, in a file that does not grow for ever."""

from __future__ import annotations

import json
import os
import uuid
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevision.errors import EdgeVisionError, InputError
from edgevision.files import atomic_write
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Account, is_count

GROWTH_BYTES = 1 << 20  # that are appended before the file is written anew, shorter
KEEP_S = 7 * 86_400.0  # for which each hour has its own total
HOUR_NS = 3_600_000_000_000
NOTES = 1000  # that are kept
_MOST_LINE_BYTES = 1 << 16
_NO_WAITING = getattr(os, "O_NONBLOCK", 0)  # for somebody who reads a pipe; Windows has no such pipes


@dataclass(frozen=True)
class HourAccount:
    """What became of the frames of one camera in one hour, all runs together. ``hour_ns``: when it began, UTC; None: all hours that
    are too old to be kept apart. What ``fates`` leave of ``captured`` had no fate when it was counted: the next hour has it, or it
    was in flight when the program was killed."""

    camera: str
    hour_ns: int | None
    captured: int
    fates: dict[Fate, int]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        fates = {fate.value: count for fate, count in self.fates.items()}
        return {"camera": self.camera, "hour_ns": self.hour_ns, "captured": self.captured, "fates": fates}


@dataclass(frozen=True)
class LedgerContent:
    """What a file says. ``accounts``: camera → the last one, of the last run in which there was that camera. ``hours``: by camera, the
    oldest first. ``notes``: what ``LedgerFile.note`` wrote."""

    accounts: dict[str, Account]
    hours: tuple[HourAccount, ...]
    notes: tuple[tuple[str, Any], ...] = ()


class LedgerFile:
    """Appends accounts as lines of JSON. When a MiB has come, the file is written anew with one line for each camera and hour.

    So it stays under about 1 MiB and 40 kB a camera. Each hour's totals are kept for a week, then in one sum: no frame is
    forgotten. Killed at any moment, it is whole, but for the line that was being written; a power cut may take what came in the last
    half minute. One program may write it at a time.

    ``open`` raises InputError where the path cannot be, or is no ledger. A ledger that is damaged is set aside (``set_aside`` is its
    new name).

    >>> file = LedgerFile("ledger.jsonl")
    >>> file.open(); file.write(stream.ledger.accounts(time.time_ns()))  # doctest: +SKIP
    """

    def __init__(self, path: str | Path, *, growth_bytes: int = GROWTH_BYTES, keep_s: float = KEEP_S) -> None:
        self.path = Path(path)
        self.set_aside: Path | None = None
        self._growth_bytes = growth_bytes
        self._keep_s = keep_s
        self._run = uuid.uuid4().hex[:12]  # frames are counted from 0 in each run
        self._appended = 0  # bytes since the file was written anew

    def open(self) -> None:
        """See that the file can be written, take off what a crash left half-written, and write it anew."""
        self._append(b"")
        if not self.path.is_file():  # a device or a pipe keeps nothing
            return
        self._cut_torn_end()
        try:
            self._compact()
        except _DamagedError as error:
            if error.line == 1:  # somebody else's file
                raise
            self._put_aside()
            self._append(b"")
        except InputError:
            raise
        except EdgeVisionError:  # the disk is full: the stream may begin, and tells it with the first accounts
            self._appended = self._growth_bytes

    def write(self, accounts: Iterable[Account]) -> None:
        """Append them. Raises InputError where the file cannot be written; the next call tries again."""
        self._add([{**account.to_dict(), "run": self._run} for account in accounts])

    def note(self, name: str, values: Any) -> None:
        """Keep something else that happened, as JSON values under a name. The newest 1000 are kept. Raises InputError as ``write``
        does, and for a note of 64 KiB or more."""
        note = {name: values}
        if len(_encoded(note)) >= _MOST_LINE_BYTES:
            raise InputError(
                f"cannot write a {name} to the ledger {self.path}: it is longer than 64 KiB; make it shorter"
            )
        self._add([note])

    def _add(self, lines: list[dict[str, Any]]) -> None:
        self._append(b"".join(_encoded(line) for line in lines))
        if self._appended >= self._growth_bytes and self.path.is_file():
            self._compact()

    def _append(self, data: bytes) -> None:
        """All of it, or nothing."""
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_WAITING, 0o644)
            try:
                size = os.fstat(descriptor).st_size
                if data and os.write(descriptor, data) < len(data):
                    os.ftruncate(descriptor, size)
                    raise InputError(f"cannot write the ledger {self.path}: the disk is full; free some space")
            finally:
                os.close(descriptor)
        except OSError as error:
            raise InputError(f"cannot write the ledger {self.path}: {error.strerror or error}") from error
        self._appended += len(data)

    def _cut_torn_end(self) -> None:
        """After a line's last byte nothing may stand: the next line would be glued to it."""
        with self.path.open("rb+") as file:
            end = size = file.seek(0, os.SEEK_END)
            while end > 0:
                start = max(0, end - _MOST_LINE_BYTES)
                file.seek(start)
                found = file.read(end - start).rfind(b"\n")
                if found >= 0:
                    end = start + found + 1
                    break
                end = start
            if end and end < size:  # without a single line it is no ledger, and is left as it is
                file.truncate(end)

    def _compact(self) -> None:
        found = _replayed(self.path)
        newest_ns = max((one.at_ns or 0 for one, _ in found.accounts.values()), default=0)
        found.fold(newest_ns - int(self._keep_s * 1e9))
        atomic_write(self.path, b"".join(_encoded(line) for line in found.lines()))
        self._appended = 0

    def _put_aside(self) -> None:
        place = 1
        while (target := self.path.with_name(f"{self.path.name}.damaged-{place}")).exists():
            place += 1
        self.path.rename(target)
        self.set_aside = target


def read_ledger(path: str | Path) -> LedgerContent:
    """What a file says. Half a line at the end, which a crash may leave, is passed over. Raises InputError that names the line."""
    found = _replayed(Path(path))
    hours = [found.hour(camera, hour_ns) for camera, hour_ns in found.captured]
    order = {camera: place for place, camera in enumerate(found.accounts)}
    hours.sort(key=lambda one: (order.get(one.camera, len(order)), one.hour_ns or 0))
    return LedgerContent({name: one for name, (one, _) in found.accounts.items()}, tuple(hours), tuple(found.notes))


class _DamagedError(InputError):
    """A line that is none. ``line``: its number, from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class _Replay:
    """The lines of a file, added up. ``accounts``: camera → the last account, and its run; ``captured`` and ``fates``: by camera and
    hour."""

    def __init__(self) -> None:
        self.accounts: dict[str, tuple[Account, str]] = {}
        self.captured: Counter[tuple[str, int | None]] = Counter()
        self.fates: dict[tuple[str, int | None], Counter[Fate]] = {}
        self.notes: deque[tuple[str, Any]] = deque(maxlen=NOTES)

    def take(self, values: Any) -> None:
        """One line. Raises InputError."""
        if isinstance(values, dict) and len(values) == 1:
            self.notes.extend(values.items())
            return
        account = Account.from_dict({"in_flight": 0, **values} if isinstance(values, dict) else values)
        if "hour_ns" in values:
            hour_ns = values["hour_ns"]
            if hour_ns is not None and not is_count(hour_ns):
                raise InputError(f"the account of {account.camera!r} needs hour_ns as a whole number, got {hour_ns!r}")
            self._add(account, hour_ns, account.captured, Counter(account.fates))
            return
        run = str(values.get("run", ""))
        if not values.get("in_hours"):
            before, its_run = self.accounts.get(account.camera, (None, ""))
            captured, fates = account.captured, Counter(account.fates)
            if before is not None and its_run == run and _goes_on(before, account):
                captured -= before.captured
                fates.subtract(before.fates)
            hour_ns = None if account.at_ns is None else account.at_ns // HOUR_NS * HOUR_NS
            self._add(account, hour_ns, captured, fates)
        self.accounts[account.camera] = account, run

    def fold(self, before_ns: int) -> None:
        """Put the hours that ended before ``before_ns`` into one."""
        for camera, hour_ns in list(self.captured):
            if hour_ns is not None and hour_ns + HOUR_NS <= before_ns:
                self.captured[camera, None] += self.captured.pop((camera, hour_ns))
                self.fates.setdefault((camera, None), Counter()).update(self.fates.pop((camera, hour_ns)))

    def hour(self, camera: str, hour_ns: int | None) -> HourAccount:
        """The totals of one hour."""
        fates = {fate: count for fate, count in self.fates[camera, hour_ns].items() if count}
        return HourAccount(camera, hour_ns, self.captured[camera, hour_ns], fates)

    def lines(self) -> Iterator[dict[str, Any]]:
        """All of it in as few lines as can be. The accounts are in the hours already, and say so."""
        for camera, hour_ns in self.captured:
            yield self.hour(camera, hour_ns).to_dict()
        for account, run in self.accounts.values():
            yield {**account.to_dict(), "run": run, "in_hours": True}
        for name, values in self.notes:
            yield {name: values}

    def _add(self, account: Account, hour_ns: int | None, captured: int, fates: Counter[Fate]) -> None:
        self.captured[account.camera, hour_ns] += captured
        self.fates.setdefault((account.camera, hour_ns), Counter()).update(fates)


def _goes_on(before: Account, account: Account) -> bool:
    """Whether the second may be of the same run: counts of a run only grow."""
    grown = all(count <= account.fates.get(fate, 0) for fate, count in before.fates.items())
    return grown and before.captured <= account.captured


def _replayed(path: Path) -> _Replay:
    found = _Replay()
    for number, line in _lines(path):
        try:
            found.take(json.loads(line))
        except (ValueError, InputError, RecursionError) as error:  # the last: brackets within brackets within …
            if not line.endswith(b"\n"):
                break
            what = error if isinstance(error, InputError) else "this is no JSON"
            raise _DamagedError(f"{path}:{number}: {what}; give a file that stream --ledger writes", number) from None
    return found


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(_MOST_LINE_BYTES):
                number += 1
                if len(line) == _MOST_LINE_BYTES:
                    raise _DamagedError(
                        f"{path}:{number}: this line is too long; give a file that stream --ledger writes", number
                    )
                if line.strip():
                    yield number, line
    except OSError as error:
        raise InputError(f"cannot read the ledger {path}: {error.strerror or error}") from None


def _encoded(values: dict[str, Any]) -> bytes:
    text = json.dumps(values, ensure_ascii=False)
    return text.encode(errors="backslashreplace") + b"\n"  # names of files need not be UTF-8; JSON knows these escapes
