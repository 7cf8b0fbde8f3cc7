"""What the inventory needs of a database, in SQLite without anything else, or any other by SQLAlchemy."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from edgevision.errors import InputError, ItemError, MissingExtraError, SinkError

TABLE = "inventory_events"
_TABLES = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (
    event_id TEXT PRIMARY KEY,
    time_s REAL NOT NULL,
    camera TEXT NOT NULL,
    place TEXT NOT NULL,
    product TEXT NOT NULL,
    delta INTEGER NOT NULL,
    track_id INTEGER NOT NULL,
    cause TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS {TABLE}_stock ON {TABLE} (camera, place, product, time_s, delta);
"""
COLUMNS = ("event_id", "time_s", "camera", "place", "product", "delta", "track_id", "cause")
_INSERT = f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) VALUES ({', '.join(':' + name for name in COLUMNS)})"
_WAIT_S = 5.0  # for another program that writes


class Database(Protocol):
    """A database that is open. Parameters of SQL are written ``:name``. Raises SinkError."""

    def insert(self, rows: list[dict[str, Any]]) -> int:
        """Add rows of ``COLUMNS``, all or none, those that are there already left out. How many were new. Raises ItemError where the
        table can never take one of them."""

    def query(self, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows."""

    def close(self) -> None:
        """Give it back. Closing twice is allowed."""


def open_database(place: str | Path, *, write: bool) -> Database:
    """SQLite for a path, SQLAlchemy for a URL such as ``postgresql://user@host/shop``.

    ``write``: make the table where there is none; without it, the database must have one. Raises InputError, SinkError,
    MissingExtraError.
    """
    text = str(place)
    if "://" in text:
        return SqlDatabase(text, write=write)
    return SqliteDatabase(Path(text), write=write)


class SqliteDatabase:
    """One file. Written with a write-ahead log, synced at each event: whole after SIGKILL and a power cut, and readable meanwhile."""

    def __init__(self, path: Path, *, write: bool) -> None:
        self._path = path
        with self._speaking():
            if write:
                self._database = self._open_for_writing()
            else:
                self._database = self._open_for_reading()

    def insert(self, rows: list[dict[str, Any]]) -> int:
        """Add rows that are new."""
        with self._speaking(), self._database:
            self._database.execute("BEGIN IMMEDIATE")
            before = self._database.total_changes
            self._database.executemany(f"{_INSERT} ON CONFLICT (event_id) DO NOTHING", rows)
            return self._database.total_changes - before

    def query(self, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows."""
        with self._speaking():
            return self._database.execute(sql, dict(parameters)).fetchall()

    def close(self) -> None:
        """Close the file."""
        with self._speaking():
            self._database.close()

    def _open_for_writing(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644))
        database = sqlite3.connect(self._path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if tables and TABLE not in tables:
                raise InputError(
                    f"{self._path} is a database of another kind, without the table {TABLE}; give another path"
                )
            database.executescript(_TABLES)
        except BaseException:
            database.close()
            raise
        return database

    def _open_for_reading(self) -> sqlite3.Connection:
        if not self._path.is_file():
            raise InputError(f"{self._path} is not there; give the database that --sink sqlite:FILE writes")
        database = sqlite3.connect(
            f"{self._path.resolve().as_uri()}?mode=ro", uri=True, timeout=_WAIT_S, isolation_level=None
        )
        found = database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (TABLE,)).fetchone()
        if found is None:
            database.close()
            raise InputError(f"{self._path} has no table {TABLE}; give the database that --sink sqlite:FILE writes")
        return database

    @contextlib.contextmanager
    def _speaking(self) -> Iterator[None]:
        """Turn errors of SQLite and the system into ours."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, sqlite3.DatabaseError) and "not a database" in str(error):
                raise InputError(f"{self._path} is no SQLite database; give another path") from error
            if isinstance(error, (sqlite3.IntegrityError, sqlite3.DataError)):
                raise ItemError(f"the database {self._path} does not take this event: {error}") from error
            raise SinkError(f"cannot use the database {self._path}: {error}") from error


class SqlDatabase:
    """Any database that SQLAlchemy opens. What connects to it, such as psycopg for PostgreSQL, is installed apart."""

    def __init__(self, url: str, *, write: bool) -> None:
        sqlalchemy = _sqlalchemy()
        self._sql = sqlalchemy
        try:
            parsed = sqlalchemy.make_url(url)
        except sqlalchemy.exc.ArgumentError:
            raise InputError("the database's URL cannot be read; write it as postgresql://user@host/name") from None
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        self._place = parsed.render_as_string(hide_password=True)
        try:
            self._engine = sqlalchemy.create_engine(parsed, pool_pre_ping=True)
        except sqlalchemy.exc.NoSuchModuleError:
            raise InputError(
                f"{parsed.drivername!r} is no database that SQLAlchemy knows, such as postgresql"
            ) from None
        except ImportError as error:
            raise MissingExtraError(error.name or parsed.drivername, "", f"the database {self._place}") from error
        self._table = self._describe()
        try:
            self._open(write)
        except BaseException:
            self.close()  # nobody else can: there is no object to close
            raise

    def _open(self, write: bool) -> None:
        with self._speaking():
            if write:
                self._table.metadata.create_all(self._engine)
            elif not self._sql.inspect(self._engine).has_table(TABLE):
                raise InputError(f"{self._place} has no table {TABLE}; give the database that --sink writes")

    def insert(self, rows: list[dict[str, Any]]) -> int:
        """Add rows that are new: one by one, for no two kinds of databases agree on how to pass over the others."""
        new = 0
        with self._speaking(), self._engine.begin() as connection:
            for row in rows:
                try:
                    with connection.begin_nested():
                        connection.execute(self._table.insert(), row)
                    new += 1
                except self._sql.exc.IntegrityError:
                    continue  # it is there already
        return new

    def query(self, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows."""
        with self._speaking(), self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(self._sql.text(sql), dict(parameters))]

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _describe(self) -> Any:
        sql = self._sql
        kinds = {"time_s": sql.Double, "delta": sql.Integer, "track_id": sql.BigInteger}
        columns = [
            sql.Column(name, kinds.get(name, sql.String(255)), primary_key=name == "event_id", nullable=False)
            for name in COLUMNS
        ]
        table = sql.Table(TABLE, sql.MetaData(), *columns)
        sql.Index(f"{TABLE}_stock", *(table.c[name] for name in ("camera", "place", "product", "time_s")))
        return table

    @contextlib.contextmanager
    def _speaking(self) -> Iterator[None]:
        """Turn errors of SQLAlchemy into ours, without passwords."""
        try:
            yield
        except self._sql.exc.SQLAlchemyError as error:
            words = " ".join(str(getattr(error, "orig", None) or error).split())
            if isinstance(error, self._sql.exc.DataError):
                raise ItemError(f"the database {self._place} does not take this event: {words}") from None
            raise SinkError(f"cannot use the database {self._place}: {words}") from None


def _sqlalchemy() -> Any:
    try:
        import sqlalchemy
    except ImportError as error:
        raise MissingExtraError("sqlalchemy", "stream", "a database by URL") from error
    return sqlalchemy
