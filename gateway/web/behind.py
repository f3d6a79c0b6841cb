"""A WSGI application behind the ASGI one: it gets whole requests, in a few threads, and gives whole answers."""

import asyncio
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from io import BytesIO
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from gateway.web.asgi import Answer, Headers, Scope

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

_BARE: Final = ("CONTENT_TYPE", "CONTENT_LENGTH")


class Behind:
    """Whole requests only: a sender that is slow holds no thread, and none waits for a reader that is slow."""

    def __init__(self, application: Application, threads: Executor) -> None:
        """Call `application` in `threads`."""
        self._application = application
        self._threads = threads

    async def answer(self, scope: Scope, headers: Headers, body: bytes) -> Answer:
        """Return what the application answers."""
        environ = environ_of(scope, headers, body)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._call, environ)

    def _call(self, environ: Environ) -> Answer:
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], _: object = None) -> None:
            started.append((status, headers))

        chunks = self._application(environ, start)
        try:
            body = b"".join(chunks)
        finally:
            getattr(chunks, "close", lambda: None)()
        status, headers = started[-1]
        pairs = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return Answer(int(status[:3]), pairs, body)


def environ_of(scope: Scope, headers: Headers, body: bytes) -> Environ:
    """Return a request as WSGI has it (https://peps.python.org/pep-3333/)."""
    client, server = scope.get("client") or ("", 0), scope.get("server") or ("localhost", 80)
    return {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "REMOTE_ADDR": client[0],
        # A name with an underscore would come out like another with a dash, which a proxy may have set.
        **{_name(name): value for name, value in headers.pairs if "_" not in name},
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def _name(name: str) -> str:
    bare = name.upper().replace("-", "_")
    return bare if bare in _BARE else f"HTTP_{bare}"
