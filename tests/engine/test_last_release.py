"""The last release and this one take over from each other, on a schema that is newer than both.

Until there is a release, this code stands for it: what comes next adds a column and a table that it does not know.
"""

import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import requests
from sqlalchemy import text

from gateway.storage.database import Database
from gateway.storage.migrating import migrate
from tests.engine.fleet import HURRY
from tests.engine.orders import STORE, a_webhook, an_email
from tests.engine.running import ROOT, Gateway, free_port, wait_for
from tests.engine.sink import Answer, Sink
from tests.visitors import a_session

NEXT: Final = (
    "ALTER TABLE orders ADD COLUMN of_tomorrow TEXT DEFAULT 'said' NOT NULL",
    "CREATE TABLE of_tomorrow (id INTEGER PRIMARY KEY)",
    "UPDATE alembic_version SET version_num = '9999'",
)


@pytest.fixture(scope="session")
def last_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the code of the newest tag behind this commit."""
    tag = _git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD^").decode().strip()
    if not tag:
        return ROOT
    folder = tmp_path_factory.mktemp("release")
    with tarfile.open(fileobj=io.BytesIO(_git("archive", tag, "gateway", "migrations"))) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database that the next release has migrated."""
    is_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/gateway.db" if is_sqlite else request.getfixturevalue("bare_postgres_url")
    migrate(url)
    database = Database(url)
    database.write(lambda connection: [connection.execute(text(one)).rowcount for one in NEXT])
    database.close()
    return url


def test_releases_take_over_from_each_other(last_release: Path, url: str, tmp_path: Path, sink: Sink) -> None:
    asked: dict[str, Any] = {"url": url, "port": free_port(), "sinks": {"sink": sink.url}, "more": HURRY}
    for number, code in enumerate((last_release, ROOT, last_release), start=1):
        gateway = Gateway(tmp_path / str(number), **asked, code=code)
        with running(gateway, ["run"] if url.startswith("sqlite") else ["web", "worker"]):
            take_over(gateway, sink, number)
    assert [arrival.order["id"] for arrival in sink.taken] == [1, 2]
    assert len({arrival.webhook_id for arrival in sink.arrivals}) == 3
    assert not any(an_email(number).encode() in one.body for one in sink.arrivals for number in (1, 2, 3))


@contextmanager
def running(gateway: Gateway, commands: list[str]) -> Iterator[None]:
    try:
        for command in commands:
            gateway.start(command)
        yield
    finally:
        gateway.stop()


def take_over(gateway: Gateway, sink: Sink, number: int) -> None:
    """Deliver what was left behind, and leave an order behind: one that fails at its first attempt."""
    sink.answer = lambda _: Answer.OK
    wait_for(lambda: len(sink.taken) == number - 1, what="what the release before took in")
    tried, sink.answer = len(sink.arrivals), lambda _: Answer.BUSY
    assert says(gateway, seq=number) == 202
    assert [gateway.send(a_webhook(n, marketing=False)) for n in (1, number)] == [200, 200]
    wait_for(lambda: len(sink.arrivals) > tried, what="the first attempt")


def says(gateway: Gateway, *, seq: int) -> int:
    """Have a browser answer, for a session that it answered for before."""
    answer = {"session_id": a_session(), "state": "answered", "categories": {"marketing": seq % 2 == 0}, "seq": seq}
    return requests.post(f"{gateway.address}/consent/{STORE}", json=answer, timeout=10).status_code


def _git(*arguments: str) -> bytes:
    """What git says; nothing where it refuses, or is not there."""
    if not shutil.which("git"):
        return b""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False).stdout
