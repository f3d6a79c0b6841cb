"""The command line: what can be asked, and who answers."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from gateway.cli.advice import told
from gateway.errors import GatewayError, SettingsInvalid
from gateway.settings import DEFAULT_PATH, settings_path

_FAILED = 1
_SIGNALLED: Final = 128  # what shells add to the number of the signal that ended a program
# Which room has which command: only what is asked for is imported, so that small commands start quickly.
_ROOMS: Final = {
    "serving": ("run", "web", "worker", "migrate"),
    "check": ("check",),
    "demo": ("demo",),
    "access": ("token", "user"),
    "orders": ("simulate", "replay", "reconcile"),
    "database": ("key", "database"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0 when all is fine and 1 when it failed (argparse ends wrong use with 2)."""
    _end_when_told()
    asked = sys.argv[1:] if arguments is None else list(arguments)
    chosen = _parser(asked[0] if asked else "").parse_args(asked)
    try:
        code: int = chosen.run(chosen)
    except SettingsInvalid as error:
        for path, texts in sorted(error.errors.items()):
            print(f"gateway: {path}: {' '.join(texts)}", file=sys.stderr)
        return _FAILED
    except GatewayError as error:
        print(f"gateway: {told(error)}", file=sys.stderr)
        return _FAILED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    except KeyboardInterrupt:
        return 130
    return code


def _end_when_told() -> None:
    """End at SIGTERM as any process does, also as a container's first, which gets no signal that it does not handle.

    Until what serves handles it: or a container that is stopped while it starts would be waited for, and killed.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda number, _: os._exit(_SIGNALLED + number))


class _Version(argparse.Action):
    """Looks the version up when it is asked for, and not at every command."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version  # noqa: PLC0415 - takes longer than a small command

        print(parser.prog, version("consent-gateway"))
        parser.exit()


def _parser(command: str) -> argparse.ArgumentParser:
    """Know the room of `command`, or all of them when it is no command."""
    parser = argparse.ArgumentParser(
        prog="gateway", description="Applies the consent given at checkout to every server-side call a shop makes."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--settings",
        type=Path,
        default=settings_path(),
        metavar="PATH",
        help=f"settings file (default: {DEFAULT_PATH}, or GATEWAY_SETTINGS)",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    rooms = [room for room, names in _ROOMS.items() if command in names] or list(_ROOMS)
    for room in rooms:
        import_module(f"gateway.cli.{room}").add_commands(commands, common)
    return parser
