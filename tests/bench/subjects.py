"""What is measured, as processes: the gateway as a user starts it, and what it is compared with."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import psycopg
import requests

from tests.bench.node_red import install, write_flow
from tests.bench.sinking import Tally
from tests.engine.running import ROOT, free_port, settings_text, wait_for

SQLITE: Final = "sqlite"
POSTGRES: Final = "postgres"
NODE_RED: Final = Path(__file__).with_name("results") / "node-red"  # installed there once


@dataclass
class Subject:
    """Running processes that listen on `port`."""

    port: int
    processes: list[subprocess.Popen[bytes]]
    folder: Path
    database_url: str = ""

    @property
    def trees(self) -> list[psutil.Process]:
        """Every process of it."""
        roots = [psutil.Process(process.pid) for process in self.processes if process.poll() is None]
        return [one for root in roots for one in (root, *root.children(recursive=True))]

    @property
    def memory_mb(self) -> float:
        """Memory that only this holds, plus its share of what is shared."""
        return float(sum(one.memory_full_info().pss for one in self.trees)) / 1e6

    @property
    def cpu_seconds(self) -> float:
        """What its processes have used so far."""
        return float(sum(sum(one.cpu_times()[:2]) for one in self.trees))

    def settle_in(self) -> None:
        """Have PostgreSQL look at its tables now, which it does by itself within the first minute."""
        if self.database_url.startswith("postgresql"):
            with psycopg.connect(self.database_url.replace("+psycopg", ""), autocommit=True) as connection:
                connection.execute("ANALYZE")

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


class Sink:
    """The receiver, in a process of its own."""

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self._log = folder / f"arrivals-{self.port}.txt"
        tally = folder / f"tally-{self.port}"
        self._tally = Tally(tally)
        command = [sys.executable, "-m", "tests.bench.sinking", str(self.port), str(tally), str(self._log)]
        self._process = subprocess.Popen(command, cwd=ROOT)
        wait_for(lambda: _listens(self.port), what="the sink")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def count(self) -> int:
        return self._tally.value

    def stop(self) -> dict[int, float]:
        """End it and return when each order first arrived."""
        self._process.terminate()
        self._process.wait()
        first: dict[int, float] = {}
        for line in self._log.read_text().splitlines():
            at, _, number = line.partition(" ")
            first.setdefault(int(number), float(at))
        return first


def start(
    folder: Path, name: str, command: Sequence[str], *, environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start one process in a group of its own, its output in a file."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | (environment or {}),
            start_new_session=True,
        )


@contextmanager
def gateway(
    folder: Path,
    *,
    url: str,
    sink_url: str,
    more: str = "",
    policy: str = "",
    environment: dict[str, str] | None = None,
    workers: int = 1,
) -> Iterator[Subject]:
    """`gateway run` on SQLite; `gateway web` and `gateway worker` on PostgreSQL."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    settings = folder / "settings.toml"
    sinks = {"sink": sink_url} if sink_url else {}
    settings.write_text(settings_text(url=url, port=port, sinks=sinks, more=more, policy=policy), encoding="utf-8")
    command = [sys.executable, "-m", "gateway"]
    tail = ["--settings", str(settings)]
    if url.startswith("sqlite"):
        processes = [start(folder, "run", [*command, "run", *tail], environment=environment)]
    else:
        subprocess.run([*command, "migrate", *tail], check=True, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)})
        processes = [start(folder, "web", [*command, "web", *tail], environment=environment)]
        processes += [start(folder, f"worker{n}", [*command, "worker", *tail]) for n in range(workers)]
    yield from _running(Subject(port=port, processes=processes, folder=folder, database_url=url), "/readyz")


@contextmanager
def trivial(folder: Path, *, workers: int, threads: int) -> Iterator[Subject]:
    """A Flask view that only reads the body, on the same server."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.trivial", str(port), str(workers), str(threads)]
    yield from _running(Subject(port=port, processes=[start(folder, "trivial", command)], folder=folder), "/")


@contextmanager
def flask_relay(folder: Path, *, sink_url: str) -> Iterator[Subject]:
    """The 60-line relay on gunicorn: two processes of sixteen threads, as it waits inside the request."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--workers", "2", "--threads", "16"]
    command += ["--bind", f"127.0.0.1:{port}", "--log-level", "error", f"tests.bench.relay:build({sink_url!r})"]
    yield from _running(Subject(port=port, processes=[start(folder, "relay", command)], folder=folder), "/")


@contextmanager
def node_red(folder: Path, *, sink_url: str) -> Iterator[Subject]:
    """Node-RED with the same work as a flow."""
    program, port = install(NODE_RED), free_port()
    write_flow(folder, port=port, sink_url=sink_url)
    command = ["node", str(program), "--userDir", str(folder)]
    yield from _running(Subject(port=port, processes=[start(folder, "node-red", command)], folder=folder), "/")


def _running(subject: Subject, path: str) -> Iterator[Subject]:
    try:
        wait_for(lambda: _answers(subject.port, path), what=str(subject.folder), process=subject.processes[0])
        time.sleep(0.5)
        yield subject
    finally:
        subject.stop()


def _answers(port: int, path: str) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}{path}", timeout=2).status_code < 500
    except requests.RequestException:
        return False


def _listens(port: int) -> bool:
    try:
        requests.get(f"http://127.0.0.1:{port}/", timeout=1)
    except requests.ConnectionError:
        return False
    return True
