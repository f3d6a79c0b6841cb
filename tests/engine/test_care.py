"""Keys are changed while everything runs, and a copy that was killed goes on: nothing is lost by either."""

import base64
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from gateway.settings import decode_key
from gateway.storage.database import Database
from gateway.storage.sealing import Keyring
from gateway.storage.tables import bodies, metadata, webhooks
from tests.engine.fleet import HURRY, Shop, assert_nothing_lost
from tests.engine.orders import a_webhook
from tests.engine.running import KEY, ROOT, Gateway, free_port, wait_for
from tests.engine.sink import Answer, Sink
from tests.fakes import NOON

NEW_KEY = base64.b64encode(b"another-key-another-key-another!").decode()
MANY = 20_000


def set_keys(gateway: Gateway, key: str, *previous: str) -> None:
    """Write the keys into the settings, as an operator does."""
    lines = gateway.settings.read_text(encoding="utf-8").splitlines()
    own = [f'key = "{key}"', f"previous_keys = {list(previous)}".replace("'", '"')]
    at = lines.index("[security]")
    kept = [line for line in lines if not line.startswith(("key = ", "previous_keys = "))]
    gateway.settings.write_text("\n".join([*kept[: at + 1], *own, *kept[at + 1 :]]), encoding="utf-8")


def test_keys_are_changed_while_web_and_workers_run(tmp_path: Path, sink: Sink, postgres_url: str) -> None:
    ports = free_port(), free_port()
    first, second = (
        Gateway(tmp_path / str(port), url=postgres_url, port=port, sinks={"sink": sink.url}, more=HURRY)
        for port in ports
    )
    sink.answer = lambda number: Answer.BUSY if number % 2 else Answer.OK
    for gateway in (first, second):
        set_keys(gateway, KEY, NEW_KEY)
    running = [(first, first.start("web")), (second, second.start("web")), (second, second.start("worker"))]
    shops = [Shop(first), Shop(second, first=8_000_001)]
    for shop in shops:
        shop.start()
    wait_for(lambda: all(shop.answered for shop in shops), what="answers")
    for gateway, process in running:
        set_keys(gateway, NEW_KEY, KEY)
        process.terminate()
        process.wait(10)
        gateway.start("worker" if process is running[-1][1] else "web")
    rotated = first.run("key", "rotate")
    assert (rotated.returncode, "rows are under the current key now" in rotated.stdout) == (0, True)
    for shop in shops:
        shop.join()
    sink.answer = lambda _: Answer.OK
    assert_nothing_lost(postgres_url, shops, sink)
    for gateway in (first, second):
        gateway.stop()
        set_keys(gateway, NEW_KEY)
    assert key_ids(postgres_url) == {Keyring(decode_key(NEW_KEY)).key_id}
    first.start("web")
    first.start("worker")
    assert first.send(a_webhook(9_000_000)) == 200
    wait_for(lambda: str(sink.taken[-1].order["id"]) == "9000000", what="a delivery")
    first.stop()


def key_ids(url: str) -> set[str]:
    database = Database(url)
    try:
        return set(database.read(lambda connection: connection.execute(select(bodies.c.key_id)).scalars().all()))
    finally:
        database.close()


def counts(database: Database) -> dict[str, int]:
    def count(table: Any) -> int:
        return int(database.read(lambda c: c.execute(select(func.count()).select_from(table)).scalar_one()))

    return {table.name: count(table) for table in metadata.sorted_tables}


@pytest.mark.parametrize(("source", "target"), [("sqlite", "postgres"), ("postgres", "sqlite")])
def test_a_copy_that_was_killed_goes_on(
    tmp_path: Path, request: pytest.FixtureRequest, source: str, target: str
) -> None:
    urls = {kind: str(request.getfixturevalue(f"{kind}_url")) for kind in (source, target)}
    gateway = Gateway(tmp_path / "gateway", url=urls[source], port=free_port(), sinks={})
    here, there = Database(urls[source]), Database(urls[target])
    common = {"store_id": "acme", "topic": "order.created", "status": "accepted", "received_at": NOON}
    rows = [common | {"key": f"{n:06}"} for n in range(MANY)]
    here.write(lambda connection: connection.execute(insert(webhooks), rows).rowcount)
    arguments = ["database", "copy", "--to", urls[target]]
    command = [sys.executable, "-m", "gateway", *arguments, "--settings", str(gateway.settings)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as copying:
        wait_for(lambda: counts(there)["webhooks"] > 0, what="the first rows")
        copying.send_signal(signal.SIGKILL)
    begun = counts(there)["webhooks"]
    assert 0 < begun < MANY
    early = Gateway(tmp_path / "early", url=urls[target], port=free_port(), sinks={})
    refused = early.run("run" if target == "sqlite" else "worker")
    assert (refused.returncode, "was not finished" in refused.stderr) == (1, True)
    done = gateway.run(*arguments)
    assert (done.returncode, f"webhooks: {MANY} rows" in done.stdout) == (0, True)
    assert counts(there) == counts(here)
    here.close()
    there.close()
