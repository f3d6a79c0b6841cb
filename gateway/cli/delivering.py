"""Delivery in a process of its own beside `gateway run`: redacting and sending leave the web server its processor."""

import gc
import logging
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection as Line
from typing import Final

from gateway.bootstrap import build
from gateway.cli.apart import PROCESS
from gateway.flow.gateway import Gateway
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.storage.forwarding import Forwarding
from gateway.web.server import die_with
from gateway.worker import Pace, Worker

_log = logging.getLogger(__name__)

_ANSWER_SECONDS: Final = 2.0
_STOPS: Final = (signal.SIGTERM, signal.SIGINT)


def make_worker(gateway: Gateway) -> Worker:
    """Return the worker of a gateway."""
    pace = gateway.settings.worker
    return Worker(
        gateway.database,
        gateway,
        name=f"{socket.gethostname()}:{os.getpid()}",
        destination_ids=gateway.targets,
        pace=Pace(threads=pace.threads, poll_seconds=pace.poll_seconds, lease_seconds=pace.lease_seconds),
    )


class Delivering:
    """The process that delivers for this one, which owns the database and stops it in the end.

    When it ends unasked, this process is told to stop as well: what supervises it starts both anew.
    """

    def __init__(self, settings: Settings) -> None:
        """Fork it; for the main thread, while there is no other."""
        self._settings = settings
        self._forwarding = Forwarding() if settings.database.is_sqlite else None
        self._control, far = multiprocessing.Pipe()
        self._asking = threading.Lock()
        self._is_stopping = threading.Event()
        self._counted = b""
        self.is_lost = False
        given = (settings, self._forwarding, far, self._control, os.getpid())
        self._process = PROCESS(target=_deliver, args=given, name="delivering")
        gc.collect()
        gc.freeze()  # what is there now is shared by both, as long as neither writes to it
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)  # until the other one ignores them
        self._process.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        far.close()
        self._watch = threading.Thread(target=self._watched, name="delivering", daemon=True)
        self._watch.start()

    def database(self) -> Database:
        """Return the database of this process, which writes for the other one as well."""
        return Database(self._settings.database.url, forwarding=self._forwarding)

    def counted(self) -> bytes:
        """Return what it has counted, in Prometheus' text format; what was known last when it does not answer."""
        with self._asking, suppress(EOFError, OSError):
            while self._control.poll():  # an answer that was late for whoever asked
                self._counted = self._control.recv_bytes()
            self._control.send(None)
            if self._control.poll(_ANSWER_SECONDS):
                self._counted = self._control.recv_bytes()
        return self._counted

    def stop(self, within_seconds: float) -> None:
        """Have it finish what is under way; it is killed when that takes longer."""
        self._is_stopping.set()
        with self._asking, suppress(OSError):
            self._control.send(within_seconds)
        self._watch.join(within_seconds)
        if self._watch.is_alive():
            self._process.kill()
            self._watch.join()

    def _watched(self) -> None:
        self._process.join()
        if not self._is_stopping.is_set():
            self.is_lost = True
            _log.error("the delivering process ended with exit code %d", self._process.exitcode or 0)
            os.kill(os.getpid(), signal.SIGTERM)


def _deliver(settings: Settings, forwarding: Forwarding | None, control: Line, far: Line, parent: int) -> None:
    for one in _STOPS:  # a terminal and a supervisor send them to both; the parent decides
        signal.signal(one, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    far.close()
    die_with(parent)
    gateway = build(settings, database=Database(settings.database.url, forwarding=forwarding, is_owner=False))
    worker = make_worker(gateway)
    worker.start()
    worker.stop(within_seconds=_told_to_stop(control, gateway.telling.metrics.counted))
    gateway.close()


def _told_to_stop(control: Line, counted: Callable[[], bytes]) -> float:
    """Answer what is asked until it is time to stop, and return within how many seconds."""
    with suppress(EOFError, OSError):
        while (asked := control.recv()) is None:
            control.send_bytes(counted())
        return float(asked)
    return 0.0  # the parent is gone
