"""A gateway in a folder of its own, as an operator has it: commands, processes and HTTP."""

import http.client
import io
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gateway.cli.program import main

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 30.0


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    """Wait until something is so; fail when it is not after a long while."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            pytest.fail(f"waited in vain: {what}")
        time.sleep(0.05)


@dataclass
class Receiver:
    """A destination on this machine: keeps what it gets, and answers with `code`."""

    code: int = 204
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    address: str = ""

    def open(self) -> Callable[[], None]:
        """Begin to listen; return what ends it."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver.headers.append(dict(self.headers))
                receiver.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(receiver.code)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.address = f"http://127.0.0.1:{server.server_port}/collect"
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def end() -> None:
            server.shutdown()
            server.server_close()

        return end


@dataclass
class Answer:
    """What the gateway answered over HTTP."""

    code: int
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str


@dataclass
class Place:
    """A folder with a settings.toml, and the gateway that runs there."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    def write(self, settings: str) -> None:
        (self.folder / "settings.toml").write_text(settings, encoding="utf-8")

    def run(self, *arguments: str, stdin: str = "") -> Done:
        """Run a command to its end, in this process."""
        out, err, before = io.StringIO(), io.StringIO(), sys.stdin
        sys.stdin = io.StringIO(stdin)
        try:
            with redirect_stdout(out), redirect_stderr(err):
                code = main([*arguments, "--settings", str(self.folder / "settings.toml")])
        except SystemExit as end:
            code = int(str(end.code))
        finally:
            sys.stdin = before
        return Done(code=code, out=out.getvalue(), err=err.getvalue())

    def run_alone(self, *arguments: str) -> Done:
        """Run a command to its end, in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *arguments],
            cwd=self.folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # with no terminal
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return Done(code=done.returncode, out=done.stdout, err=done.stderr)

    def start(self) -> None:
        """Start `gateway run` and wait until it is ready."""
        with (self.folder / "out").open("wb") as out, (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "run"], cwd=self.folder, env=_environment(), stdout=out, stderr=log
            )
        wait_until(self._is_ready, "the gateway is ready")

    def stop(self) -> int:
        """Ask it to end, and return its exit code; what does not end in time is killed."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return -9

    def ask(
        self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, headers: Mapping[str, str] = {}
    ) -> Answer:
        """Make one request; a body without a length goes in chunks."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(
                method, path, body, dict(headers), encode_chunked=body is not None and not isinstance(body, bytes)
            )
            response = connection.getresponse()
            return Answer(code=response.status, body=response.read())
        finally:
            connection.close()

    def said(self, name: str = "out") -> str:
        """What the running gateway printed: `out`, or its `log`."""
        return (self.folder / name).read_text(encoding="utf-8")

    def _is_ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            pytest.fail(f"the gateway ended: {self.said('log')}")
        try:
            return self.ask("GET", "/readyz").code == 200
        except OSError:
            return False


def _environment() -> dict[str, str]:
    """The environment without settings of its own, and with compiled modules kept: they are loaded many times."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept | {"PYTHONPATH": str(ROOT)}
