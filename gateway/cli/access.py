"""token and user: who may ask, who may look."""

import argparse
import getpass
import sys
import warnings
from typing import Any

from gateway.cli.beside import check_store, with_database
from gateway.errors import RequestInvalid
from gateway.model.instant import as_text
from gateway.settings import load_settings
from gateway.storage.people import Role, add_user
from gateway.storage.tokens import add_token, list_tokens, revoke_token


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add `gateway token` and `gateway user`."""
    tokens = commands.add_parser("token", help="API tokens").add_subparsers(metavar="ACTION", required=True)
    add = tokens.add_parser("add", parents=[common], help="make a token; it is printed once, alone on the last line")
    add.add_argument("name", help="who will use it")
    add.add_argument("--store", required=True, metavar="ID", help="the store that it speaks for")
    add.set_defaults(run=_token_add)
    tokens.add_parser("list", parents=[common], help="show all tokens").set_defaults(run=_token_list)
    revoke = tokens.add_parser("revoke", parents=[common], help="end a token at once")
    revoke.add_argument("name", help="as gateway token list shows it")
    revoke.set_defaults(run=_token_revoke)
    users = commands.add_parser("user", help="users of the admin pages").add_subparsers(metavar="ACTION", required=True)
    user = users.add_parser("add", parents=[common], help="create a user")
    user.add_argument("name", help="what they sign in with")
    roles = [role.value for role in Role]
    user.add_argument("--role", choices=roles, default=Role.VIEWER.value, help="what they may do (default: viewer)")
    user.add_argument("--store", action="append", default=[], metavar="ID", help="limit to a store; may be repeated")
    user.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    user.set_defaults(run=_user_add)


def _token_add(arguments: argparse.Namespace) -> int:
    settings = load_settings(arguments.settings)
    check_store(settings, arguments.store)
    token = with_database(
        settings,
        lambda database: database.write(
            lambda connection: add_token(connection, arguments.name, arguments.store, database.now())
        ),
    )
    print(f"Token {arguments.name} for store {arguments.store}. Keep it safe, it is not shown again:")
    print(token)
    return 0


def _token_list(arguments: argparse.Namespace) -> int:
    settings = load_settings(arguments.settings)
    for row in with_database(settings, lambda database: database.read(list_tokens)):
        ended = f"revoked {as_text(row['revoked_at'])}" if row["revoked_at"] else "valid"
        print(f"{row['name']}\t{row['store_id']}\tmade {as_text(row['created_at'])}\t{ended}")
    return 0


def _token_revoke(arguments: argparse.Namespace) -> int:
    settings = load_settings(arguments.settings)
    found = with_database(
        settings,
        lambda database: database.write(lambda connection: revoke_token(connection, arguments.name, database.now())),
    )
    if not found:
        raise RequestInvalid({"name": [f"there is no valid token named {arguments.name}"]})
    print(f"token {arguments.name} is revoked")
    return 0


def _user_add(arguments: argparse.Namespace) -> int:
    settings = load_settings(arguments.settings)
    for store_id in arguments.store:
        check_store(settings, store_id)
    password = sys.stdin.readline().rstrip("\n") if arguments.password_stdin else _asked()
    role = Role(arguments.role)
    with_database(
        settings,
        lambda database: add_user(
            database, name=arguments.name, role=role, actor="command line", password=password, stores=arguments.store
        ),
    )
    print(f"user {arguments.name} may sign in as {role.value}")
    return 0


def _asked() -> str:
    try:
        with warnings.catch_warnings(action="error", category=getpass.GetPassWarning):
            password = getpass.getpass("Password: ")
            again = getpass.getpass("Once more: ")
    except (getpass.GetPassWarning, EOFError) as error:
        raise RequestInvalid({"password": ["cannot be asked for without a terminal; use --password-stdin"]}) from error
    if again != password:
        raise RequestInvalid({"password": ["the two are not the same"]})
    return password
