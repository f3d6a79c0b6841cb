"""run, web, worker, migrate: the processes that do the work."""

import argparse
import ctypes
import signal
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from gateway.bootstrap import build, make_key, read_settings
from gateway.cli.apart import apart
from gateway.cli.delivering import Delivering, make_worker
from gateway.errors import StartRefused
from gateway.flow.gateway import Gateway
from gateway.scheduler import Scheduler
from gateway.settings import Settings, load_settings
from gateway.storage.ownership import Ownership
from gateway.storage.people import first_user_link
from gateway.telemetry import configure_logging
from gateway.web import create_front, create_health_app
from gateway.web.server import STOP_SECONDS, Served, end_in_time, refuse_taken_port, serve, serve_aside

THREADS = 16  # for everything but webhooks, which wait without one; as many signals or events share a commit
WEB_PROCESSES = 2
_LAST_PORT: Final = 65_535
_ARENA_MAX: Final = -8  # M_ARENA_MAX, see mallopt(3)


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the commands that start processes."""
    for name, run, text in (
        ("run", _run, "everything: migrations, web server and scheduler, and a process beside them that delivers"),
        ("web", _web, "the web server alone; any number, sharing PostgreSQL"),
        ("worker", _worker, "the worker and scheduler alone; any number, sharing PostgreSQL"),
        ("migrate", _migrate, "bring the database's schema up to date"),
    ):
        command = commands.add_parser(name, parents=[common], help=text, description=text)
        command.set_defaults(run=run)
        if run is _worker:
            what = "answer /metrics, /healthz and /readyz there, on web.host"
            command.add_argument("--metrics-port", type=_port, default=0, metavar="PORT", help=what)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(_LAST_PORT)) and 0 < int(text) <= _LAST_PORT):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {_LAST_PORT}")
    return int(text)


class Running:
    """A worker and a scheduler that begin and end together."""

    def __init__(self, gateway: Gateway) -> None:
        """Start both."""
        gateway.cancel_removed()
        self._worker = make_worker(gateway)
        self._scheduler = Scheduler(gateway)
        self._worker.start()
        self._scheduler.start()

    def stop(self, within_seconds: float) -> None:
        """Take nothing new and let what is under way finish."""
        self._scheduler.stop()
        self._worker.stop(within_seconds=within_seconds)


def _announce(settings: Settings, link: str | None) -> None:
    """Print the address of every store's webhook and of the admin pages."""
    base = settings.web.base_url
    for store in settings.stores:
        print(f"webhooks of {store.id} ({store.platform}): {base}/webhooks/{store.id}")
    if not settings.stores:
        print("no store yet: add one to settings.toml")
    print(f"admin pages: {base}/admin/")
    if link:
        print(f"first user (good once, for an hour): {link}")
    print(flush=True)


def _run(arguments: argparse.Namespace) -> int:
    _share_heaps()
    settings = read_settings(arguments.settings)
    refuse_taken_port(settings.web.host, settings.web.port)
    with closing(Ownership(settings.database.url)) as ownership:
        configure_logging()
        settings = make_key(settings)
        apart(_migrate_database, settings.database.url)
        first = build(settings)
        link = first_user_link(first.database, settings.web.base_url)
        if ownership.is_sole:
            first.take_over()
        first.close()
        _announce(settings, link)
        delivering = Delivering(settings)
        _serve(settings, lambda: _served_beside(settings, delivering), processes=1)
    return 1 if delivering.is_lost else 0


def _web(arguments: argparse.Namespace) -> int:
    _share_heaps()
    settings = read_settings(arguments.settings)
    _refuse_sqlite(settings, "web")
    refuse_taken_port(settings.web.host, settings.web.port)
    with _scratch() as folder:
        configure_logging()
        settings = make_key(settings)
        build(settings).close()
        _announce(settings, None)
        _serve(settings, lambda: _served(build(settings), Path(folder)), processes=WEB_PROCESSES)
    return 0


def _scratch() -> "TemporaryDirectory[str]":
    """Make the folder in which the processes of one server tell each other what they counted."""
    try:
        return TemporaryDirectory(prefix="gateway-web-")
    except OSError as error:
        raise StartRefused(
            "gateway web needs a folder for temporary files; make /tmp writable, or set TMPDIR"
        ) from error


def _worker(arguments: argparse.Namespace) -> int:
    _share_heaps()
    settings = read_settings(arguments.settings)
    _refuse_sqlite(settings, "worker")
    configure_logging()
    settings = make_key(settings)
    # Waited for, not handled: a handler that sets an event can meet its own thread inside that event's lock.
    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)  # in the threads that begin from here on as well
    gateway = build(settings)
    end_aside = _tell(gateway, arguments.metrics_port)
    running = Running(gateway)
    signal.sigwait(stops)
    end_in_time()
    running.stop(STOP_SECONDS)
    end_aside()
    gateway.close()
    return 0


def _tell(gateway: Gateway, port: int) -> Callable[[], None]:
    """Have this process tell how it is, where that is wanted."""
    if not port:
        return lambda: None
    return serve_aside(create_health_app(gateway), host=gateway.settings.web.host, port=port)


def _migrate(arguments: argparse.Namespace) -> int:
    settings = load_settings(arguments.settings)
    with closing(Ownership(settings.database.url)):
        _migrate_database(settings.database.url)
    print("the schema is up to date")
    return 0


def _migrate_database(url: str) -> None:
    from gateway.storage.migrating import migrate  # noqa: PLC0415 - takes memory that is rarely needed

    migrate(url)


def _refuse_sqlite(settings: Settings, command: str) -> None:
    if settings.database.is_sqlite:
        raise StartRefused(f"gateway {command} shares a PostgreSQL database; with SQLite use gateway run")


def _share_heaps() -> None:
    """Have all threads share two heaps; glibc gives each its own, which keeps what a burst of work once took."""
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 2)


def _serve(settings: Settings, make: Callable[[], Served], *, processes: int) -> None:
    serve(make, host=settings.web.host, port=settings.web.port, workers=processes)


def _served_beside(settings: Settings, delivering: Delivering) -> Served:
    gateway = build(settings, database=delivering.database())
    gateway.telling.tell_of(delivering.counted)
    gateway.cancel_removed()
    scheduler = Scheduler(gateway)
    scheduler.start()

    def stop(within_seconds: float) -> None:
        scheduler.stop()
        delivering.stop(within_seconds)
        gateway.close()

    return Served(application=create_front(gateway, threads=THREADS), stop=stop)


def _served(gateway: Gateway, folder: Path) -> Served:
    gateway.telling.tell_together(folder)
    return Served(application=create_front(gateway, threads=THREADS), stop=lambda _: gateway.close())
