"""Two processes and one SQLite file: one reads it, and what it writes is written by the other, which owns it."""

import multiprocessing
from collections.abc import Iterator
from functools import partial
from multiprocessing.connection import Connection as Line
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from gateway.errors import NotRecorded
from gateway.storage.database import Database, announce_work
from gateway.storage.forwarding import Forwarding
from gateway.storage.migrating import migrate

SPAWN = multiprocessing.get_context("spawn")


def put(connection: Connection, name: str) -> str:
    """A job: writes one row, and answers with what it wrote."""
    connection.execute(text("INSERT INTO facts (name, value, updated_at) VALUES (:name, 'x', 0)"), {"name": name})
    return name


def put_and_ring(connection: Connection, name: str) -> None:
    """A job that makes work."""
    put(connection, name)
    announce_work(connection)


def put_and_fail(connection: Connection, name: str) -> None:
    """A job with a bug in it."""
    put(connection, name)
    raise ValueError(name)


def refuse(_: Connection) -> None:
    """A job on a full disk."""
    raise NotRecorded("the disk is full")


def names(connection: Connection) -> set[str]:
    return set(connection.execute(text("SELECT name FROM facts")).scalars())


class Other:
    """The process that does not own the file; runs what it is sent."""

    def __init__(self, url: str, forwarding: Forwarding) -> None:
        self._line, far = SPAWN.Pipe()
        self._process = SPAWN.Process(target=_run, args=(url, forwarding, far))
        self._process.start()
        far.close()

    def write(self, job: Any) -> Any:
        self._line.send(("write", job))
        return self._line.recv()

    def names(self) -> Any:
        self._line.send(("read", names))
        return self._line.recv()

    def hears(self) -> Any:
        self._line.send(("wait", 10.0))
        return self._line.recv()

    def end(self) -> None:
        self._line.close()
        self._process.join()


def _run(url: str, forwarding: Forwarding, line: Line) -> None:
    database = Database(url, forwarding=forwarding, is_owner=False)
    while True:
        try:
            word, given = line.recv()
        except EOFError:
            return
        try:
            line.send(getattr(database, word)(given))
        except Exception as error:  # noqa: BLE001 - told to the test
            line.send((type(error).__name__, str(error)))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Other]]:
    url = f"sqlite:///{Path(tmp_path_factory.mktemp('forwarding')) / 'gateway.db'}"
    migrate(url)
    forwarding = Forwarding()
    other = Other(url, forwarding)
    owner = Database(url, forwarding=forwarding)
    yield owner, other
    other.end()
    owner.close()


def test_what_the_other_process_writes_is_on_disk_when_it_is_told_so(pair: tuple[Database, Other]) -> None:
    owner, other = pair

    assert other.write(partial(put, name="one")) == "one"

    assert "one" in owner.read(names)
    assert "one" in other.names()


def test_the_other_process_hears_of_work_that_the_owner_makes(pair: tuple[Database, Other]) -> None:
    owner, other = pair

    owner.write(partial(put_and_ring, name="two"))

    assert other.hears() is True


def test_a_refused_write_is_refused_in_the_other_process(pair: tuple[Database, Other]) -> None:
    _, other = pair

    assert other.write(refuse) == ("NotRecorded", "the disk is full")


def test_a_failed_write_leaves_nothing_and_tells_no_value(pair: tuple[Database, Other]) -> None:
    owner, other = pair

    assert other.write(partial(put_and_fail, name="secret")) == ("RuntimeError", "ValueError")

    assert "secret" not in owner.read(names)
    assert other.write(partial(put, name="later")) == "later"


def test_an_answer_that_cannot_be_sent_is_an_error_and_the_line_goes_on(pair: tuple[Database, Other]) -> None:
    _, other = pair

    word, _ = other.write(partial(put_unpicklable, name="third"))

    assert word == "RuntimeError"
    assert other.write(partial(put, name="fourth")) == "fourth"


def put_unpicklable(connection: Connection, name: str) -> object:
    """A job whose answer cannot be sent."""
    put(connection, name)
    return lambda: None
