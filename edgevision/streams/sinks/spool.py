"""Messages on disk until the other side has confirmed them."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgevision.errors import InputError, SinkError
from edgevision.streams.sinks.base import KINDS, Kind
from edgevision.streams.sinks.line_file import LineFile

MAX_BYTES = 64 << 20
MAX_AGE_S = 7 * 86_400.0

_MARK = 0x45565370  # "EVSp": the application id of SQLite's header, by which a spool is known
_VERSION = 2  # of the tables
_SYNC_S = 0.1  # at most ten syncs a second, for memory cards take long
_REFUSED_BYTES = 4 << 20  # of the file of refused messages, of which there are two
_OVERHEAD_BYTES = 100  # of a message, besides its texts: row, two indexes
_SECOND_NS = 1_000_000_000
_MARKS = 1000  # spans of this run that are remembered: ages are known to a thousandth of max_age_s
_EARLIEST_NS = 1_704_067_200 * _SECOND_NS  # 2024: a clock that shows less was not set yet, and tells no age
_TABLES = """
CREATE TABLE messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    address TEXT NOT NULL,
    body BLOB NOT NULL,
    made_ns INTEGER NOT NULL,
    kind TEXT NOT NULL
);
CREATE INDEX messages_made ON messages (made_ns);
CREATE TABLE lost (reason TEXT, kind TEXT, count INTEGER NOT NULL, PRIMARY KEY (reason, kind));
"""


@dataclass(frozen=True)
class Spooled:
    """A message that waits. ``number``: counts up in the order of ``append``; ``address``: where it goes, such as a topic."""

    number: int
    id: str
    address: str
    body: bytes
    made_ns: int
    kind: Kind


class Spool:
    """A queue on disk: what is appended stays until it is confirmed, through restarts, SIGKILL and power cuts.

    It is one SQLite file, which one program may use at a time. ``max_bytes`` and ``max_age_s`` bound what waits. Where there is no
    room, results make it first, then changes of state, then events, of each the oldest; a result never takes the place of an event.
    What is dropped is counted, for good. ``now_ns``: the clock, UTC nanoseconds since 1970. ``monotonic_s``: another that is never set:
    what was appended in this run expires by it, for the clock of a machine without a battery may jump by months when it finds a time
    server. ``before``: the one of this file that the program had open until now, whose run goes on. Thread-safe.

    A killed process loses nothing: what ``append`` took is in the hands of the system. It is synced to the disk within a tenth of a
    second, so a power cut takes what came in the last tenth of a second, and the time that the disk needs for a sync.

    Messages that the other side will never take are put aside, into ``PATH.refused``: a JSON object a line, with the reason. Of
    these files, two of 4 MiB are kept.

    Raises InputError for a file that is something else or in use, SinkError where it cannot be written. A file that is damaged, or
    of another version, is set aside (``set_aside`` is its new name) and an empty one takes its place: the stream goes on.

    >>> spool = Spool("/tmp/doctest.spool")  # doctest: +SKIP
    >>> spool.append("id-1", b"{}", address="shop/till"), spool.append("id-1", b"{}")  # doctest: +SKIP
    (True, False)
    >>> spool.confirm([one.number for one in spool.waiting()])  # doctest: +SKIP
    """

    def __init__(
        self,
        path: str | Path,
        *,
        max_bytes: int = MAX_BYTES,
        max_age_s: float = MAX_AGE_S,
        now_ns: Callable[[], int] = time.time_ns,
        monotonic_s: Callable[[], float] = time.monotonic,
        before: Spool | None = None,
    ) -> None:
        if max_bytes < 1 or not max_age_s > 0:
            raise InputError(f"a spool needs max_bytes and max_age_s over 0, got {max_bytes} and {max_age_s}")
        self.path = Path(path)
        self.max_bytes = max_bytes
        self.max_age_s = max_age_s
        self.set_aside: Path | None = None
        self._now_ns = now_ns
        self._monotonic_s = monotonic_s
        # Spans of this run: the last number that was appended, and the span's end.
        self._marks: deque[tuple[int, float]] = deque()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._synced_s = -_SYNC_S
        self._unsynced_s: float | None = None  # since when a message is not on the disk for sure
        self._closed = False
        self._level = ""
        # Kind → number → bytes of each message that waits, the oldest first.
        self._sizes: dict[Kind, dict[int, int]] = {kind: {} for kind in KINDS}
        self._bytes = self._last = 0
        self._dropped: dict[tuple[str, str], int] = {}
        self._refused = LineFile(
            self.path.with_name(f"{self.path.name}.refused"), max_bytes=_REFUSED_BYTES, keep=1, mode=0o600
        )
        with self._speaking():
            self._database = self._open()
            self._measure()
        self._earlier = self._last  # up to this number, messages are of an earlier run
        if before is not None and before._last <= self._last:  # else another file lies there
            self._earlier, self._marks = before._earlier, before._marks
        self._thread = threading.Thread(
            target=self._keep_synced, name=f"edgevision spool {self.path.name}", daemon=True
        )
        self._thread.start()

    # ---- what waits ----

    @property
    def last_number(self) -> int:
        """The number of the newest message so far, confirmed or not; 0 before the first."""
        return self._last

    @property
    def pending_bytes(self) -> int:
        """What waits, with what it takes on disk, roughly."""
        return self._bytes

    @property
    def pending(self) -> int:
        """How many messages wait."""
        return sum(len(sizes) for sizes in self._sizes.values())

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many messages were lost so far, earlier runs included: ``size``, ``age`` and ``refused`` → count."""
        counts: dict[str, int] = {}
        for (reason, _), count in self.dropped_by_kind.items():
            counts[reason] = counts.get(reason, 0) + count
        return counts

    @property
    def dropped_by_kind(self) -> Mapping[tuple[str, str], int]:
        """The same as (reason, kind) → count. Never waits for the disk."""
        return self._dropped.copy()

    def waiting(self, limit: int = 100) -> list[Spooled]:
        """The oldest messages that are not confirmed, at most ``limit``, in their order. Drops what is too old first."""
        with self._alone():
            self._expire()
            rows = self._database.execute(
                "SELECT number, id, address, body, made_ns, kind FROM messages ORDER BY number LIMIT ?", (limit,)
            ).fetchall()
        return [
            Spooled(number, id, address, bytes(body), made_ns, kind)
            for number, id, address, body, made_ns, kind in rows
        ]

    # ---- what changes ----

    def append(self, id: str, body: bytes, *, address: str = "", kind: Kind = "event") -> bool:
        """Keep a message. False where one with this id waits already."""
        size = _size(id, address, body)
        with self._alone():
            at_once = self._sync_is_due()
            self._set_level("FULL" if at_once else "NORMAL")
            if self._bytes + size <= self.max_bytes:
                kept = self._insert(id, address, body, kind, size)  # one statement: whole by itself
            else:
                with self._transaction():
                    kept = self._insert_in_full(id, address, body, kind, size)
            if at_once:
                self._unsynced_s = None
            elif self._unsynced_s is None:
                self._unsynced_s = time.monotonic()
                self._changed.notify_all()
            return kept

    def confirm(self, numbers: Iterable[int]) -> None:
        """The other side has these. Numbers that do not wait (any more) are passed over."""
        with self._alone(), self._transaction():
            self._remove(numbers)

    def refuse(self, number: int, reason: str) -> None:
        """The other side will never take this one: put it aside, and count it as ``refused``."""
        with self._alone():
            row = self._database.execute(
                "SELECT id, address, kind, body FROM messages WHERE number = ?", (number,)
            ).fetchone()
            if row is None:
                return
            self._put_aside(reason, *row)  # first: where this is killed in between, it stands there twice
            with self._transaction():
                self._count("refused", self._remove([number]))

    def sync(self) -> None:
        """See that a power cut takes nothing of what was appended."""
        with self._alone():
            self._sync()

    def close(self) -> None:
        """Sync and close. Closing twice is allowed."""
        with self._lock:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        with self._alone():
            self._database.close()

    # ---- inside ----

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock, self._speaking():
            yield

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:  # SQLite has rolled back already where the disk is full
                self._database.execute("ROLLBACK")
            self._measure()
            raise

    @contextlib.contextmanager
    def _speaking(self) -> Iterator[None]:
        """Turn errors of SQLite and the system into ours."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                raise InputError(
                    f"the spool {self.path} is in use by another program; give each stream a spool of its own"
                ) from error
            raise SinkError(
                f"cannot use the spool {self.path}: {error}; check the disk, or give another path"
            ) from error

    def _keep_synced(self) -> None:
        """In a thread: sync what no later message has synced. So the last one of all does not wait for the next."""
        with self._lock:
            while not self._closed:
                if self._unsynced_s is None:
                    self._changed.wait()
                elif (left_s := self._unsynced_s + _SYNC_S - time.monotonic()) > 0:
                    self._changed.wait(left_s)
                else:
                    with contextlib.suppress(sqlite3.Error):  # the next message meets the same disk, and tells
                        self._sync()
                    self._unsynced_s = None

    def _sync(self) -> None:
        """SQLite syncs its log before it moves it into the database, https://www.sqlite.org/wal.html#ckpt."""
        self._database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        self._synced_s = time.monotonic()
        self._unsynced_s = None

    def _put_aside(self, reason: str, id: str, address: str, kind: str, body: bytes) -> None:
        fields = {
            "refused_ns": self._now_ns(), "reason": reason, "id": id, "kind": kind, "address": address,
            "body": bytes(body).decode("utf-8", "replace"),
        }  # fmt: skip
        self._refused.open()
        try:
            self._refused.append(json.dumps(fields, ensure_ascii=False).encode())
        finally:
            self._refused.close()

    def _sync_is_due(self) -> bool:
        now_s = time.monotonic()
        if now_s - self._synced_s < _SYNC_S:
            return False
        self._synced_s = now_s
        return True

    def _set_level(self, level: str) -> None:
        """Whether commits wait for the disk: FULL or NORMAL."""
        if level != self._level:
            self._database.execute(f"PRAGMA synchronous = {level}")
            self._level = level

    def _insert(self, id: str, address: str, body: bytes, kind: Kind, size: int) -> bool:
        made = self._database.execute(
            "INSERT INTO messages (id, address, body, made_ns, kind) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
            (id, address, body, self._now_ns(), kind),
        )
        if not made.rowcount:
            return False
        assert made.lastrowid is not None
        self._last = made.lastrowid
        self._mark(self._last)
        self._sizes[kind][self._last] = size
        self._bytes += size
        return True

    def _insert_in_full(self, id: str, address: str, body: bytes, kind: Kind, size: int) -> bool:
        """The same where there is no room: others go, or the message itself where those that wait are more precious."""
        if self._database.execute("SELECT 1 FROM messages WHERE id = ?", (id,)).fetchone():
            return False
        going = self._room_for(kind, size)
        if going is None:
            self._count("size", {kind: 1})
            return True
        self._count("size", self._remove(going))
        return self._insert(id, address, body, kind, size)

    def _room_for(self, kind: Kind, size: int) -> list[int] | None:
        """What has to go for a message: the least precious first, the oldest of each kind, none that is more precious. None where
        it does not fit even so."""
        too_many = self._bytes + size - self.max_bytes
        going: list[int] = []
        for other in KINDS[: KINDS.index(kind) + 1]:
            for number, freed in self._sizes[other].items():
                if too_many <= 0:
                    return going
                going.append(number)
                too_many -= freed
        return going if too_many <= 0 else None

    def _remove(self, numbers: Iterable[int]) -> dict[Kind, int]:
        """How many of each kind there were."""
        removed: dict[Kind, int] = {}
        there = []
        for number in dict.fromkeys(numbers):
            for kind, sizes in self._sizes.items():
                if number in sizes:
                    self._bytes -= sizes.pop(number)
                    removed[kind] = removed.get(kind, 0) + 1
                    there.append((number,))
        self._database.executemany("DELETE FROM messages WHERE number = ?", there)
        return removed

    def _mark(self, number: int) -> None:
        """Remember when this one was appended."""
        now_s = self._monotonic_s()
        if self._marks and now_s < self._marks[-1][1]:
            self._marks[-1] = (number, self._marks[-1][1])
        else:
            self._marks.append((number, now_s + self.max_age_s / _MARKS))

    def _expire(self) -> None:
        before_s = self._monotonic_s() - self.max_age_s
        passed = [
            number for number, end_s in self._marks if end_s <= before_s
        ]  # of this run: these, and all before them
        before_ns = self._now_ns() - int(self.max_age_s * _SECOND_NS)
        old = self._database.execute(
            "SELECT number FROM messages WHERE number <= ? AND made_ns BETWEEN ? AND ? UNION ALL "
            "SELECT number FROM messages WHERE number > ? AND number <= ?",
            (self._earlier, _EARLIEST_NS, before_ns, self._earlier, passed[-1] if passed else 0),
        ).fetchall()
        if old:
            with self._transaction():
                self._count("age", self._remove([number for (number,) in old]))
        for _ in passed:
            self._marks.popleft()

    def _count(self, reason: str, more: Mapping[Kind, int]) -> None:
        for kind, count in more.items():
            self._database.execute(
                "INSERT INTO lost VALUES (?, ?, ?) ON CONFLICT (reason, kind) DO UPDATE SET count = count + excluded.count",
                (reason, kind, count),
            )
            self._dropped[reason, kind] = self._dropped.get((reason, kind), 0) + count

    def _measure(self) -> None:
        """Look what waits, what was lost, and what the number of the last message was."""
        rows = self._database.execute("SELECT number, id, address, length(body), kind FROM messages ORDER BY number")
        self._sizes = {kind: {} for kind in KINDS}
        for number, id, address, length, kind in rows:
            self._sizes[kind][number] = _size(id, address, b"") + length
        self._bytes = sum(sum(sizes.values()) for sizes in self._sizes.values())
        lost = self._database.execute("SELECT reason, kind, count FROM lost")
        self._dropped = {(reason, kind): count for reason, kind, count in lost}
        (self._last,) = self._database.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))  # messages are nobody else's business
        try:
            return self._opened()
        except sqlite3.OperationalError:  # locked, or the disk is full: not damaged
            raise
        except sqlite3.DatabaseError:
            self.set_aside = _set_aside(self.path)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            return self._opened()

    def _opened(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=0.0, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = WAL")
            (mark,) = database.execute("PRAGMA application_id").fetchone()
            (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if mark != _MARK and tables:
                raise InputError(f"{self.path} is a database of another kind, no spool; give the spool another path")
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if tables and version != _VERSION:
                raise sqlite3.DatabaseError(f"its tables are of version {version}, expected {_VERSION}")
            if not tables:
                marked = f"PRAGMA application_id = {_MARK}; PRAGMA user_version = {_VERSION};"
                database.executescript(f"BEGIN IMMEDIATE; {_TABLES} {marked} COMMIT;")
            (sound,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if sound != "ok":
                raise sqlite3.DatabaseError(sound)
        except BaseException:
            database.close()
            raise
        return database


def _size(id: str, address: str, body: bytes) -> int:
    return len(id) * 2 + len(address) + len(body) + _OVERHEAD_BYTES  # the id stands in an index as well


def _set_aside(path: Path) -> Path:
    """Rename a damaged spool with what SQLite keeps beside it. The new name."""
    for place in range(1, 1000):
        target = path.with_name(f"{path.name}.damaged-{place}")
        if not target.exists():
            break
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(target.with_name(target.name + suffix))
    return target
