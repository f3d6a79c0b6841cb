"""The production server: granian, in this process or in several that begin and end with their parent."""

import ctypes
import errno
import logging
import multiprocessing
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.util import Finalize
from typing import Any, Final

from granian.constants import Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import MPServer, MTServer
from werkzeug.serving import make_server

from gateway.errors import StartRefused
from gateway.web.front import Front

_log = logging.getLogger(__name__)

AsideApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]  # WSGI

STOP_SECONDS: Final = 8  # of the ten that a stop may take
_END_SECONDS: Final = 9.5
_SENDER_SECONDS: Final = 4  # how long one process waits for requests that are still coming in
_PARENT_DIED: Final = 1  # PR_SET_PDEATHSIG, see prctl(2)
_HEADER_TIMEOUT_MILLISECONDS: Final = 30_000
_LOOK_SECONDS: Final = 1.0  # how soon it is seen that something that serves has ended
_BYTES: Final = 4096
_CONNECTIONS: Final = 512  # of one process; more wait until one of them ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What one server process runs: the application, and what to do when it has answered its last request.

    `stop` is told how many seconds it may take.
    """

    application: Front
    stop: Callable[[float], None]


def serve(build: Callable[[], Served], *, host: str, port: int, workers: int) -> None:
    """Answer requests until SIGTERM or SIGINT, in this process or in as many as there are `workers` more than one.

    `build` is called in each. Raises StartRefused when the port is taken. Ends the program with exit code 1 when a
    process ends unasked.
    """
    refuse_taken_port(host, port)
    options: dict[str, Any] = {
        "target": "gateway",
        "address": host,
        "port": port,
        "interface": Interfaces.ASGINL,
        "loop": Loops.asyncio,
        "workers": workers,
        "backlog": 2048,
        "backpressure": _CONNECTIONS,
        "websockets": False,
        "http1_settings": HTTP1Settings(header_read_timeout=_HEADER_TIMEOUT_MILLISECONDS),
        "log_level": LogLevels.error,
        "workers_kill_timeout": STOP_SECONDS,
    }
    if workers == 1:
        _serve_here(build, options)
    else:
        _serve_in_processes(build, options)


def _serve_here(build: Callable[[], Served], options: dict[str, Any]) -> None:
    """One process: no supervisor beside it that holds a second copy of everything, or outlives it."""
    served = build()
    _begin_directly(served.application)
    server = _Here(**options | {"workers_kill_timeout": _SENDER_SECONDS})
    try:
        server.serve(target_loader=lambda: served.application, wrap_loader=False)
    finally:
        served.stop(server.seconds_left)
    if server.is_held_up:
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)


def _serve_in_processes(build: Callable[[], Served], options: dict[str, Any]) -> None:
    if sys.platform == "linux":
        multiprocessing.set_start_method("fork", force=True)  # what was set up before is there in every process
    parent = os.getpid()
    _InProcesses(**options).serve(target_loader=lambda: _begin(build, parent), wrap_loader=False)


def _begin_directly(front: Front) -> None:
    """Answer webhooks without a coroutine each, where the server is built as it was when that was made."""
    try:
        inside = import_module("gateway.web.inside")
    except (ImportError, AttributeError):
        _log.warning("this release of the server is not known inside: webhooks cost more than they need to")
    else:
        inside.begin_directly(front)


class _Woken:
    """Misses no signal: the system may hand one to any thread, Python handles it in this one.

    A byte wakes this thread for it. The event that granian waits for would not, and who sets it in a handler can meet
    himself inside its lock.
    """

    interrupt_signal: bool
    interrupt_children: list[int]

    def signal_handler_interrupt(self, *_: object) -> None:
        """Remember that it is time to stop."""
        self.interrupt_signal = True

    def _serve_loop(self, *_: object) -> None:
        """Wait until it is time to stop, or until something that serves has ended."""
        ear, mouth = socket.socketpair()
        with ear, mouth:
            mouth.settimeout(0)
            before = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
            while not (self.interrupt_signal or self.interrupt_children):
                if select.select([ear], [], [], _LOOK_SECONDS)[0]:
                    ear.recv(_BYTES)
            signal.set_wakeup_fd(before)


class _InProcesses(_Woken, MPServer):
    """Granian's server of processes."""


class _Here(_Woken, MTServer):
    """Granian's server of threads; it was made for Python without a GIL, but with one thread serves any."""

    _stopping_since: float | None = None
    _threads: Sequence[Any] = ()

    @property
    def seconds_left(self) -> float:
        """How long the stop under way may still take."""
        return STOP_SECONDS - (time.monotonic() - self._stopping_since if self._stopping_since else 0.0)

    @property
    def is_held_up(self) -> bool:
        """Whether a sender that stopped in the middle of its body keeps a thread, which would keep the process."""
        return any(one.inner.is_alive() for one in self._threads)

    def shutdown(self, exit_code: int = 0) -> None:
        """Wait a moment for requests that are still coming in."""
        self._stopping_since, self._threads = time.monotonic(), tuple(self.wrks)
        end_in_time()
        super().shutdown(exit_code)  # type: ignore[no-untyped-call]

    def _check_gil(self) -> None:
        """Serve with a GIL as well."""


def end_in_time() -> None:
    """Have this process end when its stop takes too long: a thread may wait for a database that hangs."""
    timer = threading.Timer(_END_SECONDS, _end)
    timer.daemon = True
    timer.start()


def _end() -> None:
    _log.error("something does not stop; what it holds is left to its lease")
    logging.shutdown()
    sys.stdout.flush()
    os._exit(1)


def serve_aside(application: AsideApplication, *, host: str, port: int) -> Callable[[], None]:
    """Answer a few requests in a thread beside other work; return what ends it."""
    refuse_taken_port(host, port, named="--metrics-port")
    server = make_server(host, port, application, threaded=True)
    threading.Thread(target=server.serve_forever, name="aside", daemon=True).start()
    return server.shutdown


def refuse_taken_port(host: str, port: int, *, named: str = "web.port") -> None:
    """Raise StartRefused when nobody can listen there; servers that share a port would split its requests."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise StartRefused(f"{host}:{port} is in use; choose another with {named}") from error
            why = error.strerror or type(error).__name__
            raise StartRefused(f"{host}:{port} cannot be used ({why}); look at web.host and {named}") from error


def _begin(build: Callable[[], Served], parent: int) -> Front:
    die_with(parent)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # until it serves; the parent's handler would only note it
    served = build()
    _begin_directly(served.application)
    Finalize(
        None, served.stop, (STOP_SECONDS,), exitpriority=100
    )  # runs when the process has answered its last request
    return served.application


def die_with(parent: int) -> None:
    """Have the system kill this process when `parent` dies, so that nothing is left that owns a file or a port."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PARENT_DIED, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)
