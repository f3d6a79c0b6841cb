"""key rotate, database copy and reconcile: care for what is stored, and for what should have been."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from gateway.bootstrap import build, make_key, open_stored_keyring
from gateway.cli.advice import about_store
from gateway.cli.manage import check_store, with_database
from gateway.cli.operate import SINCE, instant
from gateway.errors import StartRefused
from gateway.flow.reconcile import Report
from gateway.model.counting import count
from gateway.settings import load_settings, placed_url
from gateway.storage.copying import copy_database, now_current, rotate_keys
from gateway.storage.database import Database
from gateway.storage.engines import is_same_place
from gateway.storage.migrating import migrate
from gateway.storage.ownership import Ownership

Hear = Callable[[str, int, int | None], None]
_LOOK_AGAIN_SECONDS: Final = 3.0  # in which a process that was not restarted is likely to write something


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add `gateway key rotate`, `gateway database copy` and `gateway reconcile`."""
    keys = commands.add_parser("key", help="encryption at rest").add_subparsers(metavar="ACTION", required=True)
    text = "seal everything under security.key; the key before it stays in security.previous_keys until this is done"
    keys.add_parser("rotate", parents=[common], help=text, description=text).set_defaults(run=_rotate)
    databases = commands.add_parser("database", help="the database").add_subparsers(metavar="ACTION", required=True)
    text = "copy everything to another database, compare, and go on where an earlier copy stopped"
    copy = databases.add_parser("copy", parents=[common], help=text, description=text)
    copy.add_argument("--to", required=True, metavar="URL", help="as database.url is written in settings.toml")
    copy.set_defaults(run=_copy)
    text = "fetch from the store what no webhook brought"
    fetch = commands.add_parser("reconcile", parents=[common], help=text, description=text)
    fetch.add_argument("--store", required=True, metavar="ID", help="a store that has [stores.api]")
    fetch.add_argument("--since", required=True, type=instant, metavar="TIME", help=SINCE)
    fetch.add_argument("--dry-run", action="store_true", help="count, and take nothing in")
    fetch.set_defaults(run=_reconcile)


def _rotate(arguments: argparse.Namespace) -> int:
    settings = load_settings(arguments.settings)

    def job(database: Database) -> int:
        keyring = open_stored_keyring(make_key(settings), database)
        with _bar() as hear:
            return rotate_keys(database, keyring, hear, apart_seconds=_LOOK_AGAIN_SECONDS)

    print(f"{now_current(with_database(settings, job))}; security.previous_keys may be emptied")
    return 0


def _copy(arguments: argparse.Namespace) -> int:
    settings = load_settings(arguments.settings)
    to = placed_url(arguments.to, settings.folder)
    if is_same_place(settings.database.url, to):
        raise StartRefused("--to is the database that is copied")
    with ExitStack() as held:
        for url in (settings.database.url, to):
            held.enter_context(closing(Ownership(url)))
        migrate(to)
        target = held.enter_context(closing(Database(to)))
        with _bar() as hear:
            copied = with_database(settings, lambda source: copy_database(source, target, hear))
    for one in copied:
        print(f"{one.table}: {count(one.rows, 'row')}")
    print("the copy holds what its source holds; set database.url and start the gateway on it")
    return 0


def _reconcile(arguments: argparse.Namespace) -> int:
    settings = load_settings(arguments.settings)
    check_store(settings, arguments.store)

    def job(database: Database) -> Report:
        gateway = build(make_key(settings), database=database)
        with closing(gateway), _bar() as hear:
            return gateway.reconcile(
                arguments.store,
                arguments.since,
                is_dry=arguments.dry_run,
                progress=lambda done, total: hear("changes", done, total),
            )

    report = with_database(settings, job)
    if report.failure:
        advice = about_store(report.failure)
        raise StartRefused(f"{arguments.store} could not be read to the end ({report.failure}); {advice}")
    taken = len(report.found) if report.is_dry else report.taken
    verb = "would be" if report.is_dry else "was" if taken == 1 else "were"
    seen = count(report.seen, "change")
    print(f"{seen} had come by webhook, {len(report.found)} had not; {taken} {verb} taken in")
    for order_id in report.found:
        print(f"  order {order_id}")
    if report.unreadable:
        print(f"{report.unreadable} could not be read")
    return 0


@contextmanager
def _bar() -> Iterator[Hear]:
    """Show a bar per table while something goes through them."""
    columns = (TextColumn("{task.description:>16}"), BarColumn(), MofNCompleteColumn())
    console = Console()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def hear(table: str, done: int, total: int | None) -> None:
            if table not in tasks:
                tasks[table] = progress.add_task(table, total=total)
            progress.update(tasks[table], completed=done, total=total)

        yield hear
