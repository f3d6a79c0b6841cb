"""The gateway as a user starts it: processes of their own, with a settings.toml of their own."""

import base64
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import requests

from tests.engine.orders import SECRET, STORE, Webhook

ROOT = Path(__file__).parents[2]
KEY = base64.b64encode(b"engine-test-key-engine-test-key!").decode()
START_SECONDS = 30.0


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def settings_text(*, url: str, port: int, sinks: dict[str, str], more: str = "", policy: str = "") -> str:
    """A settings.toml with one store and destinations of kind webhook."""
    destinations = "".join(
        f'[[destinations]]\nid = "{name}"\nkind = "webhook"\nurl = "{sink}"\npurposes = ["marketing", "analytics"]\n'
        f'topics = ["orders"]\n'
        for name, sink in sinks.items()
    )
    return f"""
[database]
url = "{url}"
[security]
key = "{KEY}"
[web]
port = {port}
[worker]
allow_private_destinations = true
{more}
[policy]
mode = "anonymize"
{policy}
[[stores]]
id = "{STORE}"
platform = "woocommerce"
secrets = ["{SECRET}"]
{destinations}"""


class Gateway:
    """Processes of one installation, in one folder."""

    def __init__(
        self, folder: Path, *, url: str, port: int, sinks: dict[str, str], more: str = "", code: Path = ROOT
    ) -> None:
        """`code` is the folder whose gateway is run."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = port
        self._environment = os.environ | {"PYTHONPATH": str(code)}
        self.processes: list[subprocess.Popen[bytes]] = []
        self.settings = folder / "settings.toml"
        self.settings.write_text(settings_text(url=url, port=port, sinks=sinks, more=more), encoding="utf-8")

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(
        self, command: str, *options: str, wait: bool = True, within: Sequence[str] = (), module: str = "gateway"
    ) -> subprocess.Popen[bytes]:
        """Start `gateway command` in a process group of its own; `within` is a command that starts it elsewhere."""
        log = (self.folder / f"{command}-{len(self.processes)}.log").open("wb")
        process = subprocess.Popen(  # the interpreter that runs the tests
            [*within, sys.executable, "-m", module, command, *options, "--settings", str(self.settings)],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            env=self._environment,
            start_new_session=True,
        )
        log.close()
        self.processes.append(process)
        if wait and command in {"run", "web"}:
            wait_for(lambda: self.is_ready, what=f"gateway {command}", process=process, log=Path(log.name))
        return process

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "gateway", *arguments, "--settings", str(self.settings)],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self._environment,
            check=False,
        )

    @property
    def is_ready(self) -> bool:
        try:
            return requests.get(f"{self.address}/readyz", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def send(self, webhook: Webhook, *, session: requests.Session | None = None, timeout: float = 10) -> int:
        """Post one webhook and return the status code, 0 when no answer came."""
        post = (session or requests).post
        try:
            answer = post(
                f"{self.address}/webhooks/{STORE}", data=webhook.body, headers=webhook.headers, timeout=timeout
            )
        except requests.RequestException:
            return 0
        return answer.status_code

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill -9, the whole group."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """Stop whatever still runs."""
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(12)
            except subprocess.TimeoutExpired:
                self.kill(process)

    def logs(self) -> str:
        """What all processes printed."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))


def wait_for(
    is_so: Callable[[], bool],
    *,
    what: str,
    seconds: float = START_SECONDS,
    process: subprocess.Popen[bytes] | None = None,
    log: Path | None = None,
) -> None:
    """Wait until something is so; fails with the log of a process that ended instead."""
    ends_at = time.monotonic() + seconds
    while not is_so():
        has_ended = process is not None and process.poll() is not None
        if has_ended or time.monotonic() > ends_at:
            raise AssertionError(f"{what}: not in time\n{log.read_text(errors='replace') if log else ''}")
        time.sleep(0.02)
