"""The production server: granian, in this process or in several that begin and end with their parent."""

import ctypes
import errno
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.util import Finalize
from typing import Any, Final

from granian import Granian
from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import MTServer

from gateway.errors import StartRefused

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

STOP_SECONDS: Final = 9  # of the ten that a stop may take
_PARENT_DIED: Final = 1  # PR_SET_PDEATHSIG, see prctl(2)
_HEADER_TIMEOUT_MILLISECONDS: Final = 30_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What one server process runs: the application, and what to do when it has answered its last request."""

    application: Application
    stop: Callable[[], None]


def serve(build: Callable[[], Served], *, host: str, port: int, workers: int, threads: int) -> None:
    """Answer requests until SIGTERM or SIGINT, in this process or in as many as there are `workers` more than one.

    `build` is called in each. Raises StartRefused when the port is taken. Ends the program with exit code 1 when a
    process ends unasked.
    """
    refuse_taken_port(host, port)
    options: dict[str, Any] = {
        "target": "gateway",
        "address": host,
        "port": port,
        "interface": Interfaces.WSGI,
        "workers": workers,
        "blocking_threads": threads,
        "backlog": 2048,
        "backpressure": 256,
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
    try:
        _Here(**options).serve(target_loader=lambda: served.application, wrap_loader=False)
    finally:
        served.stop()


def _serve_in_processes(build: Callable[[], Served], options: dict[str, Any]) -> None:
    if sys.platform == "linux":
        multiprocessing.set_start_method("fork", force=True)  # what was set up before is there in every process
    parent = os.getpid()
    Granian(**options).serve(target_loader=lambda: _begin(build, parent), wrap_loader=False)


class _Here(MTServer):
    """Granian's server of threads; it was made for Python without a GIL, but with one thread serves any."""

    def _check_gil(self) -> None:
        """Serve with a GIL as well."""


def refuse_taken_port(host: str, port: int) -> None:
    """Raise StartRefused when nobody can listen there; servers that share a port would split its requests."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            word = (
                "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used: {os.strerror(error.errno or 0)}"
            )
            raise StartRefused(f"{host}:{port} {word}; choose another with web.port") from error


def _begin(build: Callable[[], Served], parent: int) -> Application:
    die_with(parent)
    served = build()
    Finalize(None, served.stop, exitpriority=100)  # runs when the process has answered its last request
    return served.application


def die_with(parent: int) -> None:
    """Have the system kill this process when `parent` dies, so that nothing is left that owns a file or a port."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PARENT_DIED, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)
