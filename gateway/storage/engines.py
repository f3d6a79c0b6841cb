"""Connections to SQLite and PostgreSQL, with the settings that make a commit durable and a failure short."""

import os
import sqlite3
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool, StaticPool

from gateway.errors import StartRefused
from gateway.storage.driver import change

BUSY_SECONDS: Final = 3.0  # for a lock; stores give up after five, and an answer of 503 has to come before that
_READERS: Final = 16
_CACHE_KIB: Final = 2_048  # of each connection; the system caches the file for all
_CHECKPOINT_PAGES: Final = 4_000  # a checkpoint waits for the disk twice; with the usual 1,000 every few commits did
_STATEMENTS: Final = 512  # kept prepared: those for many rows are as many as there are sizes of batches
_POSTGRES_OPTIONS: Final = {
    # A host that freezes inside a transaction must not keep its locks.
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": f"{BUSY_SECONDS}s",
    "statement_timeout": "60s",
    "synchronous_commit": "on",
    # A plan stays while its tables grow: one that reads a whole table is good for an empty one only. And where that is
    # all there is, its price would have it compiled first, which takes longer than any statement here.
    "enable_seqscan": "off",
    "jit": "off",
}


_URL_NEEDED: Final = (
    "database.url, or --to, must be sqlite:///PATH or postgresql+psycopg://user:password@host:port/name"
)


def parse_url(url: str) -> URL:
    """Return a database URL; refuses what is neither an SQLite file nor PostgreSQL by psycopg."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # not shown: it may hold a password
        raise StartRefused(_URL_NEEDED) from None
    if parsed.drivername in {"postgresql", "postgresql+psycopg"}:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername == "sqlite" and parsed.database not in {None, "", ":memory:"}:
        return parsed
    raise StartRefused(_URL_NEEDED)


def is_same_place(one: str, other: str) -> bool:
    """Whether two database URLs name the same file, or are the same word for word."""
    urls = parse_url(one), parse_url(other)
    if any(url.get_backend_name() != "sqlite" for url in urls):
        return urls[0] == urls[1]
    return sqlite_path(urls[0]).resolve() == sqlite_path(urls[1]).resolve()


def sqlite_path(url: URL) -> Path:
    """Return the file that an SQLite URL names."""
    return Path(str(url.database))


def sqlite_writer(url: URL) -> Engine:
    """Return an engine of one connection whose transactions take the write lock when they begin."""
    return _sqlite(url, begin="BEGIN IMMEDIATE", read_only=False, poolclass=StaticPool)


def sqlite_readers(url: URL) -> Engine:
    """Return an engine of connections that only read, each from a snapshot of its own."""
    return _sqlite(url, begin="BEGIN", read_only=True, poolclass=QueuePool, pool_size=_READERS, pool_timeout=10)


def postgres(url: URL, *, connections: int) -> Engine:
    """Return an engine for PostgreSQL; sessions end by themselves when their process is cut off."""
    options = " ".join(f"-c {name}={value}" for name, value in _POSTGRES_OPTIONS.items())
    given = {"connect_timeout": 4, "tcp_user_timeout": 10_000, "keepalives_idle": 10, "keepalives_interval": 5}
    return create_engine(
        url,
        json_serializer=_json,
        json_deserializer=orjson.loads,
        pool_size=connections,
        max_overflow=connections,
        pool_timeout=BUSY_SECONDS,
        pool_use_lifo=True,  # the last one used has its statements ready, and its process what it read
        connect_args={"options": options, "application_name": "gateway", **given},
    )


def _sqlite(url: URL, *, begin: str, read_only: bool, **pool: Any) -> Engine:
    path = sqlite_path(url)
    target = f"file:{_quoted(path)}?mode=rw"  # never makes a new, empty file where the old one vanished

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            target,
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_STATEMENTS,
        )
        try:
            _configure(connection, read_only=read_only)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    engine = create_engine("sqlite://", creator=connect, json_serializer=_json, json_deserializer=orjson.loads, **pool)
    event.listen(engine, "begin", lambda connection: _begin(connection, begin))
    return engine


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _configure(connection: sqlite3.Connection, *, read_only: bool) -> None:
    if not read_only:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA cache_size = {-_CACHE_KIB}")
    if read_only:
        connection.execute("PRAGMA query_only = ON")


def _begin(connection: Connection, statement: str) -> None:
    change(connection, statement)


def make_sqlite_file(url: URL) -> None:
    """Make the file and its folder where they are not there yet, readable by their owner alone."""
    path = sqlite_path(url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> StartRefused:
    """Return what to raise for a file that cannot be made or opened for writing."""
    why = os.strerror(error.errno) if error.errno else type(error).__name__
    return StartRefused(f"{path} cannot be written ({why.lower()}); look at database.url, and who may write there")
