"""key rotate and database copy: what is stored, under another key and in another place."""

import argparse
from contextlib import ExitStack, closing
from typing import Any, Final

from gateway.bootstrap import make_key, open_stored_keyring
from gateway.cli.beside import with_database
from gateway.cli.progress import progress_bar
from gateway.errors import StartRefused
from gateway.model.counting import count
from gateway.settings import load_settings, placed_url
from gateway.storage.copying import copy_database, now_current, rotate_keys
from gateway.storage.database import Database
from gateway.storage.engines import is_same_place
from gateway.storage.migrating import migrate
from gateway.storage.ownership import Ownership

_LOOK_AGAIN_SECONDS: Final = 3.0  # in which a process that was not restarted is likely to write something


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add `gateway key rotate` and `gateway database copy`."""
    keys = commands.add_parser("key", help="encryption at rest").add_subparsers(metavar="ACTION", required=True)
    text = "seal everything under security.key; the key before it stays in security.previous_keys until this is done"
    keys.add_parser("rotate", parents=[common], help=text, description=text).set_defaults(run=_rotate)
    databases = commands.add_parser("database", help="the database").add_subparsers(metavar="ACTION", required=True)
    text = "copy everything to another database, compare, and go on where an earlier copy stopped"
    copy = databases.add_parser("copy", parents=[common], help=text, description=text)
    copy.add_argument("--to", required=True, metavar="URL", help="as database.url is written in settings.toml")
    copy.set_defaults(run=_copy)


def _rotate(arguments: argparse.Namespace) -> int:
    settings = load_settings(arguments.settings)

    def job(database: Database) -> int:
        keyring = open_stored_keyring(make_key(settings), database)
        with progress_bar() as hear:
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
        with progress_bar() as hear:
            copied = with_database(settings, lambda source: copy_database(source, target, hear))
    for one in copied:
        print(f"{one.table}: {count(one.rows, 'row')}")
    print("the copy holds what its source holds; set database.url and start the gateway on it")
    return 0
