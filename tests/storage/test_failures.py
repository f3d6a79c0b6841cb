"""A database that fails says so in one line, keeps nothing half-written, and is used again once it works."""

import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, insert, select, text

from gateway.errors import NotRecorded
from gateway.storage import engines
from gateway.storage.database import Database
from gateway.storage.probing import check_writing
from gateway.storage.tables import facts

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def put(name: str, value: str = "") -> Callable[[Connection], None]:
    def job(connection: Connection) -> None:
        connection.execute(insert(facts).values(name=name, value=value, updated_at=NOW))

    return job


def limit_pages(pages: int) -> Callable[[Connection], None]:
    def job(connection: Connection) -> None:
        connection.execute(text(f"PRAGMA max_page_count = {pages}"))

    return job


def names(database: Database) -> list[str]:
    query = select(facts.c.name).order_by(facts.c.name)
    return list(database.read(lambda connection: connection.execute(query).scalars().all()))


def path_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


@pytest.fixture
def database(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.1)
    database = Database(sqlite_url)
    yield database
    database.close()


def test_a_locked_file_refuses_until_it_is_free(database: Database, sqlite_url: str) -> None:
    other = sqlite3.connect(path_of(sqlite_url), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(NotRecorded, match="the database is locked"):
        database.write(put("a"))
    other.execute("ROLLBACK")
    other.close()
    database.write(put("b"))
    assert names(database) == ["b"]


def test_writing_is_tried_where_the_last_write_failed_and_leaves_nothing(database: Database, sqlite_url: str) -> None:
    other = sqlite3.connect(path_of(sqlite_url), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    check_writing(database)
    with pytest.raises(NotRecorded, match="the database is locked"):
        database.write(put("a"))
    with pytest.raises(NotRecorded, match="the database is locked"):
        check_writing(database)
    other.execute("ROLLBACK")
    other.close()
    check_writing(database)
    assert (names(database), database.is_refusing) == ([], False)


def test_a_full_disk_refuses_until_there_is_room(database: Database) -> None:
    database.write(limit_pages(1))
    with pytest.raises(NotRecorded, match="the disk is full"):
        database.write(put("a", "x" * 1_000_000))
    database.write(limit_pages(1_000_000))
    database.write(put("b"))
    assert names(database) == ["b"]


def test_a_vanished_file_refuses_until_it_is_back(database: Database, sqlite_url: str, tmp_path: Path) -> None:
    database.write(put("a"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for suffix in ("", "-wal", "-shm"):
        shutil.move(f"{path_of(sqlite_url)}{suffix}", elsewhere)
    for _ in range(2):
        with pytest.raises(NotRecorded, match=r"vanished|cannot be opened"):
            database.write(put("b"))
    assert not path_of(sqlite_url).exists()
    for file in elsewhere.iterdir():
        shutil.move(file, path_of(sqlite_url).parent)
    database.write(put("c"))
    assert names(database) == ["a", "c"]


def test_a_replaced_file_is_not_written_to_by_an_old_connection(database: Database, sqlite_url: str) -> None:
    database.write(put("a"))
    copy = f"{path_of(sqlite_url)}.copy"
    source, target = sqlite3.connect(path_of(sqlite_url)), sqlite3.connect(copy)
    source.backup(target)
    source.close()
    target.close()
    Path(copy).replace(path_of(sqlite_url))
    with pytest.raises(NotRecorded, match="vanished"):
        database.write(put("b"))
    for suffix in ("-wal", "-shm"):
        Path(f"{path_of(sqlite_url)}{suffix}").unlink(missing_ok=True)
    database.write(put("c"))
    assert names(database) == ["a", "c"]


def test_a_damaged_file_is_said_to_be_damaged(sqlite_url: str) -> None:
    path_of(sqlite_url).write_bytes(b"not a database" * 1000)
    database = Database(sqlite_url)
    with pytest.raises(NotRecorded, match="is not a database"):
        database.write(put("a"))
    database.close()


def test_a_missing_file_is_not_made_anew(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'none.db'}")
    with pytest.raises(NotRecorded, match="cannot be opened"):
        database.write(put("a"))
    database.close()
    assert not (tmp_path / "none.db").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("may not mount file systems here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_fills_up_refuses_whole_writes_only(sqlite_url: str, small_disk: Path) -> None:
    path = shutil.copy(path_of(sqlite_url), small_disk / "gateway.db")
    database = Database(f"sqlite:///{path}")
    kept = []
    for n in range(100):
        try:
            database.write(put(f"{n:03}", "x" * 100_000))
        except NotRecorded as refused:
            assert str(refused) in {"the disk is full", "the disk failed"}  # noqa: PT017 - some writes succeed
            break
        kept.append(f"{n:03}")
    assert 0 < len(kept) < 100
    assert names(database) == kept
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    database.write(put("more", "x" * 100_000))
    assert names(database) == [*kept, "more"]
    database.close()


def test_a_read_only_disk_refuses(sqlite_url: str, small_disk: Path) -> None:
    path = shutil.copy(path_of(sqlite_url), small_disk / "gateway.db")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    database = Database(f"sqlite:///{path}")
    with pytest.raises(NotRecorded, match=r"read-only|cannot be opened|disk failed"):
        database.write(put("a"))
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    database.write(put("b"))
    assert names(database) == ["b"]
    database.close()


def test_lost_connections_are_made_again(postgres_url: str, postgres_server: str) -> None:
    database = Database(postgres_url)
    database.write(put("a"))
    names(database)
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gateway'")
    database.write(put("b"))
    assert names(database) == ["a", "b"]
    database.close()


def test_an_unreachable_server_refuses() -> None:
    database = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    for call in (lambda: database.write(put("a")), lambda: names(database), database.now):
        with pytest.raises(NotRecorded, match="cannot be reached"):
            call()
    database.close()


def test_transactions_that_lock_each_other_out_both_succeed(postgres_url: str) -> None:
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    database = Database(postgres_url)
    for name in ("a", "b"):
        database.write(put(name))
    both_hold_one = Barrier(2)
    tries: list[str] = []

    def swap(first: str, second: str) -> Callable[[Connection], None]:
        def job(connection: Connection) -> None:
            tries.append(first)
            connection.execute(facts.update().where(facts.c.name == first).values(value=first))
            if len(tries) <= 2:
                both_hold_one.wait(10)
            connection.execute(facts.update().where(facts.c.name == second).values(value=first))

        return job

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(database.write, swap("a", "b")), threads.submit(database.write, swap("b", "a"))]:
            done.result()
    assert len(tries) > 2
    database.close()


def test_messages_hold_nothing_of_what_was_written(database: Database) -> None:
    database.write(limit_pages(1))
    with pytest.raises(NotRecorded) as refused:
        database.write(put("shopper@example.org", "x" * 1_000_000))
    assert "shopper" not in str(refused.value)
