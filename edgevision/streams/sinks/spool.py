"""Messages on disk until the other side has confirmed them."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgevision.errors import InputError, SinkError

MAX_BYTES = 64 << 20
MAX_AGE_S = 7 * 86_400.0

_MARK = 0x45565370  # "EVSp": the application id of SQLite's header, by which a spool is known
_SYNC_S = 0.1  # at most ten syncs a second, for memory cards take long
_OVERHEAD_BYTES = 100  # of a message, besides its texts: row, two indexes
_SECOND_NS = 1_000_000_000
_EARLIEST_NS = 1_704_067_200 * _SECOND_NS  # 2024: a clock that shows less was not set yet, and tells no age
_TABLES = """
CREATE TABLE messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    address TEXT NOT NULL,
    body BLOB NOT NULL,
    made_ns INTEGER NOT NULL
);
CREATE INDEX messages_made ON messages (made_ns);
CREATE TABLE dropped (reason TEXT PRIMARY KEY, count INTEGER NOT NULL);
"""


@dataclass(frozen=True)
class Spooled:
    """A message that waits. ``number``: counts up in the order of ``append``; ``address``: where it goes, such as a topic."""

    number: int
    id: str
    address: str
    body: bytes
    made_ns: int


class Spool:
    """A queue on disk: what is appended stays until it is confirmed, through restarts, SIGKILL and power cuts.

    It is one SQLite file, which one program may use at a time. ``max_bytes`` and ``max_age_s`` bound what waits: the oldest is
    dropped, and counted, for good. ``now_ns``: the clock, UTC nanoseconds since 1970. Thread-safe.

    A killed process loses nothing. The file is synced ten times a second at most: a power cut may take what came since.

    Raises InputError for a file that is something else or in use, SinkError where it cannot be written. A damaged file is
    set aside (``set_aside`` is its new name) and an empty one takes its place: the stream goes on.

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
    ) -> None:
        if max_bytes < 1 or not max_age_s > 0:
            raise InputError(f"a spool needs max_bytes and max_age_s over 0, got {max_bytes} and {max_age_s}")
        self.path = Path(path)
        self.max_bytes = max_bytes
        self.max_age_s = max_age_s
        self.set_aside: Path | None = None
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._synced_s = -_SYNC_S
        self._level = ""
        self._sizes: dict[int, int] = {}  # number → bytes of each message that waits, the oldest first
        self._bytes = self._last = 0
        with self._speaking():
            self._database = self._open()
            self._measure()

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
        return len(self._sizes)

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many messages were lost so far, earlier runs included: ``size``, ``age`` and ``refused`` → count."""
        with self._alone():
            return dict(self._database.execute("SELECT reason, count FROM dropped"))

    def waiting(self, limit: int = 100) -> list[Spooled]:
        """The oldest messages that are not confirmed, at most ``limit``, in their order. Drops what is too old first."""
        with self._alone():
            self._expire()
            rows = self._database.execute(
                "SELECT number, id, address, body, made_ns FROM messages ORDER BY number LIMIT ?", (limit,)
            ).fetchall()
        return [Spooled(number, id, address, bytes(body), made_ns) for number, id, address, body, made_ns in rows]

    # ---- what changes ----

    def append(self, id: str, body: bytes, *, address: str = "") -> bool:
        """Keep a message. False where one with this id waits already."""
        size = _size(id, address, body)
        with self._alone():
            self._set_level("FULL" if self._sync_is_due() else "NORMAL")
            if self._bytes + size <= self.max_bytes:
                return self._insert(id, address, body, size)  # one statement: whole by itself
            with self._transaction():
                return self._insert_in_full(id, address, body, size)

    def confirm(self, numbers: Iterable[int]) -> None:
        """The other side has these. Numbers that do not wait (any more) are passed over."""
        with self._alone(), self._transaction():
            self._remove(list(numbers))

    def refuse(self, number: int) -> None:
        """The other side will never take this one: drop it, and count it as ``refused``."""
        with self._alone(), self._transaction():
            self._count("refused", self._remove([number]))

    def sync(self) -> None:
        """See that a power cut takes nothing of what was appended."""
        with self._alone():
            self._database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            self._synced_s = time.monotonic()

    def close(self) -> None:
        """Sync and close. Closing twice is allowed."""
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

    def _insert(self, id: str, address: str, body: bytes, size: int) -> bool:
        made = self._database.execute(
            "INSERT INTO messages (id, address, body, made_ns) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
            (id, address, body, self._now_ns()),
        )
        if not made.rowcount:
            return False
        assert made.lastrowid is not None
        self._last = made.lastrowid
        self._sizes[self._last] = size
        self._bytes += size
        return True

    def _insert_in_full(self, id: str, address: str, body: bytes, size: int) -> bool:
        """The same where there is no room: the oldest go, or the message itself where it never fits."""
        if self._database.execute("SELECT 1 FROM messages WHERE id = ?", (id,)).fetchone():
            return False
        if size > self.max_bytes:
            self._count("size", 1)
            return True
        too_many = self._bytes + size - self.max_bytes
        oldest = []
        for number, freed in self._sizes.items():
            if too_many <= 0:
                break
            oldest.append(number)
            too_many -= freed
        self._count("size", self._remove(oldest))
        return self._insert(id, address, body, size)

    def _remove(self, numbers: list[int]) -> int:
        """How many of them there were."""
        there = [number for number in dict.fromkeys(numbers) if number in self._sizes]
        self._database.executemany("DELETE FROM messages WHERE number = ?", [(number,) for number in there])
        self._bytes -= sum(self._sizes.pop(number) for number in there)
        return len(there)

    def _expire(self) -> None:
        before_ns = self._now_ns() - int(self.max_age_s * _SECOND_NS)
        old = self._database.execute(
            "SELECT number FROM messages WHERE made_ns BETWEEN ? AND ?", (_EARLIEST_NS, before_ns)
        ).fetchall()
        if old:
            with self._transaction():
                self._count("age", self._remove([number for (number,) in old]))

    def _count(self, reason: str, more: int) -> None:
        if not more:
            return
        self._database.execute(
            "INSERT INTO dropped VALUES (?, ?) ON CONFLICT (reason) DO UPDATE SET count = count + excluded.count",
            (reason, more),
        )

    def _measure(self) -> None:
        """Look what waits, and what the number of the last message was."""
        rows = self._database.execute("SELECT number, id, address, length(body) FROM messages ORDER BY number")
        self._sizes = {number: _size(id, address, b"") + length for number, id, address, length in rows}
        self._bytes = sum(self._sizes.values())
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
            if not tables:
                marked = f"PRAGMA application_id = {_MARK};"
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
